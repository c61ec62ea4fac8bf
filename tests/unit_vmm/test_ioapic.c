/* The I/O APIC: its registers, and the messages that its pins make. */
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/ioapic.h"

enum { SELECT = 0, WINDOW = 0x10, EOI = 0x40 };

static struct ioapic ioapic;
static unsigned messages, changes, changes_at_message;
static uint64_t address;
static uint32_t data;

static void message(void *ctx, uint64_t to, uint32_t with)
{
	ck_assert_ptr_eq(ctx, &ioapic);
	address = to;
	data = with;
	messages++;
	changes_at_message = changes;
}

static void changed(void *ctx)
{
	ck_assert_ptr_eq(ctx, &ioapic);
	changes++;
}

static void out(unsigned reg, uint32_t value)
{
	ioapic_write(&ioapic, SELECT, reg);
	ioapic_write(&ioapic, WINDOW, value);
}

static uint32_t in(unsigned reg)
{
	ioapic_write(&ioapic, SELECT, reg);
	return ioapic_read(&ioapic, WINDOW);
}

static void entry(unsigned pin, uint32_t low, uint32_t high)
{
	out(0x11 + 2 * pin, high);
	out(0x10 + 2 * pin, low);
}

static void setup(void)
{
	ioapic = (struct ioapic){.message = message, .routes = changed, .ctx = &ioapic};
	ioapic_init(&ioapic);
	messages = changes = 0;
}

/* How many messages a line's new level made. */
static unsigned line(unsigned pin, bool level)
{
	unsigned before = messages;

	ioapic_line(&ioapic, pin, level);
	return messages - before;
}

static unsigned eoi(unsigned vector)
{
	unsigned before = messages;

	ioapic_eoi(&ioapic, (uint8_t)vector);
	return messages - before;
}

START_TEST(registers)
{
	ck_assert_uint_eq(in(1), 0x170020);
	out(0, UINT32_MAX);
	ck_assert_uint_eq(in(0), 0x0f000000);
	ck_assert_uint_eq(in(2), 0x0f000000);
	out(1, 0);
	out(2, 0);
	ck_assert_uint_eq(in(1), 0x170020);
	ck_assert_uint_eq(in(2), 0x0f000000);
	ck_assert_uint_eq(in(3), 0);
	ck_assert_uint_eq(in(0x40), 0);
	ioapic_write(&ioapic, SELECT, 0x1234510);
	ck_assert_uint_eq(ioapic_read(&ioapic, SELECT), 0x10);
	ck_assert_uint_eq(ioapic_read(&ioapic, EOI), 0);
	ck_assert_uint_eq(ioapic_read(&ioapic, 4), 0);
	for (unsigned pin = 0; pin < 24; pin++) {
		ck_assert_uint_eq(in(0x10 + 2 * pin), 0x10000);
		entry(pin, UINT32_MAX, UINT32_MAX);
		ck_assert_uint_eq(in(0x10 + 2 * pin), 0x1afff); /* two bits are read only */
		ck_assert_uint_eq(in(0x11 + 2 * pin), 0xff000000);
	}
	ioapic_write(&ioapic, WINDOW + UINT64_C(0x100000000), 1);
	ck_assert_uint_eq(changes, 48);
	ck_assert_uint_eq(messages, 0);
}
END_TEST

START_TEST(msi_of_an_entry)
{
	static const struct {
		uint32_t low, high, data;
		uint64_t address;
	} cases[] = {
	    {0x00030, 0, 0x0030, 0xfee00000},
	    {0x00910, 0x12000000, 0x0110, 0xfee12004}, /* lowest priority, logical */
	    {0x080fe, 0xff000000, 0xc0fe, 0xfeeff000}, /* level */
	    {0x00200, 0, 0x0200, 0xfee00000},          /* SMI */
	    {0x00400, 0, 0x0400, 0xfee00000},          /* NMI */
	    {0x08400, 0, 0x0400, 0xfee00000},          /* ... an edge all the same */
	    {0x08500, 0, 0x0500, 0xfee00000},          /* INIT */
	    {0x0000f, 0, 0, 0},                        /* no such vector */
	    {0x0010f, 0, 0, 0},
	    {0x00330, 0, 0, 0}, /* reserved */
	    {0x00630, 0, 0, 0},
	    {0x00730, 0, 0, 0}, /* ExtINT */
	    {0x10030, 0, 0, 0}, /* masked */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t to = 0;
		uint32_t with = 0;

		entry(5, cases[i].low, cases[i].high);
		ck_assert(ioapic_route(&ioapic, 5, &to, &with) == !!cases[i].address);
		ck_assert(to == cases[i].address && with == cases[i].data);
		ck_assert_uint_eq(line(5, true), !!to);
		ck_assert(!to || (address == to && data == with));
		line(5, false);
		entry(5, 0x10000, 0); /* another service does not begin in this one */
	}
	ck_assert(!ioapic_route(&ioapic, 24, &address, &data));
}
END_TEST

