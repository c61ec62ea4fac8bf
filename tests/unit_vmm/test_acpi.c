/* ACPI tables, found as a kernel finds them: from the RSDP on, by pointers and checksums alone. */
#include <string.h>

#include "tests/unit_vmm/bytes.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/pc.h"
#include "vmm/boot/acpi.h"
#include "vmm/devices/power.h"

static struct memory memory;

static void setup(void)
{
	ck_assert(memory_create(&memory, 1 << 20));
}

static void teardown(void)
{
	memory_destroy(&memory);
}

/* The table at this address; all of it lies where the map says that ACPI data lie. */
static const uint8_t *table(uint64_t gpa, const char *signature)
{
	const uint8_t *at = memory_at(&memory, gpa, 36);
	const uint64_t length = bytes_get(at + 4, 4);

	ck_assert_uint_ge(gpa, PC_ACPI);
	ck_assert_uint_le(gpa + length, PC_ACPI_END);
	ck_assert_mem_eq(at, signature, 4);
	ck_assert_msg(bytes_sum(at, length) == 0, "the checksum of %s", signature);
	return at;
}

static const uint8_t *rsdp(void)
{
	return memory_at(&memory, PC_ACPI, 36);
}

/* The n-th of the XSDT. */
static const uint8_t *listed(unsigned n, const char *signature)
{
	const uint8_t *xsdt = table(bytes_get(rsdp() + 24, 8), "XSDT");

	ck_assert_uint_ge(bytes_get(xsdt + 4, 4), 36 + 8 * (n + 1));
	return table(bytes_get(xsdt + 36 + 8 * n, 8), signature);
}

/* 5.2.5.3; a kernel looks for it at multiples of 16 from 0xe0000 to 0xfffff (5.2.5.1). */
START_TEST(the_rsdp)
{
	acpi_build(&memory, 1);
	ck_assert_uint_eq(PC_ACPI % 16, 0);
	ck_assert(PC_ACPI >= 0xe0000 && PC_ACPI < 0x100000);
	ck_assert_mem_eq(rsdp(), "RSD PTR ", 8);
	ck_assert_uint_eq(bytes_sum(rsdp(), 20), 0);
	ck_assert_uint_eq(bytes_sum(rsdp(), 36), 0);
	ck_assert_uint_eq(rsdp()[15], 2);
	ck_assert_uint_eq(bytes_get(rsdp() + 20, 4), 36);
}
END_TEST

START_TEST(both_roots_list_the_same)
{
	const uint8_t *rsdt, *xsdt;

	acpi_build(&memory, 8);
	rsdt = table(bytes_get(rsdp() + 16, 4), "RSDT");
	xsdt = table(bytes_get(rsdp() + 24, 8), "XSDT");
	ck_assert_uint_eq((bytes_get(rsdt + 4, 4) - 36) / 4, 2);
	ck_assert_uint_eq((bytes_get(xsdt + 4, 4) - 36) / 8, 2);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_uint_eq(bytes_get(rsdt + 36 + 4 * i, 4), bytes_get(xsdt + 36 + 8 * i, 8));
}
END_TEST

/* 5.2.9: what it says of ports is where vmm/devices/power.h has them. */
START_TEST(the_fadt)
{
	const uint8_t *fadt;

	acpi_build(&memory, 1);
	fadt = listed(0, "FACP");
	ck_assert_uint_eq(fadt[8], 3);
	ck_assert_uint_eq(bytes_get(fadt + 4, 4), 244);
	ck_assert_uint_eq(bytes_get(fadt + 46, 2), PC_IRQ_SCI);
	ck_assert_uint_eq(bytes_get(fadt + 48, 4), POWER_SMI_COMMAND);
	ck_assert_uint_eq(fadt[52], POWER_ACPI_ENABLE);
	ck_assert_uint_eq(fadt[53], POWER_ACPI_DISABLE);
	ck_assert_uint_eq(bytes_get(fadt + 56, 4), POWER_PM1A_EVENT);
	ck_assert_uint_eq(bytes_get(fadt + 64, 4), POWER_PM1A_CONTROL);
	ck_assert_uint_eq(bytes_get(fadt + 76, 4), POWER_TIMER);
	ck_assert_uint_eq(fadt[88], POWER_PM1A_EVENT_SIZE);
	ck_assert_uint_eq(fadt[89], POWER_PM1A_CONTROL_SIZE);
	ck_assert_uint_eq(fadt[91], POWER_TIMER_SIZE);
	ck_assert_uint_gt(bytes_get(fadt + 96, 2), 100);  /* no C2, */
	ck_assert_uint_gt(bytes_get(fadt + 98, 2), 1000); /* no C3 */
	/* WBINVD works, buttons are not fixed hardware, the reset register is there; 24 bits of
	 * timer. */
	ck_assert_uint_eq(bytes_get(fadt + 112, 4), 1 << 0 | 1 << 4 | 1 << 5 | 1 << 10);
	/* ISA devices, a CMOS clock (bit 5 clear), no VGA. */
	ck_assert_uint_eq(bytes_get(fadt + 109, 2), 1 << 0 | 1 << 2);
	/* The reset register: I/O space, 8 bits. */
	ck_assert_uint_eq(bytes_get(fadt + 116, 4), 1 | 8 << 8 | 1 << 24);
	ck_assert_uint_eq(bytes_get(fadt + 120, 8), POWER_RESET);
	ck_assert_uint_eq(fadt[128], POWER_RESET_VALUE);
	/* The 64-bit fields say the same as the 32-bit ones. */
	ck_assert_uint_eq(bytes_get(fadt + 140, 8), bytes_get(fadt + 40, 4));
	ck_assert_uint_eq(bytes_get(fadt + 148 + 4, 8), POWER_PM1A_EVENT);
	ck_assert_uint_eq(bytes_get(fadt + 172 + 4, 8), POWER_PM1A_CONTROL);
	ck_assert_uint_eq(bytes_get(fadt + 208 + 4, 8), POWER_TIMER);
	ck_assert_uint_eq(fadt[148] & fadt[172] & fadt[208], 1); /* I/O space */
}
END_TEST

