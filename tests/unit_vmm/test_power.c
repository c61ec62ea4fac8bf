/* ACPI's fixed hardware and the reset register. */
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/power.h"

static struct power power;
static unsigned offs, resets;
static bool line;
static uint64_t now;

static void off(void *ctx)
{
	(void)ctx;
	offs++;
}

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

static void out(unsigned port, unsigned size, uint32_t value)
{
	power_write(&power, (uint16_t)port, size, value, now);
}

static uint32_t in(unsigned port, unsigned size)
{
	return power_read(&power, (uint16_t)port, size, now);
}

static void setup(void)
{
	now = 0;
	power = (struct power){.off = off, .reset = reset, .line = set_line};
	power_init(&power, now);
	offs = resets = 0;
	line = false;
}

START_TEST(acpi_mode)
{
	ck_assert_uint_eq(in(0x604, 2), 0);
	out(0x604, 2, 1); /* the hardware's own bit */
	ck_assert_uint_eq(in(0x604, 2), 0);
	out(POWER_SMI_COMMAND, 1, POWER_ACPI_ENABLE);
	ck_assert_uint_eq(in(0x604, 2), 1);
	out(0x604, 2, 0);
	ck_assert_uint_eq(in(0x604, 2), 1);
	ck_assert_uint_eq(in(POWER_SMI_COMMAND, 1), POWER_ACPI_ENABLE);
	out(POWER_SMI_COMMAND, 1, POWER_ACPI_DISABLE);
	ck_assert_uint_eq(in(0x604, 2), 0);
	out(POWER_SMI_STATUS, 1, 0x77);
	out(POWER_SMI_COMMAND, 1, 0x12);
	ck_assert_uint_eq(in(POWER_SMI_STATUS, 1), 0x77);
	ck_assert_uint_eq(in(0x604, 2), 0);
}
END_TEST

START_TEST(switching_off)
{
	out(0x604, 2, 5 << 10); /* the type alone */
	ck_assert_uint_eq(in(0x604, 2), 5 << 10);
	out(0x604, 2, 4 << 10 | 0x2000); /* another one */
	ck_assert_uint_eq(offs, 0);
	ck_assert_uint_eq(in(0x604, 2), 4 << 10);
	out(0x604, 2, 5 << 10 | 0x2000);
	ck_assert_uint_eq(offs, 1);
	ck_assert_uint_eq(in(0x604, 2), 5 << 10);
	out(0x604, 1, 0xff); /* the low byte */
	ck_assert_uint_eq(offs, 1);
	ck_assert_uint_eq(in(0x604, 2), 5 << 10 | 2);
	out(0x605, 1, 0x34);
	ck_assert_uint_eq(offs, 2);
	out(0x602, 4, UINT32_C(0x34000000));
	ck_assert_uint_eq(offs, 3);
}
END_TEST

START_TEST(power_button_and_sci)
{
	ck_assert(!power_button(&power));
	ck_assert_uint_eq(in(0x600, 2), 0x100);
	out(0x602, 2, 0xffff);
	ck_assert_uint_eq(in(0x602, 2), 0x721);
	ck_assert_uint_eq(in(0x600, 4), 0x7210100);
	ck_assert(!line && !power_button(&power));
	out(POWER_SMI_COMMAND, 1, POWER_ACPI_ENABLE);
	ck_assert(line);
	out(0x600, 2, 0xfeff); /* a 1 clears, and this is none */
	ck_assert(line);
	out(0x601, 1, 1);
	ck_assert(!line);
	ck_assert_uint_eq(in(0x600, 2), 0);
	ck_assert(power_button(&power) && line);
	out(0x603, 1, 0);
	ck_assert(!line);
	ck_assert(!power_button(&power));
	power.line = NULL;
	out(0x603, 1, 1);
}
END_TEST

