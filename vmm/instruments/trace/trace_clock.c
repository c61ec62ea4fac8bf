#include "vmm/instruments/trace/trace_clock.h"

__extension__ typedef unsigned __int128 wide;

void trace_clock_start(struct trace_clock *clock, uint64_t ticks, uint64_t nanoseconds)
{
	*clock = (struct trace_clock){.first = {ticks, nanoseconds}};
}

/* The i-th of those still kept, 0 the latest; the first one of all behind them. */
static const struct trace_reading *reading(const struct trace_clock *clock, uint64_t i)
{
	if (i >= clock->count || i >= TRACE_CLOCK_READINGS)
		return &clock->first;
	return &clock->last[(clock->count - 1 - i) % TRACE_CLOCK_READINGS];
}

void trace_clock_read(struct trace_clock *clock, uint64_t ticks, uint64_t nanoseconds)
{
	const struct trace_reading *latest = reading(clock, 0);

	if (ticks <= latest->ticks || nanoseconds <= latest->nanoseconds)
		return;
	clock->last[clock->count++ % TRACE_CLOCK_READINGS] =
	    (struct trace_reading){ticks, nanoseconds};
}

uint64_t trace_clock_at(const struct trace_clock *clock, uint64_t ticks)
{
	const uint64_t zero = clock->first.nanoseconds;
	const struct trace_reading *after = reading(clock, 0), *before;

	if (ticks >= after->ticks)
		return after->nanoseconds - zero;
	if (ticks <= clock->first.ticks)
		return 0;
	for (uint64_t i = 1;; i++, after = before) {
		before = reading(clock, i);
		if (before->ticks <= ticks)
			break;
	}
	return before->nanoseconds - zero +
	       (uint64_t)((wide)(ticks - before->ticks) *
	                  (after->nanoseconds - before->nanoseconds) /
	                  (after->ticks - before->ticks));
}
