/* The serial port, case by case as its data sheet has it, and as the drivers of others probe it. */
#include <string.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/uart.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

static uint8_t sent[256];
static unsigned sent_count, edges;
static bool line;

static void transmit(void *ctx, uint8_t byte)
{
	(void)ctx;
	sent[sent_count++ % sizeof(sent)] = byte;
}

static void set_line(void *ctx, bool level)
{
	(void)ctx;
	ck_assert(level != line);
	line = level;
	edges += level;
}

static struct uart uart;

static void out(unsigned reg, unsigned value)
{
	uart_write(&uart, reg, (uint8_t)value);
}

static unsigned in(unsigned reg)
{
	return uart_read(&uart, reg);
}

static void receive(const char *bytes)
{
	uart_receive(&uart, (const uint8_t *)bytes, strlen(bytes));
}

static void setup(void)
{
	uart = (struct uart){.transmit = transmit, .line = set_line};
	uart_init(&uart);
	sent_count = edges = 0;
	line = false;
}

START_TEST(registers_after_reset)
{
	static const uint8_t values[8] = {0, 0, 1, 0, 0, 0x60, 0xb0, 0};

	for (unsigned reg = 0; reg < 8; reg++)
		ck_assert_uint_eq(in(reg), values[reg]);
	out(SCR, 0x5a);
	out(MCR, 0xe0);
	out(IER, 0xf0);
	ck_assert_uint_eq(in(SCR), 0x5a);
	ck_assert_uint_eq(in(MCR), 0);
	ck_assert_uint_eq(in(IER), 0);
	ck_assert_uint_eq(in(8 + SCR), 0x5a);
}
END_TEST

START_TEST(divisor_latch)
{
	out(LCR, 0x83);
	ck_assert_uint_eq(in(DATA), 1); /* never 0: drivers divide by it */
	out(DATA, 0x34);
	out(IER, 0x12);
	ck_assert_uint_eq(in(DATA), 0x34);
	ck_assert_uint_eq(in(IER), 0x12);
	out(LCR, 3);
	ck_assert_uint_eq(in(DATA), 0);
	ck_assert_uint_eq(in(IER), 0);
	ck_assert_uint_eq(in(LCR), 3);
	ck_assert_uint_eq(sent_count, 0);
	out(DATA, 'x');
	ck_assert(sent_count == 1 && sent[0] == 'x');
}
END_TEST

/* As Linux' 8250 driver tells the kinds apart. */
START_TEST(it_is_a_16550a)
{
	out(IER, 0);
	ck_assert_uint_eq(in(IER)&0xf, 0);
	out(IER, 0xf);
	ck_assert_uint_eq(in(IER)&0xf, 0xf);
	out(IER, 0);
	out(MCR, 0x1a); /* loopback, OUT2, RTS */
	ck_assert_uint_eq(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	out(LCR, 0xbf); /* where others have an enhanced feature register */
	out(FCR, 0);
	out(LCR, 0);
	out(FCR, 1);
	ck_assert_uint_eq(in(IIR), 0xc1);
	out(LCR, 0x80);
	ck_assert_uint_ne(in(IIR), 0);
	out(LCR, 0);
	out(FCR, 0x21); /* 64 bytes: a 16750's */
	ck_assert_uint_eq(in(IIR) >> 5, 6);
	out(LCR, 0x80);
	out(FCR, 0x21);
	ck_assert_uint_eq(in(IIR) >> 5, 6);
	out(LCR, 0);
	out(IER, 0x40); /* an XScale's enable bit */
	ck_assert_uint_eq(in(IER), 0);
	out(FCR, 0);
	ck_assert_uint_eq(in(IIR), 1);
	out(FCR, 0xc0); /* without bit 0: nothing is programmed */
	ck_assert_uint_eq(in(IIR), 1);
}
END_TEST

START_TEST(fifo)
{
	ck_assert_uint_eq(uart_room(&uart), 1);
	out(FCR, 1);
	ck_assert_uint_eq(uart_room(&uart), 16);
	receive("abc");
	ck_assert_uint_eq(uart_room(&uart), 13);
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 'a');
	receive("0123456789abcd"); /* around the end of the array */
	ck_assert_uint_eq(uart_room(&uart), 0);
	ck_assert_uint_eq(in(DATA), 'b');
	ck_assert_uint_eq(in(DATA), 'c');
	for (unsigned i = 0; i < 14; i++)
		ck_assert_uint_eq(in(DATA), (uint8_t) "0123456789abcd"[i]);
	ck_assert_uint_eq(in(LSR), 0x60);
	ck_assert_uint_eq(in(DATA), 0);
	receive("abc");
	out(FCR, 1); /* again, the same: no byte is lost */
	ck_assert_uint_eq(uart_room(&uart), 13);
	out(FCR, 5); /* the transmitter's */
	ck_assert_uint_eq(uart_room(&uart), 13);
	out(FCR, 3);
	ck_assert_uint_eq(uart_room(&uart), 16);
	receive("abc");
	out(FCR, 0); /* another mode: empty */
	ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(overrun)
{
	out(MCR, 8);
	out(IER, 4);
	receive("ab"); /* RBR gets the new one */
	ck_assert_uint_eq(in(IIR), 6);
	ck_assert(line);
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert(!line);
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 'b');
	out(FCR, 1);
	receive("0123456789abcdefX"); /* a FIFO keeps the old ones */
	ck_assert_uint_eq(in(LSR), 0x63);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_uint_eq(in(DATA), (uint8_t) "0123456789abcdef"[i]);
	ck_assert_uint_eq(in(LSR), 0x60);
}
END_TEST

