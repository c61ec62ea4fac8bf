/*
 * Time stamps as nanoseconds of CLOCK_MONOTONIC, while the run still goes on.
 *
 * The report can wait for the end and divide the two clocks once (vmm/run/stats.h).  A trace that
 * is streamed cannot, so both clocks are read now and then, and what lies between two such readings
 * is interpolated: no frequency is assumed, a clock that drifts is followed, and later time stamps
 * never become earlier times.
 */
#ifndef VMM_INSTRUMENTS_TRACE_TRACE_CLOCK_H
#define VMM_INSTRUMENTS_TRACE_TRACE_CLOCK_H

#include <stdint.h>

enum { TRACE_CLOCK_READINGS = 256 };

struct trace_clock {
	uint64_t count; /* readings, ever */
	struct trace_reading {
		uint64_t ticks, nanoseconds;
	} first, last[TRACE_CLOCK_READINGS]; /* last: a ring of the latest ones */
};

/* Both clocks at the moment that is to be nanosecond 0. */
void trace_clock_start(struct trace_clock *clock, uint64_t ticks, uint64_t nanoseconds);
/* Both clocks later.  A reading that does not lie behind the last one on both clocks is ignored. */
void trace_clock_read(struct trace_clock *clock, uint64_t ticks, uint64_t nanoseconds);
/* Nanoseconds since the start.  Before the start: 0.  Behind the last reading: the time of that. */
uint64_t trace_clock_at(const struct trace_clock *clock, uint64_t ticks);

#endif
