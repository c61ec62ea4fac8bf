/* The MP table, found as a kernel finds it: by its signature in the BIOS' area, by checksums, entry
 * by entry. */
#include <string.h>

#include "shared/abi.h"
#include "tests/unit_vmm/bytes.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/pc.h"
#include "vmm/boot/mp_table.h"

static struct memory memory;

static void setup(void)
{
	ck_assert(memory_create(&memory, 1 << 20));
}

static void teardown(void)
{
	memory_destroy(&memory);
}

/* In steps of 16 bytes from 0xf0000 on. */
static const uint8_t *find_table(void)
{
	for (uint64_t gpa = 0xf0000; gpa < 0x100000; gpa += 16) {
		const uint8_t *at = memory_at(&memory, gpa, 16);

		if (memcmp(at, "_MP_", 4) != 0)
			continue;
		ck_assert_uint_eq(at[8], 1);
		ck_assert_uint_eq(bytes_sum(at, 16), 0);
		ck_assert_uint_eq(at[11], 0); /* a table, not one of the usual ones */
		return memory_at(&memory, bytes_get(at + 4, 4), 44);
	}
	ck_abort_msg("no MP table");
}

struct seen {
	unsigned cpus, boots, buses, ioapics, local, line_of_pin[PC_LINES];
};

static struct seen read_entries(const uint8_t *table)
{
	const uint8_t *at = table + 44, *end = table + bytes_get(table + 4, 2);
	struct seen seen = {0};
	unsigned entries = 0;

	for (unsigned i = 0; i < PC_LINES; i++)
		seen.line_of_pin[i] = UINT32_MAX;
	for (; at < end; entries++) {
		switch (at[0]) {
		case 0:
			ck_assert_uint_eq(at[1], seen.cpus);
			ck_assert(at[3] & 1);
			seen.boots += (at[3] & 2) != 0;
			ck_assert(seen.cpus || at[3] & 2);
			seen.cpus++;
			at += 20;
			continue;
		case 1:
			ck_assert_mem_eq(at + 2, "ISA   ", 6);
			seen.buses++;
			break;
		case 2:
			ck_assert_uint_eq(bytes_get(at + 4, 4), PC_IOAPIC);
			ck_assert_uint_eq(at[2], 0x20);
			seen.ioapics++;
			break;
		case 3:
			ck_assert_uint_eq(at[1], 0);
			ck_assert_uint_lt(at[7], PC_LINES);
			ck_assert_uint_eq(seen.line_of_pin[at[7]], UINT32_MAX);
			ck_assert_uint_eq(bytes_get(at + 2, 2), at[5] == PC_IRQ_SCI ? 0xd : 0);
			seen.line_of_pin[at[7]] = at[5];
			break;
		case 4:
			ck_assert_uint_eq(at[7], at[1] == 1); /* LINT1 is NMI's */
			seen.local++;
			break;
		default:
			ck_abort_msg("an entry of type %u", at[0]);
		}
		at += 8;
	}
	ck_assert_ptr_eq(at, end);
	ck_assert_uint_eq(bytes_get(table + 34, 2), entries);
	return seen;
}

START_TEST(what_it_tells)
{
	const unsigned cpus = _i ? RS_MAX_CPUS : 1;
	const uint8_t *table;
	struct seen seen;

	mp_table_build(&memory, cpus);
	table = find_table();
	ck_assert_mem_eq(table, "PCMP", 4);
	ck_assert_uint_eq(bytes_sum(table, bytes_get(table + 4, 2)), 0);
	ck_assert_uint_eq(bytes_get(table + 36, 4), PC_APIC);
	seen = read_entries(table);
	ck_assert_uint_eq(seen.cpus, cpus);
	ck_assert_uint_eq(seen.boots, 1);
	ck_assert_uint_eq(seen.buses, 1);
	ck_assert_uint_eq(seen.ioapics, 1);
	ck_assert_uint_eq(seen.local, 2);
	/* The timer's line is on pin 2, and no line on pin 0. */
	ck_assert_uint_eq(seen.line_of_pin[0], UINT32_MAX);
	ck_assert_uint_eq(seen.line_of_pin[PC_GSI_TIMER], PC_IRQ_TIMER);
	for (unsigned line = 3; line < 16; line++)
		ck_assert_uint_eq(seen.line_of_pin[line], line);
}
END_TEST

Suite *mp_table_suite(void)
{
	Suite *suite = suite_create("mp_table");
	TCase *tests = tcase_create("mp_table");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, what_it_tells, 0, 2);
	suite_add_tcase(suite, tests);
	return suite;
}