START_TEST(trigger_levels)
{
	static const unsigned levels[] = {1, 4, 8, 14};

	out(FCR, 1 | (unsigned)_i << 6);
	out(MCR, 8);
	out(IER, 1);
	for (unsigned i = 1; i <= 16; i++) {
		receive("x");
		ck_assert_uint_eq(in(IIR), i < levels[_i] ? 0xcc : 0xc4);
		ck_assert(line); /* the time-out, too */
	}
	for (unsigned i = 0; i < 16; i++)
		in(DATA);
	ck_assert(!line);
	ck_assert_uint_eq(edges, 1);
}
END_TEST

START_TEST(priorities)
{
	out(MCR, 8);
	out(FCR, 1);
	out(IER, 0xf);
	receive("0123456789abcdefX");
	out(MCR, 0x18); /* CTS and DSR go: in loopback the line is off */
	ck_assert(!line);
	out(MCR, 8);
	ck_assert(line);
	ck_assert_uint_eq(in(IIR), 0xc6);
	ck_assert_uint_eq(in(IIR), 0xc6);
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(IIR), 0xc4);
	out(FCR, 3);
	ck_assert_uint_eq(in(IIR), 0xc2);
	ck_assert_uint_eq(in(IIR), 0xc0); /* the reading took it away */
	ck_assert_uint_eq(in(MSR), 0xb3);
	ck_assert_uint_eq(in(MSR), 0xb0);
	ck_assert_uint_eq(in(IIR), 0xc1);
	ck_assert(!line);
}
END_TEST

START_TEST(transmitter_interrupt)
{
	out(MCR, 8);
	out(IER, 2); /* it is empty already */
	ck_assert(line);
	out(IER, 2);
	ck_assert_uint_eq(in(IIR), 2);
	ck_assert(!line);
	out(IER, 2); /* enabled before: nothing new */
	ck_assert(!line);
	out(DATA, 'x');
	ck_assert(line && edges == 2);
	out(DATA, 'y'); /* an edge for each */
	ck_assert(line && edges == 3);
	out(IER, 0);
	ck_assert(!line);
	ck_assert_uint_eq(in(IIR), 1);
	out(IER, 2); /* as Linux asks whether it comes again */
	ck_assert_uint_eq(in(IIR), 2);
	out(IER, 0);
	out(IER, 2);
	ck_assert_uint_eq(in(IIR), 2);
	ck_assert(sent_count == 2 && sent[0] == 'x' && sent[1] == 'y');
}
END_TEST

START_TEST(out2_is_the_interrupts_gate)
{
	out(IER, 1);
	receive("x");
	ck_assert(!line);
	ck_assert_uint_eq(in(IIR), 4);
	out(MCR, 8);
	ck_assert(line);
	out(MCR, 7);
	ck_assert(!line);
	uart.out2_ignored = true;
	out(MCR, 0);
	ck_assert(line);
	uart_init(&uart);
	ck_assert(uart.out2_ignored && uart.transmit == transmit);
}
END_TEST

START_TEST(loopback)
{
	static const struct {
		uint8_t mcr, msr;
	} lines[] = {{0x12, 0x10}, {0x11, 0x20}, {0x14, 0x40}, {0x18, 0x80}, {0x1f, 0xf0}};

	for (unsigned i = 0; i < 5; i++) {
		out(MCR, lines[i].mcr);
		ck_assert_uint_eq(in(MSR)&0xf0, lines[i].msr);
	}
	in(MSR);
	out(MCR, 0x1b); /* RI ends; CTS, DSR, DCD stay */
	ck_assert_uint_eq(in(MSR), 0xb4);
	out(MCR, 0x1f); /* RI begins: that is not told */
	ck_assert_uint_eq(in(MSR), 0xf0);
	ck_assert_uint_eq(uart_room(&uart), 0);
	receive("x");
	ck_assert_uint_eq(in(LSR), 0x60);
	out(DATA, 'y');
	ck_assert_uint_eq(in(LSR), 0x61);
	ck_assert_uint_eq(in(DATA), 'y');
	ck_assert_uint_eq(sent_count, 0);
	for (unsigned i = 0; i < 17; i++) /* no more than there is room for */
		out(DATA, i);
	ck_assert_uint_eq(in(LSR), 0x63);
	ck_assert_uint_eq(in(DATA), 16);
}
END_TEST

START_TEST(anything_goes)
{
	uint64_t state = (uint64_t)_i;
	uint8_t bytes[64];

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		unsigned reg = (unsigned)(random >> 8);
		unsigned before = sent_count;

		if (random % 8 == 0) {
			random_fill(&state, bytes, sizeof(bytes));
			uart_receive(&uart, bytes, reg % sizeof(bytes));
		} else if (random % 2) {
			out(reg, (unsigned)(random >> 40) & 0xff);
		} else {
			in(reg);
		}
		ck_assert_uint_le(sent_count, before + 1);
		ck_assert_uint_le(uart_room(&uart), 16);
		ck_assert(line == uart.level);
		ck_assert(!line || uart.ier);
	}
}
END_TEST

Suite *uart_suite(void)
{
	Suite *suite = suite_create("uart");
	TCase *tests = tcase_create("uart");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, registers_after_reset);
	tcase_add_test(tests, divisor_latch);
	tcase_add_test(tests, it_is_a_16550a);
	tcase_add_test(tests, fifo);
	tcase_add_test(tests, overrun);
	tcase_add_loop_test(tests, trigger_levels, 0, 4);
	tcase_add_test(tests, priorities);
	tcase_add_test(tests, transmitter_interrupt);
	tcase_add_test(tests, out2_is_the_interrupts_gate);
	tcase_add_test(tests, loopback);
	tcase_add_loop_test(tests, anything_goes, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
