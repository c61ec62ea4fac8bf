/*
 * Guest RAM: one anonymous mapping that is guest-physical 0 to size - 1.
 *
 * The mapping is unreserved: the host gives a page when somebody first touches it, and the page
 * is zero then.  All of the VMM reaches guest memory through memory_at, and nothing else adds
 * an address from the guest to a pointer.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct memory {
	uint8_t *base; /* NULL: none */
	uint64_t size; /* bytes, whole pages */
};

/* Maps `size` bytes (whole pages, not 0).  False after a message. */
bool memory_create(struct memory *memory, uint64_t size);
/* Gives this part of RAM its pages now, at once; only a hint, which an older Linux (before 5.14)
 * does not take. */
void memory_populate(const struct memory *memory, uint64_t gpa, uint64_t size);
void memory_destroy(struct memory *memory);

/* The checked accessor: `len` bytes at guest-physical `gpa`; NULL unless all of them are RAM.
 * len 0 is fine up to the end of RAM.  The guest can change what lies there at any time: copy what
 * is looked at twice. */
static inline void *memory_at(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	if (gpa > memory->size || len > memory->size - gpa)
		return 0;
	return memory->base + gpa;
}

#endif
