/* Writes to standard output and standard error in turn, through the call page, and says what a
 * write returns. */
#include "tests/guests/guest.h"

static void say(uint64_t fd, const char *text, uint32_t number)
{
	volatile struct rs_call *page = call_page();
	uint64_t length = 0;

	for (; text[length]; length++)
		page->data[length] = text[length];
	check(call(RS_CALL_WRITE, fd, length) == (int64_t)length, number);
}

void start(const struct rs_boot *boot)
{
	(void)boot;
	say(1, "one\n", 1);
	say(2, "two\n", 2);
	say(1, "three\n", 3);
	end(0);
}
