/*
 * The user memory of a process: areas of whole pages, and the address space that maps them.
 *
 * Memory is the process's own from the start: no page is shared for writing, none is filled on
 * demand.
 */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/space.h"
#include "shared/abi.h"

#define MAX_AREAS 8

/* A range of user memory, in whole pages. */
struct area {
	uint64_t va, len;
	uint64_t gpa;    /* of the image's segment it shows; 0: none, it starts as zeros */
	uint32_t rights; /* PT_WRITE, PT_EXEC */
	bool shared;     /* the frames are the image's; else copies, and the process's own */
};

struct memory {
	struct space space;
	struct area areas[MAX_AREAS];
	uint32_t area_count;
	uint64_t brk; /* end of the heap; 0: there was none yet */
};

/* Empty.  False: no memory, and nothing is left. */
bool memory_create(struct memory *memory);
/* Gives back every page and every table.  The space must be loaded on no CPU. */
void memory_destroy(struct memory *memory);

/* The image's user segments, and a stack.  False: no memory. */
bool memory_map_image(struct memory *memory, const struct rs_boot *boot);
/* The guest's arguments onto the stack, as the System V ABI wants them at a process's start: argc,
 * argv[], NULL, and the strings above.  Returns the address of argc.  Panics when they are too many
 * for a page. */
uint64_t memory_push_arguments(const struct memory *memory, const struct rs_boot *boot);

/* All of the parent's memory into an empty child.  False: no memory; what is there until then goes
 * with memory_destroy. */
bool memory_copy(struct memory *child, const struct memory *parent);

/* Moves the end of the heap to `wanted`, where memory and the heap's bounds allow it.  Returns
 * where it is then. */
uint64_t memory_brk(struct memory *memory, uint64_t wanted);

#endif