START_TEST(edges)
{
	ck_assert_uint_eq(line(4, true), 0);
	entry(4, 0x30, 0); /* an edge at a masked pin is lost */
	ck_assert_uint_eq(messages, 0);
	ck_assert_uint_eq(line(4, true), 0);
	ck_assert_uint_eq(line(4, false), 0);
	ck_assert_uint_eq(line(4, true), 1);
	ck_assert_uint_eq(in(0x18), 0x30); /* no remote IRR: the next one needs no EOI */
	line(4, false);
	ck_assert_uint_eq(line(4, true), 1);
	ck_assert_uint_eq(eoi(0x30), 0);
	entry(4, 0x2030, 0); /* active low */
	ck_assert_uint_eq(line(4, false), 1);
	ck_assert_uint_eq(line(4, true), 0);
	ck_assert_uint_eq(line(24, true) + line(UINT32_MAX, true), 0);
}
END_TEST

START_TEST(levels)
{
	ioapic_line(&ioapic, 9, true);
	entry(9, 0x8040, 0); /* unmasked while it is asserted */
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(changes_at_message, 2 - 1); /* the high half was 0 before */
	ck_assert_uint_eq(in(0x22), 0xc040);
	ck_assert_uint_eq(line(9, false) + line(9, true), 0); /* in service */
	ck_assert_uint_eq(eoi(0x41), 0);
	ck_assert_uint_eq(eoi(0x40), 1); /* still asserted: again */
	out(0x22, 0x18040);
	ck_assert_uint_eq(in(0x22), 0x1c040);
	ck_assert_uint_eq(eoi(0x40), 0); /* masked: not again, but served */
	ck_assert_uint_eq(in(0x22), 0x18040);
	out(0x22, 0x8040);
	ck_assert_uint_eq(messages, 3);
	line(9, false);
	ck_assert_uint_eq(eoi(0x40), 0);
	ck_assert_uint_eq(in(0x22), 0x8040);
	ck_assert_uint_eq(line(9, true), 1);
	line(9, false);
	ioapic_write(&ioapic, EOI, 0x40);
	ck_assert_uint_eq(in(0x22), 0x8040);
	/* How a service is ended without that register: mask and edge, then as it was. */
	line(9, true);
	out(0x22, 0x10040);
	out(0x22, 0x8040);
	ck_assert_uint_eq(messages, 6);
	ck_assert_uint_eq(in(0x22), 0xc040);
}
END_TEST

START_TEST(polarity_of_levels)
{
	entry(10, 0xa050, 0); /* active low, and low already */
	ck_assert_uint_eq(messages, 1);
	line(10, true);
	ck_assert_uint_eq(eoi(0x50), 0);
	ck_assert_uint_eq(line(10, false), 1);
	/* PCI's pins are high where nothing is. */
	for (unsigned pin = 16; pin < 24; pin++)
		entry(pin, 0xa060, 0);
	ck_assert_uint_eq(messages, 2);
	ck_assert_uint_eq(line(23, false), 1);
	entry(15, 0xa070, 0);
	ck_assert_uint_eq(messages, 4);
}
END_TEST

START_TEST(an_eoi_is_for_all_of_its_vector)
{
	entry(1, 0x8040, 0);
	entry(2, 0x8040, 0);
	entry(3, 0x40, 0);
	ck_assert_uint_eq(line(1, true) + line(2, true) + line(3, true), 3);
	ck_assert_uint_eq(eoi(0x40), 2);
	line(1, false);
	ck_assert_uint_eq(eoi(0x40), 1);
}
END_TEST

START_TEST(changes_are_told)
{
	entry(1, 0x10000, 0);
	ck_assert_uint_eq(changes, 0);
	entry(1, 0x40, 0x01000000);
	ck_assert_uint_eq(changes, 2);
	entry(1, 0x5040, 0x01000000); /* read-only bits */
	ck_assert_uint_eq(changes, 2);
	ioapic.routes = NULL;
	entry(1, 0x41, 0);
	ck_assert_uint_eq(line(1, true), 1);
	ck_assert_uint_eq(data, 0x41);
}
END_TEST

START_TEST(anything_goes)
{
	uint64_t state = (uint64_t)_i, to;
	uint32_t with;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = random_next(&state);
		unsigned before = messages;

		switch (random % 5) {
		case 0:
			out((unsigned)(random >> 8) & 0x3f, (uint32_t)(random >> 32));
			ck_assert_uint_le(messages - before, 1);
			break;
		case 1:
			ioapic_write(&ioapic, random_size(&state, 63), (uint32_t)random);
			break;
		case 2:
			ck_assert_uint_le(line((unsigned)(random >> 8) & 0x1f, random >> 63), 1);
			break;
		case 3:
			ioapic_read(&ioapic, random_size(&state, 63));
			break;
		default:
			ioapic_eoi(&ioapic, (uint8_t)(random >> 8));
		}
		ck_assert_uint_le(messages - before, 24);
		if (ioapic_route(&ioapic, (unsigned)(random >> 40), &to, &with)) {
			ck_assert_uint_eq(to & ~UINT64_C(0xff004), 0xfee00000);
			ck_assert_uint_eq(with & ~0xc7ffU, 0);
		}
	}
}
END_TEST

Suite *ioapic_suite(void)
{
	Suite *suite = suite_create("ioapic");
	TCase *tests = tcase_create("ioapic");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, registers);
	tcase_add_test(tests, msi_of_an_entry);
	tcase_add_test(tests, edges);
	tcase_add_test(tests, levels);
	tcase_add_test(tests, polarity_of_levels);
	tcase_add_test(tests, an_eoi_is_for_all_of_its_vector);
	tcase_add_test(tests, changes_are_told);
	tcase_add_loop_test(tests, anything_goes, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
