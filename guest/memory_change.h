/*
 * What happens to the pages of a range, all of it or nothing: what can fail is done first.
 */
#ifndef GUEST_MEMORY_CHANGE_H
#define GUEST_MEMORY_CHANGE_H

#include "guest/memory.h"

enum memory_change { UNMAP, MAP, PROTECT };

/* UNMAP: the range is in no area afterwards; MAP: it is one, of zeros; PROTECT: the areas, in which
 * all of it lies, have other rights there.  rights: from now on; 0 for UNMAP.  False: no memory,
 * and everything is as it was.  Takes the kernel's lock. */
bool memory_change(struct memory *memory, enum memory_change kind, uint64_t va, uint64_t end,
                   uint32_t rights);
/* The same where the lock is held. */
bool memory_change_locked(struct memory *memory, enum memory_change kind, uint64_t va, uint64_t end,
                          uint32_t rights);
/* Unmaps all areas and frees what is theirs alone; they stay in the list.  The lock is held. */
void memory_clear(struct memory *memory);

/* A page of an area without rights has this frame.  False: no memory. */
bool memory_hide_page(struct memory *memory, uint64_t va, uint64_t frame);
/* What a tree maps at a page. */
bool memory_frame_of(const struct pt *tree, uint64_t va, uint64_t *frame);

#endif