/* 5.2.10: no checksum, on a boundary of 64 bytes. */
START_TEST(the_facs)
{
	const uint8_t *facs;
	uint64_t gpa;

	acpi_build(&memory, 1);
	gpa = bytes_get(listed(0, "FACP") + 36, 4);
	facs = memory_at(&memory, gpa, 64);
	ck_assert_uint_eq(gpa % 64, 0);
	ck_assert_mem_eq(facs, "FACS", 4);
	ck_assert_uint_eq(bytes_get(facs + 4, 4), 64);
}
END_TEST

/* 20.2.4: a package's length counts itself, and what it holds ends with the table. */
START_TEST(the_dsdt_knows_how_to_switch_off)
{
	const uint8_t *dsdt;

	acpi_build(&memory, 1);
	dsdt = table(bytes_get(listed(0, "FACP") + 40, 4), "DSDT");
	ck_assert_uint_eq(dsdt[36], 0x08); /* NameOp */
	ck_assert_mem_eq(dsdt + 37, "_S5_", 4);
	ck_assert_uint_eq(dsdt[41], 0x12); /* PackageOp */
	ck_assert_uint_eq(42 + dsdt[42], bytes_get(dsdt + 4, 4));
	ck_assert_uint_eq(dsdt[43], 4);
	ck_assert_uint_eq(dsdt[44], 0x0a); /* BytePrefix */
	ck_assert_uint_eq(dsdt[45], POWER_SLEEP_OFF);
}
END_TEST

/* 5.2.12: every entry begins with a type and its length, and the last one ends the table. */
START_TEST(the_madt)
{
	static const unsigned counts[] = {1, 8};
	const unsigned cpus = counts[_i];
	const uint8_t *madt;
	unsigned seen[8] = {0};
	uint64_t at, length;

	acpi_build(&memory, cpus);
	madt = listed(1, "APIC");
	length = bytes_get(madt + 4, 4);
	ck_assert_uint_eq(bytes_get(madt + 36, 4), PC_APIC);
	ck_assert_uint_eq(bytes_get(madt + 40, 4), 1); /* there are PICs, too */
	for (at = 44; at < length; at += madt[at + 1]) {
		const uint8_t *entry = madt + at;

		ck_assert_uint_ge(entry[1], 6);
		ck_assert_uint_lt(entry[0], 8);
		if (entry[0] == 0) {
			ck_assert_uint_eq(entry[1], 8);
			ck_assert_uint_eq(entry[2], seen[0]); /* the id of the processor ... */
			ck_assert_uint_eq(entry[3], seen[0]); /* ... and of its APIC */
			ck_assert_uint_eq(bytes_get(entry + 4, 4), 1);
		} else if (entry[0] == 1) {
			ck_assert_uint_eq(entry[1], 12);
			ck_assert_uint_eq(bytes_get(entry + 4, 4), PC_IOAPIC);
			ck_assert_uint_eq(bytes_get(entry + 8, 4), 0);
		} else if (entry[0] == 2 && entry[3] == PC_IRQ_TIMER) {
			ck_assert_uint_eq(bytes_get(entry + 4, 4), PC_GSI_TIMER);
			ck_assert_uint_eq(bytes_get(entry + 8, 2), 0);
		} else if (entry[0] == 2) {
			ck_assert_uint_eq(entry[3], PC_IRQ_SCI);
			ck_assert_uint_eq(bytes_get(entry + 4, 4), PC_IRQ_SCI);
			ck_assert_uint_eq(bytes_get(entry + 8, 2), 0xd); /* active high, level */
		} else {
			ck_assert_uint_eq(entry[0], 4); /* NMIs: LINT1 of all */
			ck_assert_uint_eq(entry[2], 0xff);
			ck_assert_uint_eq(entry[5], 1);
		}
		seen[entry[0]]++;
	}
	ck_assert_uint_eq(at, length);
	ck_assert_uint_eq(seen[0], cpus);
	ck_assert_uint_eq(seen[1], 1);
	ck_assert_uint_eq(seen[2], 2);
	ck_assert_uint_eq(seen[4], 1);
}
END_TEST

Suite *acpi_suite(void)
{
	Suite *suite = suite_create("acpi");
	TCase *tests = tcase_create("acpi");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, the_rsdp);
	tcase_add_test(tests, both_roots_list_the_same);
	tcase_add_test(tests, the_fadt);
	tcase_add_test(tests, the_facs);
	tcase_add_test(tests, the_dsdt_knows_how_to_switch_off);
	tcase_add_loop_test(tests, the_madt, 0, 2);
	suite_add_tcase(suite, tests);
	return suite;
}
