#include "vmm/devices/guest_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool guest_table_text(const char *text, size_t size, bool may_be_empty)
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

/* 0, or why not. */
static int64_t take_one(const struct guest_table_kind *kind, void **list, unsigned *length,
                        const volatile char *from)
{
	char *to;

	if (*length == kind->max)
		return -ENOSPC;
	if (!*list)
		*list = calloc(kind->max, kind->size);
	if (!*list)
		return -ENOMEM;
	to = (char *)*list + *length * kind->size;
	memcpy(to, (const void *)(uintptr_t)from, kind->size);
	__asm__ volatile("" : : : "memory"); /* and it is not read again */
	if (!kind->is_good(to))
		return -EINVAL;
	++*length;
	return 0;
}

int64_t guest_table_take(const struct guest_table_kind *kind, void **list, unsigned *length,
                         const volatile void *from, uint64_t count)
{
	const volatile char *entry = from;

	for (uint64_t taken = 0; taken < count; taken++, entry += kind->size) {
		int64_t error = take_one(kind, list, length, entry);

		if (error)
			return taken ? (int64_t)taken : error;
	}
	return (int64_t)count;
}
