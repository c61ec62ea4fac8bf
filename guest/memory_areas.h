/*
 * The areas of a process's memory as a list: nothing here maps a page or takes a frame.
 */
#ifndef GUEST_MEMORY_AREAS_H
#define GUEST_MEMORY_AREAS_H

#include "guest/memory.h"

/* A part of a range that lies in one area, or in none. */
struct piece {
	uint64_t va, len;
	const struct area *area;
};

/* Index of the first area that ends above va. */
uint32_t area_above(const struct memory *memory, uint64_t va);
/* From one piece to the next below `end`; the first is behind one of length 0.  False: no more. */
bool area_next_piece(const struct memory *memory, struct piece *piece, uint64_t end);
/* Whether the range lies in no area. */
bool area_is_free(const struct memory *memory, uint64_t va, uint64_t end);
/* Whether an area begins below va and ends above. */
bool area_lies_across(const struct memory *memory, uint64_t va);

/* There is room for one more. */
void area_insert(struct memory *memory, const struct area *area);
/* An area that lies across va becomes two. */
void area_cut(struct memory *memory, uint64_t va);
/* The areas from va to end, which do not lie across either, are no more. */
void area_remove(struct memory *memory, uint64_t va, uint64_t end);
/* Whether two neighbours can be one area. */
bool area_alike(const struct area *a, const struct area *b);
/* Makes one of all that can be one. */
void area_merge(struct memory *memory);

#endif
