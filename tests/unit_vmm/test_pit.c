/* The timer: each mode's counts and outputs tick by tick, what can be latched, and its interrupts.
 */
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/pit.h"

/* The first nanosecond of a tick, from one that begins a second. */
#define SECONDS UINT64_C(1000000000)
static uint64_t at(uint64_t tick)
{
	return 7 * SECONDS + tick / PIT_HZ * SECONDS +
	       (tick % PIT_HZ * SECONDS + PIT_HZ - 1) / PIT_HZ;
}

static struct pit pit;
static uint64_t now; /* in ticks */
static unsigned rises;
static bool line;

static void set_line(void *ctx, bool level)
{
	(void)ctx;
	ck_assert(level != line);
	line = level;
	rises += level;
}

static void setup(void)
{
	now = 0;
	rises = 0;
	line = false;
	pit = (struct pit){.line = set_line};
	pit_init(&pit, at(0));
}

static void out(unsigned port, unsigned value)
{
	pit_write(&pit, (uint16_t)port, (uint8_t)value, at(now));
}

static unsigned in(unsigned port)
{
	return pit_read(&pit, (uint16_t)port, at(now));
}

/* Counter 2 is the one whose gate and output can be seen. */
static unsigned value(void)
{
	unsigned low;

	out(0x43, 0x80);
	low = in(0x42);
	return low | in(0x42) << 8;
}

static bool output(void)
{
	return in(0x61) & 0x20;
}

/* Mode with two-byte counts, by an open gate. */
static void begin(unsigned mode, unsigned count)
{
	out(0x61, 1);
	out(0x43, 0xb0 | mode << 1);
	out(0x42, count & 0xff);
	out(0x42, count >> 8);
	now++; /* it is loaded at the next tick */
}

#define ck_assert_counter(count, out_is)                                                           \
	do {                                                                                       \
		ck_assert_uint_eq(value(), (count));                                               \
		ck_assert_uint_eq(output(), (out_is));                                             \
	} while (0)

START_TEST(terminal_count)
{
	begin(0, 3);
	ck_assert_counter(3, 0);
	now++;
	ck_assert_counter(2, 0);
	out(0x61, 0); /* held */
	now += 10;
	ck_assert_counter(2, 0);
	out(0x61, 1);
	now++;
	ck_assert_counter(1, 0);
	now++;
	ck_assert_counter(0, 1);
	now++;
	ck_assert_counter(0xffff, 1); /* on and on */
	now += 0xffff;
	ck_assert_counter(0, 1);
	out(0x42, 5); /* the first byte of two stops it */
	ck_assert_uint_eq(output(), 0);
	now += 100;
	ck_assert_uint_eq(output(), 0);
	out(0x42, 0);
	now += 6;
	ck_assert_counter(0, 1);
	out(0x61, 0);
	begin(0, 0);
	ck_assert_counter(0, 0);
	now += 65535;
	ck_assert_counter(1, 0);
	now++;
	ck_assert_counter(0, 1);
}
END_TEST

START_TEST(one_shot)
{
	begin(1, 3);
	now += 10;
	ck_assert_uint_eq(output(), 1);
	out(0x61, 0);
	out(0x61, 1); /* the trigger */
	now++;
	ck_assert_counter(3, 0);
	now += 2;
	ck_assert_counter(1, 0);
	out(0x61, 0); /* a gate that is low holds nothing */
	out(0x61, 1); /* once more */
	now++;
	ck_assert_counter(3, 0);
	out(0x42, 5); /* for the next time */
	out(0x42, 0);
	now += 3;
	ck_assert_counter(0, 1);
	out(0x61, 0);
	now++;
	ck_assert_counter(0xffff, 1);
	out(0x61, 1);
	now++;
	ck_assert_counter(5, 0);
}
END_TEST

START_TEST(rate_generator)
{
	begin(2, 3);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_counter(3, 1);
		now++;
		ck_assert_counter(2, 1);
		now++;
		ck_assert_counter(1, 0);
		now++;
	}
	now++;
	out(0x42, 5); /* from the next period on */
	out(0x42, 0);
	ck_assert_counter(2, 1);
	now++;
	ck_assert_counter(1, 0);
	now++;
	ck_assert_counter(5, 1);
	now += 4;
	ck_assert_counter(1, 0);
	out(0x61, 0);
	ck_assert_counter(1, 1);
	now += 7;
	ck_assert_counter(1, 1);
	out(0x61, 1); /* begins anew */
	now++;
	ck_assert_counter(5, 1);
	out(0x42, 4);
	out(0x42, 0);
	out(0x61, 0);
	out(0x61, 1);
	now++;
	ck_assert_counter(4, 1);
	out(0x42, 7); /* the later one of two */
	out(0x42, 0);
	now += 3;
	out(0x42, 2);
	out(0x42, 0);
	now++;
	ck_assert_counter(2, 1);
	begin(2, 1); /* no legal count: it never is high */
	ck_assert_counter(1, 0);
	now += 5;
	ck_assert_counter(1, 0);
}
END_TEST

