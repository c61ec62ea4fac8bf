#include "vmm/look/rule.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void rule_found(struct asking *asking, const char *format, ...)
{
	struct audit_result *result = asking->result;
	va_list args;

	result->verdict = AUDIT_BROKEN;
	if (result->findings < AUDIT_FINDINGS_MAX) {
		va_start(args, format);
		vsnprintf(result->finding[result->findings].text, AUDIT_TEXT, format, args);
		va_end(args);
	}
	result->findings++;
}

void rule_remark(struct asking *asking, const char *format, ...)
{
	struct audit_result *result = asking->result;
	va_list args;

	if (result->remarks == AUDIT_REMARKS_MAX)
		return;
	va_start(args, format);
	vsnprintf(result->remark[result->remarks++].text, AUDIT_TEXT, format, args);
	va_end(args);
}

const char *rule_root_name(const struct asking *asking)
{
	return look_root_name(asking->look, asking->root);
}

unsigned rule_roots(const struct asking *asking)
{
	return asking->look->two_roots ? LOOK_ROOTS : 1;
}

void rule_found_run(struct asking *asking, const struct pt_run *run, const char *what)
{
	char rights[8];

	rule_found(asking, "%s root, 0x%016" PRIx64 " + 0x%" PRIx64 " %s (%s): %s",
	           rule_root_name(asking), run->va, run->len, pt_rights_text(rights, run->rights),
	           places_name(asking->places, run->va), what);
}

void rule_each_run(struct asking *asking, enum look_root root, uint64_t start, uint64_t end,
                   bool (*each)(void *ctx, const struct pt_run *run))
{
	asking->root = root;
	look_begin_scan(asking->look);
	pt_each(&asking->look->pt[root], start, end, each, asking);
}

void rule_each_run_of_all(struct asking *asking, uint64_t start, uint64_t end,
                          bool (*each)(void *ctx, const struct pt_run *run))
{
	for (unsigned root = 0; root < rule_roots(asking); root++)
		rule_each_run(asking, (enum look_root)root, start, end, each);
}
