/*
 * What of a process stays in the processor while the kernel runs.
 */
#ifndef GUEST_SEGMENTS_H
#define GUEST_SEGMENTS_H

#include <stdint.h>

/* In the process's own hands: changed by ring 3 without asking, moved by switch_segments (switch.S)
 * at a context switch only.
 */
struct segments {
	uint8_t sse[512] __attribute__((aligned(16))); /* FXSAVE's area, SDM volume 1, 10.5 */
	uint64_t fs_base, gs_base;
	uint16_t ds, es, fs, gs;
};

/* As after reset, with null selectors. */
void segments_init(struct segments *segments);
/* Selectors of descriptors [first, end) of the GDT become null, as if the process had loaded that.
 */
void segments_drop(struct segments *segments, uint16_t first, uint16_t end);

#endif
