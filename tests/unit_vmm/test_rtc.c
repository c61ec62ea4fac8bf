/* The clock and its RAM, against the C library's calendar. */
#include <string.h>
#include <time.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/rtc.h"

static struct rtc rtc;
static uint64_t now;

static void out(unsigned index, unsigned value)
{
	rtc_write(&rtc, 0x70, (uint8_t)index, now);
	rtc_write(&rtc, 0x71, (uint8_t)value, now);
}

static unsigned in(unsigned index)
{
	rtc_write(&rtc, 0x70, (uint8_t)index, now);
	return rtc_read(&rtc, 0x71, now);
}

static void setup(void)
{
	rtc_init(&rtc, UINT64_C(3) << 30, UINT64_C(5) << 30);
	now = 1709210096; /* 2024-02-29 12:34:56, a Thursday */
}

static unsigned plain(unsigned value)
{
	return value;
}

static unsigned bcd(unsigned value)
{
	return value / 10 * 16 + value % 10;
}

/* All the time's bytes, in 24 hours. */
static void ck_assert_time(uint64_t unix_seconds, unsigned (*form)(unsigned))
{
	time_t seconds = (time_t)unix_seconds;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	ck_assert_uint_eq(in(0), form((unsigned)tm.tm_sec));
	ck_assert_uint_eq(in(2), form((unsigned)tm.tm_min));
	ck_assert_uint_eq(in(4), form((unsigned)tm.tm_hour));
	ck_assert_uint_eq(in(6), (unsigned)tm.tm_wday + 1);
	ck_assert_uint_eq(in(7), form((unsigned)tm.tm_mday));
	ck_assert_uint_eq(in(8), form((unsigned)tm.tm_mon + 1));
	ck_assert_uint_eq(in(9), form((unsigned)tm.tm_year % 100));
	ck_assert_uint_eq(in(0x32), form((unsigned)(tm.tm_year + 1900) / 100));
}

START_TEST(time_in_both_forms)
{
	uint64_t state = 1;

	ck_assert_uint_eq(in(7), 0x29);
	for (unsigned i = 0; i < 2000; i++) {
		now = random_size(&state, 37);
		out(0xb, 2);
		ck_assert_time(now, bcd);
		out(0xb, 6);
		ck_assert_time(now, plain);
	}
	now = UINT64_C(253402300799) + 1000; /* four digits have no year 10000 */
	ck_assert_time(UINT64_C(253402300799), plain);
}
END_TEST

START_TEST(twelve_hours)
{
	static const uint8_t hours[] = {0x12, 1,    2,    3,    4,    5,    6,    7,
	                                8,    9,    0x10, 0x11, 0x92, 0x81, 0x82, 0x83,
	                                0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91};

	out(0xb, 0);
	for (unsigned hour = 0; hour < 24; hour++) {
		now = 3600 * hour;
		ck_assert_uint_eq(in(4), hours[hour]);
	}
	for (unsigned hour = 0; hour < 24; hour++) {
		out(0xb, 0);
		out(4, hours[hour]);
		out(0xb, 2);
		ck_assert_uint_eq(in(4), bcd(hour));
	}
}
END_TEST

static void set_time(uint64_t unix_seconds, unsigned (*form)(unsigned))
{
	time_t seconds = (time_t)unix_seconds;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	out(0x32, form((unsigned)(tm.tm_year + 1900) / 100));
	out(9, form((unsigned)tm.tm_year % 100));
	out(8, form((unsigned)tm.tm_mon + 1));
	out(7, form((unsigned)tm.tm_mday));
	out(6, form((unsigned)tm.tm_wday + 1));
	out(4, form((unsigned)tm.tm_hour));
	out(2, form((unsigned)tm.tm_min));
	out(0, form((unsigned)tm.tm_sec));
}

START_TEST(setting_the_time)
{
	uint64_t state = 2, host = now;

	for (unsigned i = 0; i < 2000; i++) {
		uint64_t then = random_size(&state, 37);
		unsigned format = i % 2 ? 6 : 2;

		now = host;
		out(0xb, format | 0x80);
		set_time(then, i % 2 ? plain : bcd);
		now += 1000; /* it stands still */
		ck_assert_time(then, i % 2 ? plain : bcd);
		out(0xb, format);
		ck_assert_time(then, i % 2 ? plain : bcd);
		now += 12345;
		ck_assert_time(then + 12345, i % 2 ? plain : bcd);
	}
	/* One byte, while it runs. */
	rtc.offset = 0;
	now = host;
	out(0xb, 6);
	out(4, 3);
	now += 3600;
	ck_assert_time(host - 9 * 3600 + 3600, plain);
}
END_TEST

