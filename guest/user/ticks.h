/*
 * What a tick of the TSC is on this host, and so what may be said of figures in ticks.
 */
#ifndef GUEST_USER_TICKS_H
#define GUEST_USER_TICKS_H

#include <stdbool.h>
#include <stdint.h>

enum tick_kind {
	TICK_CYCLE,       /* the hardware's */
	TICK_INTERPRETED, /* a cycle, but this KVM interprets ring 0, an instruction at a time */
	TICK_INSTRUCTION, /* one instruction */
	TICK_EMULATED,    /* a cycle of a clock, while the CPU is emulated */
	TICK_KINDS
};

struct ticks {
	enum tick_kind kind;
	uint64_t ring0_times; /* how much longer than in ring 3 a loop takes in ring 0 */
};

/* By the speed of a loop in both rings. */
struct ticks ticks_judge(void);
bool ticks_are_instructions(void);

/* "cycles", "interp. cycles", "instructions", "emulated cycles": for rs_record.unit. */
extern const char tick_units[TICK_KINDS][16];

#endif
