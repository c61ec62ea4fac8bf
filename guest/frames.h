/*
 * Physical frames of 4096 bytes and the direct map that reaches them.
 */
#ifndef GUEST_FRAMES_H
#define GUEST_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/pt.h"

/* The guest's own frames: high RAM, then boot->free_start to boot->free_end; all zero. */
void frames_init(const struct rs_boot *boot);
/* A zeroed frame into *frame; false when RAM is used up. */
bool frame_alloc(uint64_t *frame);
/* A frame with any content, for who writes all of it. */
bool frame_alloc_dirty(uint64_t *frame);
/* Back to the pool.  Clearing 4 KiB costs 300 us where ring 0 is interpreted, so a frame known to
 * be zero says so. */
void frame_free(uint64_t frame);
void frame_free_zero(uint64_t frame);
/* Frames that frame_alloc could still give. */
uint64_t frames_free(void);
/* How the page-table builder gets at all this. */
extern const struct pt_memory frames_pt_memory;

static inline void *frame_at(uint64_t gpa)
{
	return (void *)(RS_DIRECT_BASE + gpa);
}

#endif
