#include "vmm/devices/pit_counter.h"

/* The modes by their names (data sheet, "Mode definitions"). */
enum {
	TERMINAL_COUNT,
	ONE_SHOT, /* by the gate */
	RATE,
	SQUARE_WAVE,
	SOFTWARE_STROBE,
	HARDWARE_STROBE, /* by the gate */
};
enum { LATCH = 0, LOW = 1, HIGH = 2, BOTH = 3 };
enum { CONTROL_BCD = 1, CONTROL_MODE_SHIFT = 1, CONTROL_ACCESS_SHIFT = 4 };
enum { STATUS_NULL_COUNT = 0x40, STATUS_OUT = 0x80 };

static bool is_triggered(const struct pit_counter *counter)
{
	return counter->mode == ONE_SHOT || counter->mode == HARDWARE_STROBE;
}

bool pit_counter_is_periodic(const struct pit_counter *counter)
{
	return counter->mode == RATE || counter->mode == SQUARE_WAVE;
}

/* ---- Numbers
 * ------------------------------------------------------------------------------------- */

static uint32_t modulus(const struct pit_counter *counter)
{
	return counter->bcd ? 10000 : 65536;
}

static uint32_t decode(const struct pit_counter *counter, uint16_t written)
{
	uint32_t value = written;

	if (counter->bcd)
		value = (written >> 12) * 1000U + (written >> 8 & 0xf) * 100U +
		        (written >> 4 & 0xf) * 10U + (written & 0xf);
	return value ? value : modulus(counter);
}

static uint16_t encode(const struct pit_counter *counter, uint32_t value)
{
	value %= modulus(counter);
	if (!counter->bcd)
		return (uint16_t)value;
	return (uint16_t)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
	                  value % 10);
}

/* ---- Time
 * ---------------------------------------------------------------------------------------- */

/* Ticks since the count was loaded; a count is loaded at the tick after its write. */
static uint64_t passed(const struct pit_counter *counter, uint64_t now)
{
	if (!counter->gate && !is_triggered(counter))
		return counter->passed;
	return now > counter->start ? now - counter->start : 0;
}

/* Of a square wave's period, how long it is high. */
static uint32_t high_part(uint32_t count)
{
	return (count + 1) / 2;
}

static void load(struct pit_counter *counter, uint32_t count, uint64_t at)
{
	counter->counts = true;
	counter->count = count;
	counter->start = at;
	counter->passed = 0;
	counter->next = 0;
}

/* A new count of a periodic mode waits for the end of a period, of a square wave's half. */
static void settle(struct pit_counter *counter, uint64_t now)
{
	uint32_t next = counter->next;
	bool falls;

	if (!next || !counter->gate || is_triggered(counter) || now < counter->next_at)
		return;
	falls = counter->mode == SQUARE_WAVE &&
	        (counter->next_at - counter->start) % counter->count != 0;
	load(counter, next, counter->next_at - (falls ? high_part(next) : 0));
}

/* The end of what is going on now. */
static uint64_t part_end(const struct pit_counter *counter, uint64_t now)
{
	uint64_t since = passed(counter, now), in_period = since % counter->count;
	uint64_t begin = (now > counter->start ? now : counter->start) - in_period;

	if (counter->mode == SQUARE_WAVE && in_period < high_part(counter->count))
		return begin + high_part(counter->count);
	return begin + counter->count;
}

static uint32_t value_at(const struct pit_counter *counter, uint64_t now)
{
	uint64_t since = passed(counter, now);
	uint32_t count = counter->count, in_period;

	if (!counter->counts)
		return 0;
	if (!pit_counter_is_periodic(counter))
		return count + modulus(counter) - (uint32_t)(since % modulus(counter));
	in_period = (uint32_t)(since % count);
	if (counter->mode == RATE)
		return count - in_period;
	/* By twos, in each half; of an odd count, from one less. */
	if (in_period >= high_part(count))
		in_period -= high_part(count);
	return count - count % 2 - 2 * in_period;
}

bool pit_counter_output(struct pit_counter *counter, uint64_t now)
{
	uint64_t since;

	settle(counter, now);
	since = passed(counter, now);
	if (!counter->counts)
		return counter->access && counter->mode != TERMINAL_COUNT;
	switch (counter->mode) {
	case TERMINAL_COUNT:
	case ONE_SHOT:
		return since >= counter->count;
	case RATE:
		return !counter->gate || since % counter->count != counter->count - 1;
	case SQUARE_WAVE:
		return !counter->gate || since % counter->count < high_part(counter->count);
	default:
		return since != counter->count;
	}
}

