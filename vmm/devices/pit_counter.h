/*
 * A counter of Intel's 8254: its six modes, its count and its output at any time, computed from
 * when it was loaded, so that nothing need happen at every tick.  pit.h puts three into a PC.
 *
 * Times are ticks of the counter's clock, which never go back; the first is far enough from 0
 * (PIT_COUNTER_FIRST_TICK) for what began before it.
 */
#ifndef VMM_DEVICES_PIT_COUNTER_H
#define VMM_DEVICES_PIT_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#define PIT_COUNTER_FIRST_TICK (UINT64_C(1) << 17)

struct pit_counter {
	/* The control word: RW1 and RW0; M2 to M0, where 6 and 7 are 2 and 3; BCD. */
	uint8_t access, mode;
	bool bcd;
	bool gate;

	bool counts;     /* a count has been loaded since the control word */
	uint32_t count;  /* the count: 1 to 65536; with digits that are none, also in BCD more */
	uint64_t start;  /* when it was loaded */
	uint64_t passed; /* ticks since then, while the gate holds it: start means nothing */

	uint32_t next; /* written and not loaded yet; 0: none */
	uint64_t next_at;

	bool has_low;         /* a low byte has been written, the high one is to come */
	bool reads_high;      /* as the next byte of a count that is not latched */
	uint8_t low;          /* the former */
	uint8_t latched;      /* bytes to be read of latch; 0: the count is not latched */
	bool status_latched;  /* and is read first */
	uint8_t latch_status; /* OUT, null count, control word */
	uint16_t latch;       /* the next byte is the low one */
};

/* A control word for this counter (bits 5 to 0), or, of access 0, the counter latch command. */
void pit_counter_control(struct pit_counter *counter, uint8_t value, uint64_t now);
/* The read-back command. */
void pit_counter_latch(struct pit_counter *counter, bool count, bool status, uint64_t now);
void pit_counter_write(struct pit_counter *counter, uint8_t value, uint64_t now);
uint8_t pit_counter_read(struct pit_counter *counter, uint64_t now);
void pit_counter_gate(struct pit_counter *counter, bool gate, uint64_t now);

/* OUT.  Before the first control word: low. */
bool pit_counter_output(struct pit_counter *counter, uint64_t now);
/* When OUT next rises by itself: a tick after `now`; UINT64_MAX: never. */
uint64_t pit_counter_rises(struct pit_counter *counter, uint64_t now);
/* Whether it does so again and again. */
bool pit_counter_is_periodic(const struct pit_counter *counter);

#endif
