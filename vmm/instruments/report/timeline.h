/*
 * Exits over time in constant memory: slots of equal length from the start of the run on, as many
 * as a picture has columns.  When the run outgrows them, neighbours are added up and each slot
 * stands for twice the time.
 */
#ifndef VMM_INSTRUMENTS_REPORT_TIMELINE_H
#define VMM_INSTRUMENTS_REPORT_TIMELINE_H

#include <stdint.h>

enum { TIMELINE_SLOTS = 128 };

enum timeline_class { TIMELINE_IO, TIMELINE_MMIO, TIMELINE_OTHER, TIMELINE_CLASSES };

struct timeline {
	uint64_t start; /* time stamp */
	unsigned shift; /* a slot is 2^shift ticks */
	unsigned used;  /* slots 0 to used - 1 lie in the past or the present */
	struct timeline_slot {
		uint64_t exits[TIMELINE_CLASSES];
	} slots[TIMELINE_SLOTS];
};

void timeline_start(struct timeline *timeline, uint64_t now);
/* An exit at `now` (ticks), for a reason as in stats.  A time before the start counts as the start.
 */
void timeline_add(struct timeline *timeline, uint64_t now, uint32_t reason);
/* The run has come to `now` without an exit. */
void timeline_reach(struct timeline *timeline, uint64_t now);

#endif
