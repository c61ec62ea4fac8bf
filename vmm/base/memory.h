/*
 * Guest RAM: one anonymous mapping, in which guest-physical addresses are offsets.  RAM has a hole
 * below 4 GiB (RS_HOLE): what does not fit below it lies from RS_HIGH_RAM on.
 *
 * The mapping is unreserved: the host gives a page when somebody first touches it, and the page
 * is zero then.  All of the VMM reaches guest memory through memory_at, and nothing else adds
 * an address from the guest to a pointer.
 */
#ifndef VMM_BASE_MEMORY_H
#define VMM_BASE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/pt.h"

/* RAM is GPA 0 to low_end - 1, and, unless high_end is 0, RS_HIGH_RAM to high_end - 1. */
struct memory {
	uint8_t *base; /* NULL: none */
	uint64_t size; /* bytes of RAM, whole pages; fewer than the addresses span */
	uint64_t low_end, high_end;
	/* A bit for each page of what the addresses span: the VMM has written there
	 * (memory_wrote); the owner's.  NULL: nobody asks. */
	uint64_t *written;
};

/* Maps `size` bytes of RAM (whole pages, not 0).  False after a message. */
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
	const uint64_t end = gpa <= memory->low_end ? memory->low_end : memory->high_end;

	if ((gpa > memory->low_end && gpa < RS_HIGH_RAM) || gpa > end || len > end - gpa)
		return 0;
	return memory->base + gpa;
}

/* Whoever changes guest RAM while a snapshot lives says so: KVM knows of the guest's own writes
 * only (vmm/run/snapshot.h).  All of it is RAM. */
static inline void memory_wrote(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	if (!memory->written || !len)
		return;
	for (uint64_t page = gpa / PAGE_SIZE; page <= (gpa + len - 1) / PAGE_SIZE; page++)
		memory->written[page / 64] |= UINT64_C(1) << page % 64;
}

/* Behind the last address of RAM. */
static inline uint64_t memory_span(const struct memory *memory)
{
	return memory->high_end ? memory->high_end : memory->low_end;
}
/* The size of RAM whose addresses span so much; 0: no RAM does. */
static inline uint64_t memory_size_of_span(uint64_t span)
{
	if (span <= RS_HOLE)
		return span;
	return span > RS_HIGH_RAM ? span - (RS_HIGH_RAM - RS_HOLE) : 0;
}
/* The same RAM, for who looks at page tables. */
static inline struct pt_ram memory_ram(const struct memory *memory)
{
	return (struct pt_ram){{{0, memory->low_end}, {RS_HIGH_RAM, memory->high_end}}};
}

#endif
