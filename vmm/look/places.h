/*
 * What lies where in a guest's address space, as one sorted list of ranges with names: the image's
 * segments and the layout of shared/abi.h; of a kernel with another one what the processor goes by,
 * and what a Linux has, if its symbols are known.
 */
#ifndef VMM_LOOK_PLACES_H
#define VMM_LOOK_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/layout.h"
#include "vmm/look/look.h"

enum place_kind {
	PLACE_USER,   /* the user half */
	PLACE_KERNEL, /* for the kernel root alone */
	PLACE_ENTRY,  /* the entry area: for both roots */
};

struct place {
	uint64_t va, len;
	enum place_kind kind;
	uint32_t rights; /* PT_WRITE and PT_EXEC: the most that a page here may have */
	bool exact;      /* all of it is mapped, with just these rights, from boot on */
	uint64_t gpa;    /* where it lies in RAM if `placed` */
	bool placed;
	char name[24];
};

enum { PLACES_MAX = RS_MAX_SEGMENTS + 8 + LAYOUT_PARTS * RS_MAX_CPUS + 64 };

struct places {
	struct place list[PLACES_MAX]; /* sorted by address, not overlapping */
	size_t count;
	bool legacy;  /* addresses have 32 bits, and no half is anybody's */
	bool foreign; /* the moment was: shared/abi.h says nothing of what has no place */
};

/* Fills the list.  Segments that overlap what is there already are left out (a core file may claim
 * anything). */
void places_make(struct places *places, struct look *look);

/* The place that holds the address; NULL when it has none.  *end, if not NULL, becomes the last
 * byte up to which the answer is the same. */
const struct place *places_find(const struct places *places, uint64_t va, uint64_t *end);

/* The name of the place, or what can be said of an address without one; never NULL. */
const char *places_name(const struct places *places, uint64_t va);

#endif
