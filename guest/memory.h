/*
 * The user memory of a process: areas of whole pages, and the address space that maps them.
 *
 * An area is a range with the same rights throughout; areas are sorted and do not overlap, and
 * neighbours that are alike are one.  Every page of an area that may be accessed has a frame from
 * the start: no page is shared for writing, none is filled on demand, and so a system call knows
 * beforehand what a user copy will meet.  A page without rights (PROT_NONE) is mapped nowhere; if
 * it has contents, they wait in `hidden`, a tree that no CR3 ever holds.
 *
 * User pages are 4 KiB leaves: unmapping and changing rights take no memory.  What can fail is done
 * first; a call that fails leaves everything as it was.
 *
 * memory_areas.c keeps the list, memory_change.c does to pages what is to be done, memory_calls.c
 * has the system calls, memory_life.c a memory's beginning and end.
 */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/space.h"
#include "shared/abi.h"

/* A range of user memory, in whole pages. */
struct area {
	uint64_t va, len;
	uint64_t gpa;    /* of the image's segment that a shared one shows */
	uint32_t rights; /* PT_USER, PT_WRITE, PT_EXEC; 0: no access */
	bool shared;     /* the frames are the image's; else the process's own */
};
#define MAX_AREAS (PAGE_SIZE / sizeof(struct area) - 2) /* two more in the middle of a change */

struct memory {
	struct space space;
	struct pt hidden;   /* root 0: there was no need for it yet */
	struct area *areas; /* a frame of its own */
	uint32_t area_count;
	uint64_t brk; /* end of the heap */
};

/* The kernel's lock is held (guest/smp.h) in these. */

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

/* ... and not in these: they take it. */

/* Moves the end of the heap to `wanted`, where memory and the heap's bounds allow it.  Returns
 * where it is then. */
uint64_t memory_brk(struct memory *memory, uint64_t wanted);

/* As Linux's calls of anonymous private memory, with its values (guest/uapi.h) and its negative
 * errno.  What Linux promises and this has not: MAP_SHARED, MAP_GROWSDOWN, MAP_HUGETLB are -EINVAL;
 * PROT_WRITE for what the image has read-only is -EACCES.  i386: addresses that the kernel chooses
 * fit in 32 bits. */
int64_t memory_mmap(struct memory *memory, uint64_t va, uint64_t len, uint64_t prot, uint64_t flags,
                    bool i386);
int64_t memory_munmap(struct memory *memory, uint64_t va, uint64_t len);
int64_t memory_mprotect(struct memory *memory, uint64_t va, uint64_t len, uint64_t prot);

/* How many of the len bytes from va on ring 3 may write to, up to the first that it may not. */
uint64_t memory_writable(const struct memory *memory, uint64_t va, uint64_t len);

#endif
