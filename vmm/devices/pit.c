#include "vmm/devices/pit.h"

enum { PORT_CONTROL = 0x43, PORT_61 = 0x61, COUNTERS = 3, COUNTER_0 = 0x40 };
enum { CONTROL_COUNTER_SHIFT = 6, READ_BACK = 3, CONTROL_ACCESS = 0x30 /* 0: a latch */ };
/* Of the read-back command: 0 asks. */
enum { READ_BACK_NO_COUNT = 0x20, READ_BACK_NO_STATUS = 0x10 };
enum { P61_GATE_2 = 1, P61_WRITABLE = 0xf, P61_REFRESH = 0x10, P61_OUT_2 = 0x20 };
/* A row of memory is refreshed every 15 us, by counter 1 in a PC. */
enum { REFRESH_TICKS = 18 };
#define NS_PER_SECOND UINT64_C(1000000000)

/* Whole seconds first: no product overflows, in centuries of uptime. */
static uint64_t tick(uint64_t now_ns)
{
	return PIT_COUNTER_FIRST_TICK + now_ns / NS_PER_SECOND * PIT_HZ +
	       now_ns % NS_PER_SECOND * PIT_HZ / NS_PER_SECOND;
}

/* The first nanosecond of a tick. */
static uint64_t tick_ns(uint64_t at)
{
	uint64_t ticks = at - PIT_COUNTER_FIRST_TICK;

	return ticks / PIT_HZ * NS_PER_SECOND +
	       (ticks % PIT_HZ * NS_PER_SECOND + PIT_HZ - 1) / PIT_HZ;
}

static void set_line(struct pit *pit, bool level)
{
	if (level == pit->level)
		return;
	pit->level = level;
	pit->line(pit->ctx, level);
}

static void find_due(struct pit *pit, uint64_t now_ns)
{
	uint64_t rise = pit_counter_rises(&pit->counter[0], tick(now_ns));

	pit->due = rise == UINT64_MAX ? UINT64_MAX : tick_ns(rise);
}

void pit_advance(struct pit *pit, uint64_t now_ns)
{
	if (now_ns < pit->due)
		return;
	set_line(pit, false);
	set_line(pit, true);
	find_due(pit, now_ns);
	/* Counts of less are asked for by mistake or on purpose; others keep their phase. */
	if (pit_counter_is_periodic(&pit->counter[0]) &&
	    tick_ns(PIT_COUNTER_FIRST_TICK + pit->counter[0].count) < PIT_LEAST_NS &&
	    pit->due < now_ns + PIT_LEAST_NS)
		pit->due = now_ns + PIT_LEAST_NS;
}

void pit_init(struct pit *pit, uint64_t now_ns)
{
	(void)now_ns;
	*pit = (struct pit){.line = pit->line, .ctx = pit->ctx, .due = UINT64_MAX};
	pit->counter[0].gate = pit->counter[1].gate = true;
}

static void write_control(struct pit *pit, uint8_t value, uint64_t now)
{
	unsigned which = value >> CONTROL_COUNTER_SHIFT;

	if (which != READ_BACK) {
		pit_counter_control(&pit->counter[which], value, now);
		return;
	}
	for (unsigned i = 0; i < COUNTERS; i++) {
		if (value & 2U << i)
			pit_counter_latch(&pit->counter[i], !(value & READ_BACK_NO_COUNT),
			                  !(value & READ_BACK_NO_STATUS), now);
	}
}

void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now_ns)
{
	uint64_t now = tick(now_ns);

	if (port == PORT_61) {
		pit->port61 = value & P61_WRITABLE;
		pit_counter_gate(&pit->counter[2], value & P61_GATE_2, now);
		return;
	}
	if (port < COUNTER_0 || port > PORT_CONTROL)
		return;
	/* What was due before this write, which may be the end of it. */
	pit_advance(pit, now_ns);
	if (port == PORT_CONTROL)
		write_control(pit, value, now);
	else
		pit_counter_write(&pit->counter[port - COUNTER_0], value, now);
	/* Only what has changed counter 0 changes when it is due. */
	if (port != COUNTER_0 && !(port == PORT_CONTROL && value >> CONTROL_COUNTER_SHIFT == 0 &&
	                           value & CONTROL_ACCESS))
		return;
	if (!pit_counter_is_periodic(&pit->counter[0]) || !pit->counter[0].counts)
		set_line(pit, pit_counter_output(&pit->counter[0], now));
	find_due(pit, now_ns);
}

uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now_ns)
{
	uint64_t now = tick(now_ns);

	if (port == PORT_61)
		return (uint8_t)(pit->port61 | (now / REFRESH_TICKS % 2 ? P61_REFRESH : 0) |
		                 (pit_counter_output(&pit->counter[2], now) ? P61_OUT_2 : 0));
	if (port < COUNTER_0 || port >= PORT_CONTROL)
		return 0xff;
	return pit_counter_read(&pit->counter[port - COUNTER_0], now);
}

uint64_t pit_due(const struct pit *pit)
{
	return pit->due;
}