START_TEST(no_time_is_wrong)
{
	out(0xb, 0x82);
	for (unsigned index = 0; index < 10; index++)
		out(index, 0xff);
	out(0x32, 0xff);
	out(0xb, 2);
	for (unsigned index = 0; index < 10; index++)
		in(index);
	ck_assert_uint_eq(in(9), 0x99);
	out(0xb, 0x82);
	set_time(0, plain);
	out(0x32, 0);
	out(9, 0);
	out(8, 0);
	out(7, 0);
	out(0xb, 2);
	/* The day before 0000-01-01 is that day. */
	ck_assert_uint_eq(in(7), 1);
	ck_assert_uint_eq(in(8), 1);
	ck_assert_uint_eq(in(6), 7);
	now = 0;
	ck_assert_uint_eq(in(0x32), 0);
	/* February 31 is March 2 of a leap year. */
	now = 1709210096;
	rtc.offset = 0;
	out(7, 0x31);
	ck_assert_uint_eq(in(7), 2);
	ck_assert_uint_eq(in(8), 3);
}
END_TEST

START_TEST(registers)
{
	ck_assert_uint_eq(in(0xa), 0x26);
	ck_assert_uint_eq(in(0xb), 2);
	ck_assert_uint_eq(in(0xc), 0);
	ck_assert_uint_eq(in(0xd), 0x80);
	out(0xa, 0xff);
	out(0xb, 0x7f);
	out(0xc, 0xff);
	out(0xd, 0);
	ck_assert_uint_eq(in(0xa), 0x7f);
	ck_assert_uint_eq(in(0xb), 0x7f);
	ck_assert_uint_eq(in(0xc), 0);
	ck_assert_uint_eq(in(0xd), 0x80);
	out(0xf, 0xa); /* the shutdown status: who starts other CPUs writes it */
	ck_assert_uint_eq(in(0xf), 0xa);
	out(5, 0xc0); /* an alarm */
	ck_assert_uint_eq(in(5), 0xc0);
	ck_assert_uint_eq(in(0x80 | 0xf), 0xa); /* with NMIs masked */
	ck_assert_uint_eq(rtc_read(&rtc, 0x70, now), 0xff);
	rtc_write(&rtc, 0x72, 0xd, now);
	ck_assert_uint_eq(rtc_read(&rtc, 0x71, now), 0xa);
	ck_assert_uint_eq(rtc_read(&rtc, 0x73, now), 0xff);
}
END_TEST

static unsigned number(unsigned at, unsigned count)
{
	unsigned value = 0;

	while (count--)
		value = value << 8 | in(at + count);
	return value;
}

START_TEST(memory_sizes)
{
	static const struct {
		uint64_t low, high;
		unsigned base, extended, above_16m, above_4g;
	} cases[] = {
	    {UINT64_C(3) << 30, UINT64_C(5) << 30, 640, 0xffff, 0xbf00, 0x14000},
	    {32 << 20, 0, 640, 31 << 10, 0x100, 0},
	    {16 << 20, 0, 640, 15 << 10, 0, 0},
	    {512 << 10, 0, 512, 0, 0, 0},
	    {UINT64_MAX, UINT64_MAX, 640, 0xffff, 0xffff, 0xffffff},
	    {0, 0xffff, 0, 0, 0, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rtc_init(&rtc, cases[i].low, cases[i].high);
		ck_assert_uint_eq(number(0x15, 2), cases[i].base);
		ck_assert_uint_eq(number(0x17, 2), cases[i].extended);
		ck_assert_uint_eq(number(0x30, 2), cases[i].extended);
		ck_assert_uint_eq(number(0x34, 2), cases[i].above_16m);
		ck_assert_uint_eq(number(0x5b, 3), cases[i].above_4g);
	}
}
END_TEST

START_TEST(anything_goes)
{
	uint64_t state = (uint64_t)_i;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		uint16_t port = (uint16_t)(0x70 + (random >> 60) % 3);

		now = random_size(&state, 62);
		if (random % 2)
			rtc_write(&rtc, port, (uint8_t)(random >> 8), now);
		else
			rtc_read(&rtc, port, now);
		if (random % 64 == 1)
			out((unsigned)(random >> 16) % 16, (uint8_t)(random >> 24));
		ck_assert_uint_eq(in(0xa) & 0x80, 0);
		ck_assert_uint_eq(in(0xd), 0x80);
	}
}
END_TEST

Suite *rtc_suite(void)
{
	Suite *suite = suite_create("rtc");
	TCase *tests = tcase_create("rtc");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, time_in_both_forms);
	tcase_add_test(tests, twelve_hours);
	tcase_add_test(tests, setting_the_time);
	tcase_add_test(tests, no_time_is_wrong);
	tcase_add_test(tests, registers);
	tcase_add_test(tests, memory_sizes);
	tcase_add_loop_test(tests, anything_goes, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