START_TEST(square_wave)
{
	static const struct {
		uint8_t value, out;
	} even[] = {{4, 1}, {2, 1}, {4, 0}, {2, 0}},
	  odd[] = {{4, 1}, {2, 1}, {0, 1}, {4, 0}, {2, 0}};

	begin(3, 4);
	for (unsigned i = 0; i < 12; i++, now++)
		ck_assert_counter(even[i % 4].value, even[i % 4].out);
	begin(7, 5); /* 7 is 3 */
	for (unsigned i = 0; i < 15; i++, now++)
		ck_assert_counter(odd[i % 5].value, odd[i % 5].out);
	out(0x42, 8); /* from the next half on */
	out(0x42, 0);
	now += 3;
	ck_assert_counter(8, 0);
	now += 3;
	ck_assert_counter(2, 0);
	out(0x42, 2);
	out(0x42, 0);
	now++;
	ck_assert_counter(2, 1);
	now++;
	ck_assert_counter(2, 0);
	out(0x61, 0);
	ck_assert_counter(2, 1);
	out(0x61, 1);
	now++;
	ck_assert_counter(2, 1);
	begin(3, 0);
	now += 32767;
	ck_assert_counter(2, 1);
	now++;
	ck_assert_counter(0, 0);
}
END_TEST

START_TEST(strobes)
{
	begin(4, 2);
	ck_assert_counter(2, 1);
	now++;
	out(0x61, 0);
	now += 5;
	ck_assert_counter(1, 1);
	out(0x61, 1);
	now++;
	ck_assert_counter(0, 0);
	now++;
	ck_assert_counter(0xffff, 1);
	now += 0xffff;
	ck_assert_counter(0, 1); /* once only */
	begin(5, 2);
	now += 5;
	ck_assert_uint_eq(output(), 1);
	out(0x61, 0);
	out(0x61, 1);
	now += 2;
	ck_assert_counter(1, 1);
	now++;
	ck_assert_counter(0, 0);
	now++;
	ck_assert_counter(0xffff, 1);
}
END_TEST

START_TEST(decimal_counts)
{
	out(0x61, 1);
	out(0x43, 0xb1);
	out(0x42, 0x01);
	out(0x42, 0x10);
	now++;
	ck_assert_counter(0x1001, 0);
	now += 2;
	ck_assert_counter(0x999, 0);
	now += 999;
	ck_assert_counter(0, 1);
	now++;
	ck_assert_counter(0x9999, 1);
	out(0x42, 0);
	out(0x42, 0);
	now += 10000;
	ck_assert_counter(1, 0);
	now++;
	ck_assert_counter(0, 1);
	out(0x42, 0xff); /* no digits */
	out(0x42, 0xff);
	now += 16665;
	ck_assert_counter(1, 0);
	now++;
	ck_assert_counter(0, 1);
}
END_TEST

START_TEST(bytes_of_a_count)
{
	out(0x42, 5); /* no control word yet */
	ck_assert_uint_eq(in(0x42), 0);
	out(0x61, 1);
	out(0x43, 0x90); /* low bytes */
	out(0x42, 0x42);
	now++;
	ck_assert_uint_eq(in(0x42), 0x42);
	now++;
	ck_assert_uint_eq(in(0x42), 0x41);
	out(0x43, 0xa0); /* high bytes */
	out(0x42, 0x42);
	now++;
	ck_assert_uint_eq(in(0x42), 0x42);
	now++;
	ck_assert_uint_eq(in(0x42), 0x41);
	out(0x43, 0x80);
	now += 0x200;
	ck_assert_uint_eq(in(0x42), 0x41); /* as it was */
	ck_assert_uint_eq(in(0x42), 0x3f);
	begin(0, 0x1234);
	ck_assert_uint_eq(in(0x42), 0x34);
	ck_assert_uint_eq(in(0x42), 0x12);
	ck_assert_uint_eq(in(0x42), 0x34);
	out(0x43, 0x80);
	now++;
	out(0x43, 0x80); /* not again before it has been read */
	ck_assert_uint_eq(in(0x42), 0x34);
	ck_assert_uint_eq(in(0x42), 0x12);
	ck_assert_uint_eq(in(0x42), 0x12); /* the high byte, which came next */
	ck_assert_uint_eq(in(0x42), 0x33);
	ck_assert_uint_eq(in(0x43), 0xff);
	ck_assert_uint_eq(in(0x44), 0xff);
}
END_TEST

