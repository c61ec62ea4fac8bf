/* Page tables: words for people.  The only file of these that needs a C library. */
#include <inttypes.h>
#include <stdio.h>

#include "shared/pt_entry.h"

static const char *const level_names[] = {"?",    "page table", "page directory",
                                          "PDPT", "PML4",       "PML5"};

static const char *level_name(unsigned level)
{
	return level <= PT_TOP_LEVEL ? level_names[level] : level_names[0];
}

const char *pt_status_text(enum pt_status status)
{
	static const char *const text[] = {
	    [PT_OK] = "done",
	    [PT_ENOMEM] = "no memory for a table",
	    [PT_EALIGN] =
	        "address or length is not a multiple of the page size, or the length is 0",
	    [PT_ECANONICAL] = "the range is not canonical",
	    [PT_EWIDTH] = "beyond the physical address width",
	    [PT_EEXIST] = "something is mapped there already",
	    [PT_ENOENT] = "not mapped",
	    [PT_ESHARED] = "the table belongs to another tree",
	    [PT_ERIGHTS] = "rights or flags that are not possible here",
	    [PT_ECORRUPT] = "the entry leads outside memory or has reserved bits",
	};

	if ((unsigned)status >= sizeof(text) / sizeof(text[0]))
		return "unknown status";
	return text[status];
}

int pt_change_text(char *buf, size_t size, const char *call, uint64_t va, uint64_t len,
                   enum pt_status status, const struct pt_change *change)
{
	char why[160];

	if (status == PT_OK || !change || !change->level)
		snprintf(why, sizeof(why), "%s", pt_status_text(status));
	else if (status == PT_ENOMEM)
		snprintf(why, sizeof(why), "no memory for a level-%u table (at 0x%" PRIx64 ")",
		         change->level, change->va);
	else
		snprintf(why, sizeof(why), "%s (%s entry of 0x%" PRIx64 ")", pt_status_text(status),
		         level_name(change->level), change->va);
	return snprintf(buf, size, "%s va 0x%" PRIx64 " len 0x%" PRIx64 ": %s", call, va, len, why);
}

static const char *reason_text(enum pt_reason reason)
{
	static const char *const text[] = {
	    [PT_ALLOWED] = "allowed",
	    [PT_NOT_CANONICAL] = "not canonical",
	    [PT_NOT_PRESENT] = "not present",
	    [PT_RESERVED_BIT] = "a reserved bit is set",
	    [PT_SUPERVISOR_PAGE] = "supervisor only (U/S)",
	    [PT_READ_ONLY] = "read-only (R/W)",
	    [PT_NO_EXECUTE] = "no-execute (NX)",
	    [PT_BY_SMEP] = "a user page (SMEP)",
	    [PT_BY_SMAP] = "a user page (SMAP)",
	    [PT_BY_KEY] = "the protection key denies it",
	    [PT_BROKEN] = "the table lies outside memory",
	};

	if ((unsigned)reason >= sizeof(text) / sizeof(text[0]))
		return "unknown reason";
	return text[reason];
}

static const char *vector_name(unsigned vector)
{
	switch (vector) {
	case VECTOR_SS:
		return "#SS";
	case VECTOR_GP:
		return "#GP";
	case VECTOR_PF:
		return "#PF";
	default:
		return "no fault known";
	}
}

int pt_verdict_text(char *buf, size_t size, uint64_t va, struct pt_access access,
                    const struct pt_verdict *verdict)
{
	static const char *const kinds[] = {
	    [PT_READ] = "read", [PT_STORE] = "write", [PT_FETCH] = "fetch"};
	char what[48], where[32] = "";

	snprintf(what, sizeof(what), "ring %u %s of 0x%" PRIx64, access.cpl & 3u,
	         (unsigned)access.kind <= PT_FETCH ? kinds[access.kind] : "access", va);
	if (verdict->reason == PT_ALLOWED)
		return snprintf(buf, size, "%s: allowed, physical 0x%" PRIx64, what, verdict->pa);
	if (verdict->level)
		snprintf(where, sizeof(where), " at the %s entry", level_name(verdict->level));
	if (!verdict->vector)
		return snprintf(buf, size, "%s: unknown%s: %s", what, where,
		                reason_text(verdict->reason));
	return snprintf(buf, size, "%s: %s 0x%" PRIx32 "%s: %s", what, vector_name(verdict->vector),
	                verdict->error, where, reason_text(verdict->reason));
}

const char *pt_rights_text(char buf[8], uint32_t rights)
{
	buf[0] = 'r';
	buf[1] = rights & PT_WRITE ? 'w' : '-';
	buf[2] = rights & PT_EXEC ? 'x' : '-';
	buf[3] = rights & PT_USER ? 'u' : '-';
	buf[4] = rights & PT_GLOBAL ? 'g' : '-';
	buf[5] = '\0';
	return buf;
}
