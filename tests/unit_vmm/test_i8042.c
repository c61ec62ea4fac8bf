/* The keyboard controller that nothing is plugged into. */
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/i8042.h"

static struct i8042 i8042;
static unsigned resets;
static bool line;

static void reset(void *ctx)
{
	(void)ctx;
	resets++;
}

static void set_line(void *ctx, bool level)
{
	(void)ctx;
	ck_assert(level != line);
	line = level;
}

static void setup(void)
{
	i8042 = (struct i8042){.reset = reset, .line = set_line};
	i8042_init(&i8042);
	resets = 0;
	line = false;
}

static void command(unsigned value)
{
	i8042_write(&i8042, 0x64, (uint8_t)value);
	ck_assert_uint_eq(i8042_read(&i8042, 0x64) & 2, 0); /* never busy */
}

static void data(unsigned value)
{
	i8042_write(&i8042, 0x60, (uint8_t)value);
}

static unsigned status(void)
{
	return i8042_read(&i8042, 0x64);
}

/* The answer that must be there by now. */
static unsigned answer(void)
{
	ck_assert_uint_eq(status() & 1, 1);
	return i8042_read(&i8042, 0x60);
}

static unsigned ask(unsigned value)
{
	command(value);
	return answer();
}

START_TEST(tests_are_passed)
{
	ck_assert_uint_eq(status(), 0x14);
	ck_assert_uint_eq(ask(0xaa), 0x55);
	ck_assert_uint_eq(status(), 0x1c);
	ck_assert_uint_eq(ask(0xab), 0);
	ck_assert_uint_eq(ask(0xc0), 0x80);
	ck_assert_uint_eq(ask(0xe0), 0);
	ck_assert_uint_eq(i8042_read(&i8042, 0x60), 0); /* the last one again */
	ck_assert_uint_eq(status() & 1, 0);
	ck_assert_uint_eq(i8042_read(&i8042, 0x62), 0xff);
	i8042_write(&i8042, 0x66, 0xfe);
	ck_assert_uint_eq(resets, 0);
}
END_TEST

START_TEST(configuration)
{
	ck_assert_uint_eq(ask(0x20), 0x65);
	command(0x60);
	data(0x30);
	ck_assert_uint_eq(status(), 0x10);
	ck_assert_uint_eq(ask(0x20), 0x30);
	command(0xae);
	command(0xa8);
	ck_assert_uint_eq(ask(0x20), 0);
	command(0xad);
	ck_assert_uint_eq(ask(0x20), 0x10);
	command(0xa7);
	ck_assert_uint_eq(ask(0x20), 0x30);
	ck_assert_uint_eq(ask(0xaa), 0x55);
	ck_assert_uint_eq(ask(0x20), 0x34);
	command(0x7f);
	data(0xa5);
	ck_assert_uint_eq(ask(0x3f), 0xa5);
	ck_assert_uint_eq(ask(0x20), 0x34);
	command(0x60); /* given up: the byte is the keyboard's */
	command(0xae);
	data(0);
	ck_assert_uint_eq(answer(), 0xfe);
	ck_assert_uint_eq(ask(0x20), 0x24);
}
END_TEST

START_TEST(no_second_port)
{
	for (unsigned value = 0; value < 256; value++) {
		command(0xd3);
		data(value);
		ck_assert_uint_ne(answer(), value);
	}
	/* What Linux takes for none: not 0, 0xfa or 0xff. */
	ck_assert_uint_eq(ask(0xa9), 1);
	command(0xd4);
	data(0xf2);
	ck_assert_uint_eq(status(), 0x55);
	ck_assert_uint_eq(answer(), 0xfe);
}
END_TEST

START_TEST(no_keyboard)
{
	data(0xf2);
	ck_assert_uint_eq(status(), 0x55); /* a time-out */
	ck_assert(line);
	ck_assert_uint_eq(answer(), 0xfe);
	ck_assert_uint_eq(status(), 0x14);
	ck_assert(!line);
	data(0xf2);
	ck_assert_uint_eq(ask(0x20), 0x65); /* an answer without */
	command(0xd2);
	data(0x1c);
	ck_assert_uint_eq(status(), 0x15);
	ck_assert_uint_eq(answer(), 0x1c);
	command(0x60);
	data(0x64);
	data(0xed);
	ck_assert(!line);
	command(0x60);
	data(0x65);
	ck_assert(line);
	i8042.line = NULL;
	ck_assert_uint_eq(answer(), 0xfe);
}
END_TEST

START_TEST(resets_and_a20)
{
	static const uint8_t pulses[] = {0xfe, 0xf0, 0xfc};

	for (unsigned i = 0; i < 3; i++) {
		command(pulses[i]);
		ck_assert_uint_eq(resets, i + 1);
	}
	command(0xff); /* pulses nothing: what some end a command with */
	command(0xfd);
	ck_assert_uint_eq(resets, 3);
	command(0xd1);
	data(1); /* A20 off */
	ck_assert_uint_eq(resets, 3);
	ck_assert_uint_eq(ask(0xd0), 3);
	data(0);
	command(0xd0);
	ck_assert_uint_eq(answer(), 0x13);
	command(0xd1);
	data(2);
	ck_assert_uint_eq(resets, 4);
}
END_TEST

START_TEST(anything_goes)
{
	uint64_t state = (uint64_t)_i;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		uint16_t port = random >> 63 ? 0x60 : 0x64;
		unsigned before = resets;

		if (random % 2)
			i8042_write(&i8042, port, (uint8_t)(random >> 8));
		else
			i8042_read(&i8042, port);
		ck_assert_uint_le(resets, before + 1);
		ck_assert_uint_eq(status() & 0xb2, 0x10);
	}
}
END_TEST

Suite *i8042_suite(void)
{
	Suite *suite = suite_create("i8042");
	TCase *tests = tcase_create("i8042");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, tests_are_passed);
	tcase_add_test(tests, configuration);
	tcase_add_test(tests, no_second_port);
	tcase_add_test(tests, no_keyboard);
	tcase_add_test(tests, resets_and_a20);
	tcase_add_loop_test(tests, anything_goes, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