START_TEST(read_back)
{
	out(0x61, 1);
	out(0x43, 0xb6);
	out(0x43, 0xe8);                   /* the status of 2 */
	ck_assert_uint_eq(in(0x42), 0xf6); /* high, no count, both bytes, mode 3 */
	begin(2, 3);
	now++;
	out(0x43, 0xc8); /* both; the status comes first */
	now++;
	out(0x43, 0xc8);
	ck_assert_uint_eq(in(0x42), 0xb4);
	ck_assert_uint_eq(in(0x42), 2);
	ck_assert_uint_eq(in(0x42), 0);
	out(0x43, 0xe8);
	ck_assert_uint_eq(in(0x42), 0x34);
	out(0x42, 9);
	out(0x42, 0);
	out(0x43, 0xe8);
	ck_assert_uint_eq(in(0x42), 0x74); /* not loaded */
	now++;
	out(0x43, 0xe8);
	ck_assert_uint_eq(in(0x42), 0xb4);
	out(0x43, 0xd8); /* the count */
	ck_assert_uint_eq(in(0x42), 9);
	ck_assert_uint_eq(in(0x42), 0);
	out(0x43, 0x11); /* others: one byte, BCD */
	out(0x40, 0x77);
	now++;
	out(0x43, 0xc2);
	ck_assert_uint_eq(in(0x40), 0x11);
	ck_assert_uint_eq(in(0x40), 0x77);
	out(0x43, 0xf8); /* nothing */
	ck_assert_uint_eq(in(0x42), 8);
}
END_TEST

START_TEST(port_61)
{
	unsigned changes = 0, before;

	out(0x61, 0xfe);
	ck_assert_uint_eq(in(0x61) & ~0x10U, 0x0e);
	out(0x61, 0);
	before = in(0x61);
	for (now = 0; now < 1800; now++) {
		changes += in(0x61) != before;
		before = in(0x61);
	}
	ck_assert_uint_ge(changes, 99);
	ck_assert_uint_le(changes, 100);
}
END_TEST

/* ---- Interrupts
 * ---------------------------------------------------------------------------------- */

static void begin_0(unsigned mode, unsigned count)
{
	out(0x43, 0x30 | mode << 1);
	out(0x40, count & 0xff);
	out(0x40, count >> 8);
}

START_TEST(periodic_interrupts)
{
	ck_assert_uint_eq(pit_due(&pit), UINT64_MAX);
	begin_0(2 + (unsigned)_i, 1193);
	ck_assert(line);
	rises = 0;
	for (uint64_t i = 1; i < 3000; i++) {
		ck_assert_uint_eq(pit_due(&pit), at(1 + i * 1193));
		pit_advance(&pit, pit_due(&pit) - 1);
		ck_assert_uint_eq(rises, i - 1);
		pit_advance(&pit, pit_due(&pit));
		ck_assert_uint_eq(rises, i);
	}
	/* Late: one for all, and in phase again. */
	pit_advance(&pit, at(1 + 5000 * 1193 + 7));
	ck_assert_uint_eq(rises, 3000);
	ck_assert_uint_eq(pit_due(&pit), at(1 + 5001 * 1193));
	/* After centuries, too. */
	pit_advance(&pit, at(UINT64_C(1193) << 43));
	ck_assert_uint_eq(rises, 3001);
	ck_assert_uint_eq(pit_due(&pit), at((UINT64_C(1193) << 43) + 1));
}
END_TEST

START_TEST(one_shot_interrupts)
{
	begin_0(0, 100);
	ck_assert(!line);
	ck_assert_uint_eq(pit_due(&pit), at(101));
	now = 50;
	out(0x43, 0); /* a latch changes nothing */
	out(0x42, 1);
	out(0x61, 1);
	ck_assert_uint_eq(pit_due(&pit), at(101));
	pit_advance(&pit, at(101));
	ck_assert(line && rises == 1);
	ck_assert_uint_eq(pit_due(&pit), UINT64_MAX);
	pit_advance(&pit, at(100000));
	ck_assert_uint_eq(rises, 1);
	now = 100000;
	out(0x40, 100);
	ck_assert(!line);
	ck_assert_uint_eq(pit_due(&pit), UINT64_MAX);
	out(0x40, 0);
	now += 101;
	out(0x43, 0x30); /* what is due comes before a write */
	ck_assert_uint_eq(rises, 2);
	ck_assert(!line);
	begin_0(4, 100);
	ck_assert(line && rises == 3);
	ck_assert_uint_eq(pit_due(&pit), at(now + 102));
	pit_advance(&pit, at(now + 102));
	ck_assert_uint_eq(rises, 4);
	ck_assert_uint_eq(pit_due(&pit), UINT64_MAX);
	begin_0(1, 100); /* its gate never rises */
	ck_assert_uint_eq(pit_due(&pit), UINT64_MAX);
}
END_TEST

