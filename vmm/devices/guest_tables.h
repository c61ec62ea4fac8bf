/* Tables that the guest hands over piece by piece (RS_CALL_RECORD, RS_CALL_ESCAPE of shared/abi.h):
 * each entry is copied out of guest memory once, checked, and kept for the reports. */
#ifndef VMM_DEVICES_GUEST_TABLES_H
#define VMM_DEVICES_GUEST_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a table holds. */
struct guest_table_kind {
	size_t size;                        /* of an entry */
	unsigned max;                       /* entries */
	bool (*is_good)(const void *entry); /* a copy, which the guest cannot change any more */
};

/* Takes up to `count` entries as they lie in guest memory, the first wrong one being the end, to
 * (*list)[*length] on.  *list is NULL or what an earlier call put there, to be freed.  Returns how
 * many were taken; -EINVAL, -ENOSPC, -ENOMEM when not even the first was. */
int64_t guest_table_take(const struct guest_table_kind *kind, void **list, unsigned *length,
                         const volatile void *from, uint64_t count);

/* Printable ASCII, and a NUL behind it within `size`. */
bool guest_table_text(const char *text, size_t size, bool may_be_empty);

#endif
