/* What emulators have and PCs have not: debug ports, and the firmware configuration device. */
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/debug_ports.h"
#include "vmm/devices/fw_cfg.h"

static struct debug_ports ports;
static unsigned bytes, exits, lines, status, irq;
static uint8_t byte;
static bool level;

static void write_byte(void *ctx, uint8_t value)
{
	(void)ctx;
	byte = value;
	bytes++;
}

static void end(void *ctx, unsigned with)
{
	(void)ctx;
	status = with;
	exits++;
}

static void set_line(void *ctx, unsigned number, bool to)
{
	(void)ctx;
	irq = number;
	level = to;
	lines++;
}

static void setup(void)
{
	ports = (struct debug_ports){.write = write_byte, .exit = end, .line = set_line};
	bytes = exits = lines = 0;
}

static void out(unsigned port, unsigned size, uint32_t value)
{
	debug_ports_write(&ports, (uint16_t)port, size, value);
}

static uint32_t in(unsigned port, unsigned size)
{
	return debug_ports_read(&ports, (uint16_t)port, size);
}

START_TEST(console_and_exit)
{
	out(0xe9, 1, 'x');
	ck_assert(bytes == 1 && byte == 'x');
	ck_assert_uint_eq(in(0xe9, 1), 0xe9);
	out(0xf4, 4, 0);
	ck_assert(exits == 1 && status == 1);
	out(0xf7, 1, 0x10);
	ck_assert(exits == 2 && status == 0x21);
	out(0xf4, 4, UINT32_MAX);
	ck_assert(exits == 3 && status == UINT32_MAX);
	out(0xf3, 4, 0);
	out(0xf8, 1, 0);
	ck_assert_uint_eq(exits, 3);
	ck_assert_uint_eq(in(0xf4, 4), 0);
}
END_TEST

START_TEST(scratch)
{
	out(0xe0, 4, 0x12345678);
	ck_assert_uint_eq(in(0xe0, 4), 0x12345678);
	ck_assert_uint_eq(in(0xe0, 2), 0x5678);
	ck_assert_uint_eq(in(0xe1, 1), 0x56);
	ck_assert_uint_eq(in(0xe2, 2), 0x1234);
	ck_assert_uint_eq(in(0xe8, 4), 0x12345678);
	out(0xe1, 1, 0xff99);
	out(0xe3, 4, 0xaabbcc77); /* its end is the last byte's */
	ck_assert_uint_eq(in(0xe0, 4), 0x77349978);
	ck_assert_uint_eq(in(0xe3, 4), 0x77);
	out(0xe4, 4, 0x1000);
	ck_assert_uint_eq(in(0xe4, 4), 0);
	out(0xe8, 1, 1);
	ck_assert_uint_eq(in(0xe0, 4), 0x77349901);
	ck_assert_uint_eq(in(0xdf, 1), UINT32_MAX);
	ck_assert_uint_eq(in(0xea, 1), UINT32_MAX);
}
END_TEST

START_TEST(interrupt_lines)
{
	out(0x200e, 1, 1);
	ck_assert(lines == 1 && irq == 14 && level);
	out(0x200e, 1, 0x100);
	ck_assert(lines == 2 && irq == 14 && !level);
	out(0x2017, 1, 0x80);
	ck_assert(lines == 3 && irq == 23 && level);
	out(0x1fff, 1, 1);
	out(0x2018, 1, 1);
	ck_assert_uint_eq(lines, 3);
	ck_assert_uint_eq(in(0x200e, 1), 0);
	ck_assert_uint_eq(in(0x2018, 1), UINT32_MAX);
}
END_TEST

START_TEST(any_port_and_size)
{
	uint64_t state = (uint64_t)_i;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		unsigned port = (unsigned)random_size(&state, 16), size = 1U << (random >> 8) % 3;
		unsigned before = bytes + exits + lines;

		if (random % 2)
			out(port, size, (uint32_t)(random >> 32));
		else
			in(port, size);
		ck_assert_uint_le(bytes + exits + lines, before + 1);
		ck_assert(!lines || irq < 24);
	}
}
END_TEST

/* ---- The firmware configuration
 * ------------------------------------------------------------------ */

static struct fw_cfg fw_cfg;

static uint64_t item(unsigned key, unsigned size)
{
	uint64_t value = 0;

	fw_cfg_write(&fw_cfg, 0x510, 2, key);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)fw_cfg_read(&fw_cfg, 0x511) << 8 * i;
	return value;
}

START_TEST(configuration)
{
	fw_cfg_init(&fw_cfg, UINT64_C(0x123456789000), 0x1ff);
	ck_assert_uint_eq(item(0, 4), 0x554d4551); /* "QEMU" */
	ck_assert_uint_eq(item(1, 4), 1);
	ck_assert_uint_eq(item(3, 8), UINT64_C(0x123456789000));
	ck_assert_uint_eq(item(5, 2), 0x1ff);
	ck_assert_uint_eq(item(0xf, 8), 0x1ff);
	ck_assert_uint_eq(item(0x19, 8), 0);
	ck_assert_uint_eq(item(0xffff, 8), 0);
	item(0, 8);
	for (unsigned i = 0; i < 70000; i++) /* behind its end, and still there */
		ck_assert_uint_eq(fw_cfg_read(&fw_cfg, 0x511), 0);
	ck_assert_uint_eq(item(0x10000, 1), 'Q'); /* 16 bits */
	fw_cfg_write(&fw_cfg, 0x510, 1, 3);
	fw_cfg_write(&fw_cfg, 0x511, 2, 3);
	ck_assert_uint_eq(fw_cfg_read(&fw_cfg, 0x511), 'E');
	ck_assert_uint_eq(fw_cfg_read(&fw_cfg, 0x510), 0);
	ck_assert_uint_eq(fw_cfg_read(&fw_cfg, 0x511), 'M');
}
END_TEST

Suite *debug_ports_suite(void)
{
	Suite *suite = suite_create("debug_ports");
	TCase *tests = tcase_create("debug_ports");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, console_and_exit);
	tcase_add_test(tests, scratch);
	tcase_add_test(tests, interrupt_lines);
	tcase_add_loop_test(tests, any_port_and_size, 0, 4);
	tcase_add_test(tests, configuration);
	suite_add_tcase(suite, tests);
	return suite;
}