START_TEST(no_flood)
{
	static const unsigned counts[] = {2, 3, 10, 119};

	for (unsigned i = 0; i < 4; i++) {
		uint64_t end = at(now + PIT_HZ / 10), before = 0;

		begin_0(2 + i % 2, counts[i]);
		rises = 0;
		while (pit_due(&pit) < end) {
			ck_assert(!before || pit_due(&pit) - before >= PIT_LEAST_NS);
			before = pit_due(&pit);
			pit_advance(&pit, before);
		}
		ck_assert_uint_le(rises, 1001);
		ck_assert_uint_ge(rises, 990);
		now += PIT_HZ / 10;
	}
	/* These are never low, or never high. */
	begin_0(2, 1);
	ck_assert_uint_eq(pit_due(&pit), UINT64_MAX);
	begin_0(3, 1);
	ck_assert_uint_eq(pit_due(&pit), UINT64_MAX);
	begin_0(2, 120);
	pit_advance(&pit, pit_due(&pit));
	ck_assert_uint_eq(pit_due(&pit), at(now + 1 + 240));
}
END_TEST

/* ---- Properties
 * ---------------------------------------------------------------------------------- */

/* pit_counter_rises() is the first tick at which pit_counter_output() has risen. */
START_TEST(rises_are_those_of_the_output)
{
	uint64_t state = (uint64_t)_i, tick = PIT_COUNTER_FIRST_TICK;
	struct pit_counter counter = {.gate = true};

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t random = random_next(&state);
		uint64_t rise = pit_counter_rises(&counter, tick);
		bool before = pit_counter_output(&counter, tick);

		for (unsigned n = (unsigned)(random >> 8) % 40; n; n--) {
			bool after = pit_counter_output(&counter, ++tick);

			ck_assert_uint_eq(after && !before, rise == tick);
			if (rise == tick)
				rise = pit_counter_rises(&counter, tick);
			before = after;
		}
		if (random % 8 == 0)
			pit_counter_control(&counter, (random >> 20 & 0xe) | 0x10, tick);
		else if (random % 8 == 1)
			pit_counter_gate(&counter, random >> 63, tick);
		else if (random % 8 < 4)
			pit_counter_write(&counter, (uint8_t)(2 + (random >> 40) % 20), tick);
	}
}
END_TEST

START_TEST(anything_goes)
{
	uint64_t state = (uint64_t)_i, ns = random_size(&state, 60);

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		uint16_t port =
		    (random >> 8) % 6 == 5 ? 0x61 : (uint16_t)(0x40 + (random >> 8) % 6);
		unsigned before = rises;

		ns += random_size(&state, random % 64 ? 22 : 50);
		switch (random % 3) {
		case 0:
			pit_write(&pit, port, (uint8_t)(random >> 16), ns);
			break;
		case 1:
			pit_read(&pit, port, ns);
			break;
		default:
			pit_advance(&pit, ns);
			ck_assert(pit_due(&pit) > ns);
		}
		/* One that was due, and one that the write made. */
		ck_assert_uint_le(rises - before, 2);
	}
}
END_TEST

Suite *pit_suite(void)
{
	Suite *suite = suite_create("pit");
	TCase *tests = tcase_create("pit");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, terminal_count);
	tcase_add_test(tests, one_shot);
	tcase_add_test(tests, rate_generator);
	tcase_add_test(tests, square_wave);
	tcase_add_test(tests, strobes);
	tcase_add_test(tests, decimal_counts);
	tcase_add_test(tests, bytes_of_a_count);
	tcase_add_test(tests, read_back);
	tcase_add_test(tests, port_61);
	tcase_add_loop_test(tests, periodic_interrupts, 0, 2);
	tcase_add_test(tests, one_shot_interrupts);
	tcase_add_test(tests, no_flood);
	tcase_add_loop_test(tests, rises_are_those_of_the_output, 0, 8);
	tcase_add_loop_test(tests, anything_goes, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
