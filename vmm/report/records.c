#include "vmm/report/records.h"

#include <stdbool.h>
#include <stdlib.h>

#include "vmm/report/handed.h"

static bool is_good(const void *entry)
{
	const struct rs_record *r = entry;
	const uint64_t values[] = {r->min, r->median, r->p90, r->p99, r->max};
	bool any = false;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		any |= values[i] != RS_RECORD_NONE;
	return any && handed_text(r->name, sizeof(r->name), false) &&
	       handed_text(r->unit, sizeof(r->unit), false) &&
	       handed_text(r->x_unit, sizeof(r->x_unit), true) &&
	       (r->mode <= RS_PTI_NOPCID || r->mode == RS_RECORD_NO_MODE) && r->decimals <= 9;
}

int64_t records_take(struct records *records, const volatile struct rs_record *from, uint64_t count)
{
	static const struct handed_kind kind = {sizeof(*records->list), RS_MAX_RECORDS, is_good};
	void *list = records->list;
	int64_t taken = handed_take(&kind, &list, &records->count, from, count);

	records->list = list;
	return taken;
}

void records_free(struct records *records)
{
	free(records->list);
	*records = (struct records){0};
}
