#include "vmm/instruments/report/timeline.h"

#include <string.h>

#include <linux/kvm.h>

/* 2^14 ticks are some 5 microseconds: no exit is faster. */
enum { FIRST_SHIFT = 14 };

void timeline_start(struct timeline *timeline, uint64_t now)
{
	*timeline = (struct timeline){.start = now, .shift = FIRST_SHIFT};
}

static void halve(struct timeline *timeline)
{
	struct timeline_slot *slots = timeline->slots;

	for (unsigned i = 0; i < TIMELINE_SLOTS / 2; i++)
		for (unsigned c = 0; c < TIMELINE_CLASSES; c++)
			slots[i].exits[c] = slots[2 * i].exits[c] + slots[2 * i + 1].exits[c];
	memset(slots + TIMELINE_SLOTS / 2, 0, TIMELINE_SLOTS / 2 * sizeof(*slots));
	timeline->used = (timeline->used + 1) / 2;
	timeline->shift++;
}

static struct timeline_slot *slot_of(struct timeline *timeline, uint64_t now)
{
	uint64_t ticks = now > timeline->start ? now - timeline->start : 0;
	unsigned slot;

	while (ticks >> timeline->shift >= TIMELINE_SLOTS)
		halve(timeline);
	slot = (unsigned)(ticks >> timeline->shift);
	if (slot >= timeline->used)
		timeline->used = slot + 1;
	return &timeline->slots[slot];
}

void timeline_add(struct timeline *timeline, uint64_t now, uint32_t reason)
{
	enum timeline_class class = reason == KVM_EXIT_IO     ? TIMELINE_IO
	                            : reason == KVM_EXIT_MMIO ? TIMELINE_MMIO
	                                                      : TIMELINE_OTHER;

	slot_of(timeline, now)->exits[class]++;
}

void timeline_reach(struct timeline *timeline, uint64_t now)
{
	slot_of(timeline, now);
}
