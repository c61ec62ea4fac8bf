#include "vmm/devices/figures.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/guest_tables.h"

static bool is_good(const void *entry)
{
	const struct rs_record *r = entry;
	const uint64_t values[] = {r->min, r->median, r->p90, r->p99, r->max};
	bool any = false;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		any |= values[i] != RS_RECORD_NONE;
	return any && guest_table_text(r->name, sizeof(r->name), false) &&
	       guest_table_text(r->unit, sizeof(r->unit), false) &&
	       guest_table_text(r->x_unit, sizeof(r->x_unit), true) &&
	       (r->mode <= RS_PTI_NOPCID || r->mode == RS_RECORD_NO_MODE) && r->decimals <= 9;
}

int64_t figures_take(struct figures *records, const volatile struct rs_record *from, uint64_t count)
{
	static const struct guest_table_kind kind = {sizeof(*records->list), RS_MAX_RECORDS,
	                                             is_good};
	void *list = records->list;
	int64_t taken = guest_table_take(&kind, &list, &records->count, from, count);

	records->list = list;
	return taken;
}

/* Ticks to tenths of a nanosecond.  False: too many. */
static bool convert(uint64_t *value, uint64_t tsc_khz)
{
	const uint64_t sign = *value & RS_RECORD_MINUS;
	__extension__ unsigned __int128 tenths;

	if (*value == RS_RECORD_NONE)
		return true;
	tenths = *value & ~RS_RECORD_MINUS;
	tenths = (tenths * 10000000 + tsc_khz / 2) / tsc_khz;
	*value = (uint64_t)tenths | sign;
	return tenths < RS_RECORD_MINUS - 1;
}

bool record_in_ns(struct rs_record *to, const struct rs_record *from, uint64_t tsc_khz)
{
	static const char *const ticks[] = {RECORD_CYCLES, RECORD_INTERPRETED, RECORD_EMULATED};
	bool passes = false;

	for (size_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++)
		passes |= !strcmp(from->unit, ticks[i]);
	if (!passes || !tsc_khz || from->x_unit[0] || from->decimals == 9)
		return false;
	*to = *from;
	strcpy(to->unit, "ns");
	to->decimals++;
	return convert(&to->min, tsc_khz) && convert(&to->median, tsc_khz) &&
	       convert(&to->p90, tsc_khz) && convert(&to->p99, tsc_khz) &&
	       convert(&to->max, tsc_khz);
}

void figures_free(struct figures *records)
{
	free(records->list);
	*records = (struct figures){0};
}
