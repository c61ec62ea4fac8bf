#include "vmm/devices/attempts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/x86.h"
#include "vmm/base/names.h"
#include "vmm/devices/guest_tables.h"

/* ---- Taking -------------------------------------------------------------------------------- */

static bool is_good(const void *entry)
{
	const struct rs_escape *e = entry;

	return guest_table_text(e->program, sizeof(e->program), false) &&
	       guest_table_text(e->host, sizeof(e->host), false) &&
	       guest_table_text(e->group, sizeof(e->group), false) &&
	       guest_table_text(e->name, sizeof(e->name), false) &&
	       guest_table_text(e->why, sizeof(e->why), true) && e->mode <= RS_PTI_NOPCID &&
	       e->verdict <= RS_ESCAPE_SKIPPED && e->want.kind <= RS_OUTCOME_NOT_TRIED &&
	       e->got.kind <= RS_OUTCOME_NOT_TRIED;
}

int64_t attempts_take(struct attempts *escapes, const volatile struct rs_escape *from,
                      uint64_t count)
{
	static const struct guest_table_kind kind = {sizeof(*escapes->list), RS_MAX_ESCAPES,
	                                             is_good};
	void *list = escapes->list;
	int64_t taken = guest_table_take(&kind, &list, &escapes->count, from, count);

	escapes->list = list;
	return taken;
}

void attempts_free(struct attempts *escapes)
{
	free(escapes->list);
	*escapes = (struct attempts){0};
}

/* ---- Words --------------------------------------------------------------------------------- */

const char *escape_verdict(uint32_t verdict)
{
	static const char *const names[] = {
	    [RS_ESCAPE_OK] = "ok",
	    [RS_ESCAPE_DEPARTS] = "departs",
	    [RS_ESCAPE_DIFFERS] = "differs",
	    [RS_ESCAPE_SKIPPED] = "skipped",
	};

	return verdict <= RS_ESCAPE_SKIPPED ? names[verdict] : "unknown";
}

const char *outcome_kind(const struct rs_outcome *outcome)
{
	switch (outcome->kind) {
	case RS_OUTCOME_ALLOWED:
		return "allowed";
	case RS_OUTCOME_ENDED:
		return "ended";
	case RS_OUTCOME_WRONG:
		return "wrong";
	case RS_OUTCOME_NOT_TRIED:
		return "not tried";
	default:
		return outcome->kind < 256 ? vector_name((unsigned)outcome->kind) : "unknown";
	}
}

bool outcome_has_error(const struct rs_outcome *outcome)
{
	return outcome->kind == RS_OUTCOME_WRONG ||
	       (outcome->kind < 32 && (VECTORS_WITH_ERROR_CODE >> outcome->kind) & 1);
}

const char *outcome_text(char *buf, size_t size, const struct rs_outcome *outcome)
{
	int used = snprintf(buf, size, "%s", outcome_kind(outcome));

	if (outcome_has_error(outcome))
		used +=
		    snprintf(buf + used, size - (size_t)used, "(0x%" PRIx64 ")", outcome->error);
	if (outcome->kind == VECTOR_PF)
		snprintf(buf + used, size - (size_t)used, " at 0x%" PRIx64, outcome->cr2);
	return buf;
}
