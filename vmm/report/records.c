#include "vmm/report/records.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Printable ASCII, and a NUL behind it. */
static bool is_text(const char *text, size_t size, bool may_be_empty)
{
	const char *end = memchr(text, '\0', size);

	if (!end || (end == text && !may_be_empty))
		return false;
	for (; text < end; text++) {
		if (*text < ' ' || *text > '~')
			return false;
	}
	return true;
}

static bool is_good(const struct rs_record *r)
{
	const uint64_t values[] = {r->min, r->median, r->p90, r->p99, r->max};
	bool any = false;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		any |= values[i] != RS_RECORD_NONE;
	return any && is_text(r->name, sizeof(r->name), false) &&
	       is_text(r->unit, sizeof(r->unit), false) &&
	       is_text(r->x_unit, sizeof(r->x_unit), true) &&
	       (r->mode <= RS_PTI_NOPCID || r->mode == RS_RECORD_NO_MODE) && r->decimals <= 9;
}

static bool get_room(struct records *records)
{
	if (!records->list)
		records->list = calloc(RS_MAX_RECORDS, sizeof(*records->list));
	return records->list;
}

int64_t records_take(struct records *records, const volatile struct rs_record *from, uint64_t count)
{
	int64_t taken = 0, error = 0;

	for (; (uint64_t)taken < count && !error; taken += !error) {
		struct rs_record copy;

		memcpy(&copy, (const void *)(uintptr_t)&from[taken], sizeof(copy));
		__asm__ volatile("" : : : "memory"); /* and it is not read again */
		if (!is_good(&copy))
			error = -EINVAL;
		else if (records->count == RS_MAX_RECORDS)
			error = -ENOSPC;
		else if (!get_room(records))
			error = -ENOMEM;
		else
			records->list[records->count++] = copy;
	}
	return taken ? taken : error;
}

void records_free(struct records *records)
{
	free(records->list);
	*records = (struct records){0};
}