START_TEST(timer)
{
	static const struct {
		uint64_t ns;
		uint32_t ticks;
	} cases[] = {
	    {0, 0},
	    {279, 0},
	    {280, 1},
	    {1000000000, 3579545},
	    {4686968874, 0xffffff},
	    {4686968875, 0},
	    {UINT64_C(1) << 62, 6909872}, /* 146 years */
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		now = cases[i].ns;
		ck_assert_uint_eq(in(0x608, 4), cases[i].ticks);
		ck_assert_uint_eq(in(0x60a, 1), cases[i].ticks >> 16);
		ck_assert_uint_eq(in(0x609, 4), cases[i].ticks >> 8);
		ck_assert_uint_eq(in(0x606, 4), cases[i].ticks << 16);
		out(0x608, 4, 0);
		ck_assert_uint_eq(in(0x608, 4), cases[i].ticks);
	}
}
END_TEST

START_TEST(timer_status)
{
	out(POWER_SMI_COMMAND, 1, POWER_ACPI_ENABLE);
	out(0x602, 2, 1);
	now = 2343484437; /* before bit 23 changes */
	ck_assert_uint_eq(in(0x600, 2), 0);
	now = 2343484438;
	ck_assert_uint_eq(in(0x600, 2), 1);
	ck_assert(line);
	out(0x600, 2, 1);
	ck_assert(!line);
	ck_assert_uint_eq(in(0x600, 2), 0);
	now = 4686968875;
	ck_assert_uint_eq(in(0x600, 2), 1);
}
END_TEST

START_TEST(reset_register)
{
	out(POWER_RESET, 1, 2);
	ck_assert_uint_eq(in(POWER_RESET, 1), 2);
	ck_assert_uint_eq(resets, 0);
	out(POWER_RESET, 1, POWER_RESET_VALUE);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(in(POWER_RESET, 1), 2);
	out(POWER_RESET, 1, 0xff);
	ck_assert_uint_eq(resets, 2);
	ck_assert_uint_eq(in(POWER_RESET, 1), 0xa);
	out(POWER_RESET, 1, 0xfb);
	ck_assert_uint_eq(resets, 2);
}
END_TEST

START_TEST(other_ports)
{
	out(0x606, 2, 0xffff);
	ck_assert_uint_eq(in(0x606, 2), 0);
	out(0x60b, 4, UINT32_MAX);
	ck_assert_uint_eq(in(0x60b, 4), 0);
	ck_assert_uint_eq(in(0x60c, 1), UINT32_MAX);
	ck_assert_uint_eq(in(0x5ff, 1), UINT32_MAX);
	out(0x5ff, 4, UINT32_MAX); /* not its own */
	ck_assert_uint_eq(offs, 0);
}
END_TEST

START_TEST(anything_goes)
{
	static const uint16_t ports[] = {0x600, 0xb2, 0xb3, 0xcf9, 0xffff, 0};
	uint64_t state = (uint64_t)_i;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		unsigned port = ports[(random >> 8) % 6], size = 1U << (random >> 12) % 3;
		unsigned before = offs + resets;

		if (port == 0x600)
			port += (unsigned)(random >> 16) % 12;
		now += random_size(&state, 32);
		if (random % 2)
			out(port, size, (uint32_t)(random >> 32));
		else if (in(port, size) >> (8 * size - 1) >> 1)
			ck_assert(port == 0 || port == 0xffff);
		ck_assert_uint_le(offs + resets, before + 1);
		ck_assert(line == power.level);
	}
}
END_TEST

Suite *power_suite(void)
{
	Suite *suite = suite_create("power");
	TCase *tests = tcase_create("power");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, acpi_mode);
	tcase_add_test(tests, switching_off);
	tcase_add_test(tests, power_button_and_sci);
	tcase_add_test(tests, timer);
	tcase_add_test(tests, timer_status);
	tcase_add_test(tests, reset_register);
	tcase_add_test(tests, other_ports);
	tcase_add_loop_test(tests, anything_goes, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
