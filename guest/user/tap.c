#include "guest/user/tap.h"

#include "guest/user/lib.h"

bool tap_brief;
const char *tap_remark = "# ";
static uint64_t checks, failures, skips;

void tap_check(const char *group, const char *what, uint64_t got, uint64_t wanted)
{
	checks++;
	if (got == wanted) {
		if (!tap_brief)
			printf("ok %u - %s: %s\n", checks, group, what);
		return;
	}
	failures++;
	printf("not ok %u - %s: %s: got %x, wanted %x\n", checks, group, what, got, wanted);
}

void tap_skip(const char *group, const char *what, const char *why)
{
	checks++;
	skips++;
	if (!tap_brief)
		printf("ok %u - %s: %s # SKIP %s\n", checks, group, what, why);
}

uint64_t tap_end(void)
{
	if (!tap_brief)
		printf("1..%u\n", checks);
	printf("%s%u passed, %u failed, %u skipped\n", tap_remark, checks - failures - skips,
	       failures, skips);
	flush();
	return failures;
}