uint64_t pit_counter_rises(struct pit_counter *counter, uint64_t now)
{
	uint64_t rise;

	settle(counter, now);
	if (!counter->counts || (!counter->gate && !is_triggered(counter)))
		return UINT64_MAX;
	if (pit_counter_is_periodic(counter)) {
		/* Behind the half that is going on, one more, unless it is the low one; a new count
		 * is in place by then. */
		uint64_t end = part_end(counter, now);
		struct pit_counter then = *counter;

		settle(&then, end);
		if (then.count == 1)
			return UINT64_MAX; /* never low, or never high */
		return (end - then.start) % then.count ? part_end(&then, end) : end;
	}
	rise = counter->start + counter->count +
	       (counter->mode == SOFTWARE_STROBE || counter->mode == HARDWARE_STROBE);
	return rise > now ? rise : UINT64_MAX;
}

/* ---- What the processor does
 * --------------------------------------------------------------------- */

static uint8_t status(struct pit_counter *counter, uint64_t now)
{
	bool out = pit_counter_output(counter, now);
	bool null = counter->next || !counter->counts || (counter->gate && now < counter->start);

	return (uint8_t)((out ? STATUS_OUT : 0) | (null ? STATUS_NULL_COUNT : 0) |
	                 counter->access << CONTROL_ACCESS_SHIFT |
	                 counter->mode << CONTROL_MODE_SHIFT | (counter->bcd ? CONTROL_BCD : 0));
}

/* What is latched stays until it has been read. */
void pit_counter_latch(struct pit_counter *counter, bool count, bool with_status, uint64_t now)
{
	settle(counter, now);
	if (with_status && !counter->status_latched) {
		counter->latch_status = status(counter, now);
		counter->status_latched = true;
	}
	if (!count || counter->latched)
		return;
	counter->latch = encode(counter, value_at(counter, now));
	counter->latched = counter->access == BOTH ? 2 : 1;
	if (counter->access == HIGH)
		counter->latch >>= 8;
}

void pit_counter_control(struct pit_counter *counter, uint8_t value, uint64_t now)
{
	uint8_t access = value >> CONTROL_ACCESS_SHIFT & 3, mode = value >> CONTROL_MODE_SHIFT & 7;

	if (access == LATCH) {
		pit_counter_latch(counter, true, false, now);
		return;
	}
	*counter = (struct pit_counter){
	    .access = access,
	    .mode = mode > HARDWARE_STROBE ? mode & 3 : mode,
	    .bcd = value & CONTROL_BCD,
	    .gate = counter->gate,
	};
}

static void write_count(struct pit_counter *counter, uint16_t written, uint64_t now)
{
	uint32_t count = decode(counter, written);

	settle(counter, now);
	if (is_triggered(counter)) {
		counter->next = count; /* for the next trigger */
	} else if (pit_counter_is_periodic(counter) && counter->counts) {
		/* In the place of one that waits already, at the same time. */
		if (!counter->next)
			counter->next_at = part_end(counter, now);
		counter->next = count;
	} else {
		load(counter, count, now + 1);
	}
}

void pit_counter_write(struct pit_counter *counter, uint8_t value, uint64_t now)
{
	switch (counter->access) {
	case LOW:
		write_count(counter, value, now);
		break;
	case HIGH:
		write_count(counter, (uint16_t)(value << 8), now);
		break;
	case BOTH:
		counter->has_low = !counter->has_low;
		if (!counter->has_low) {
			write_count(counter, (uint16_t)(value << 8 | counter->low), now);
			break;
		}
		counter->low = value;
		if (counter->mode == TERMINAL_COUNT)
			counter->counts = false; /* the first byte stops it, and OUT is low */
		break;
	default: /* no control word yet */
		break;
	}
}

uint8_t pit_counter_read(struct pit_counter *counter, uint64_t now)
{
	uint16_t value;
	bool high = counter->access == HIGH;

	if (counter->status_latched) {
		counter->status_latched = false;
		return counter->latch_status;
	}
	if (counter->latched) {
		uint8_t byte = (uint8_t)counter->latch;

		counter->latched--;
		counter->latch >>= 8;
		return byte;
	}
	settle(counter, now);
	value = encode(counter, value_at(counter, now));
	if (counter->access == BOTH) {
		high = counter->reads_high;
		counter->reads_high = !high;
	}
	return (uint8_t)(high ? value >> 8 : value);
}

void pit_counter_gate(struct pit_counter *counter, bool gate, uint64_t now)
{
	settle(counter, now);
	if (gate == counter->gate)
		return;
	if (!gate) {
		counter->passed = passed(counter, now);
		counter->gate = false;
		return;
	}
	counter->gate = true;
	if (is_triggered(counter)) {
		if (counter->next || counter->counts)
			load(counter, counter->next ? counter->next : counter->count, now + 1);
	} else if (!counter->counts) {
		return;
	} else if (pit_counter_is_periodic(counter)) {
		load(counter, counter->next ? counter->next : counter->count, now + 1);
	} else {
		counter->start = now - counter->passed;
	}
}
