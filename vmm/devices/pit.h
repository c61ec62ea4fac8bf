/*
 * A PC's timer: Intel's 8254 at ports 0x40 to 0x43, its counter 0 on IRQ 0, counter 2 behind port
 * 0x61, whose bit 4 shows counter 1's work, the refresh of memory.
 *
 * Interrupts are the edges of counter 0's OUT.  In the periodic modes the line is told a fall
 * together with the rise that ends it.  Who comes late gets one edge for all that are missed.  They
 * come no closer than PIT_LEAST_NS, whatever the count is: each costs the host a timer, a wake-up
 * and an entry, and a guest could ask for 600,000 a second by one OUT.  Counts and outputs are
 * exact all the same, and one-shots too, each of which costs the guest an exit of its own.
 */
#ifndef VMM_DEVICES_PIT_H
#define VMM_DEVICES_PIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/pit_counter.h"

enum { PIT_HZ = 1193182, PIT_LEAST_NS = 100000 };

struct pit {
	void (*line)(void *ctx, bool level); /* OUT 0, when it changes */
	void *ctx;

	struct pit_counter counter[3];
	uint64_t due;   /* pit_due() */
	uint8_t port61; /* bits 0 to 3, as written */
	bool level;     /* told last */
};

/* No counter has a control word: their OUT is low.  Times here and below: CLOCK_MONOTONIC, in
 * nanoseconds; they may be the same again, not less.  Keeps the callbacks, calls none. */
void pit_init(struct pit *pit, uint64_t now_ns);
/* Ports 0x40 to 0x43 and 0x61; others take nothing and read as 0xff. */
void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now_ns);
uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now_ns);

/* When the next interrupt is to be; UINT64_MAX: never, until something is written. */
uint64_t pit_due(const struct pit *pit);
/* Tells the line the edge that is due, if any.  pit_write() does so, too. */
void pit_advance(struct pit *pit, uint64_t now_ns);

#endif
