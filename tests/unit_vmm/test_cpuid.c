#include <stdlib.h>
#include <string.h>

#include <cpuid.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/cpuid.h"

static const struct kvm_cpuid_entry2 leaves[] = {
    {.function = 0x0, .eax = 0x1f, .ebx = 1, .ecx = 2, .edx = 3},
    {.function = 0x1, .eax = 0x306c3, .ebx = 0x51020800, .ecx = 0x80202001, .edx = 0x078bfbff},
    {.function = 0x7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 0x9c27ab, .edx = 7},
    {.function = 0xb, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .index = 0, .ecx = 256, .edx = 81},
    {.function = 0xb, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .index = 1, .ecx = 513, .edx = 81},
    {.function = 0x1f, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .index = 0, .edx = 81},
    {.function = 0x80000001, .edx = 0x2c100800},
    {.function = 0x8000001e, .eax = 81, .ebx = 0x100, .ecx = 2},
};

enum { LEAVES = sizeof(leaves) / sizeof(leaves[0]) };

static struct kvm_cpuid2 *table;

static void set_up(void)
{
	table = malloc(sizeof(*table) + sizeof(leaves));
	ck_assert_ptr_nonnull(table);
	*table = (struct kvm_cpuid2){.nent = LEAVES};
	memcpy(table->entries, leaves, sizeof(leaves));
}

static void tear_down(void)
{
	free(table);
}

START_TEST(a_leaf_is_found_by_its_subleaf)
{
	ck_assert_ptr_eq(cpuid_find(table, 0x1, 5), &table->entries[1]);
	ck_assert_ptr_eq(cpuid_find(table, 0xb, 0), &table->entries[3]);
	ck_assert_ptr_eq(cpuid_find(table, 0xb, 1), &table->entries[4]);
	ck_assert_ptr_null(cpuid_find(table, 0xb, 2));
	ck_assert_ptr_null(cpuid_find(table, 0x2, 0));
}
END_TEST

/* The id in every place that has it, and not a bit elsewhere. */
START_TEST(the_apic_id_is_the_cpus_number)
{
	for (uint32_t id = 0; id < 8; id++) {
		struct kvm_cpuid_entry2 wanted[LEAVES];

		memcpy(wanted, leaves, sizeof(leaves));
		wanted[1].ebx = 0x020800 | id << 24;
		wanted[3].edx = wanted[4].edx = wanted[5].edx = id;
		wanted[7].eax = id;
		cpuid_set_apic_id(table, id);
		ck_assert_mem_eq(table->entries, wanted, sizeof(wanted));
	}
}
END_TEST

START_TEST(the_basic_table_is_a_64_bit_processor)
{
	struct kvm_cpuid2 *basic = cpuid_basic();
	uint32_t eax, ebx, ecx, edx;

	ck_assert_ptr_nonnull(basic);
	__cpuid(0, eax, ebx, ecx, edx);
	ck_assert_uint_eq(cpuid_value(basic, 0, CPUID_EAX), 1);
	ck_assert_uint_eq(cpuid_value(basic, 0, CPUID_EBX), ebx);
	ck_assert_uint_eq(cpuid_value(basic, 0, CPUID_ECX), ecx);
	ck_assert_uint_eq(cpuid_value(basic, 0x80000000, CPUID_EAX), 0x80000008);
	/* NX and long mode, without which vmm does not start. */
	ck_assert_uint_ne(cpuid_value(basic, 0x80000001, CPUID_EDX) & 1 << 20, 0);
	ck_assert_uint_ne(cpuid_value(basic, 0x80000001, CPUID_EDX) & 1 << 29, 0);
	ck_assert_uint_ge(cpuid_value(basic, 0x80000008, CPUID_EAX) & 0xff, 32);
	ck_assert_ptr_null(cpuid_find(basic, 7, 0));
	free(basic);
}
END_TEST

/* Nothing that the processor lacks, and nothing that a KVM must stand in for. */
START_TEST(the_basic_table_promises_too_little_rather_than_too_much)
{
	struct kvm_cpuid2 *basic = cpuid_basic();
	uint32_t eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	ck_assert_uint_eq(cpuid_value(basic, 1, CPUID_EAX), eax);
	ck_assert_uint_eq(cpuid_value(basic, 1, CPUID_ECX) & ~ecx, 0);
	ck_assert_uint_eq(cpuid_value(basic, 1, CPUID_EDX) & ~edx, 0);
	/* MONITOR, VMX, PCID, x2APIC, TSC deadline, XSAVE, OSXSAVE, AVX, RDRAND, hypervisor */
	ck_assert_uint_eq(cpuid_value(basic, 1, CPUID_ECX) &
	                      (1 << 3 | 1 << 5 | 1 << 17 | 1 << 21 | 1 << 24 | 1 << 26 | 1 << 27 |
	                       1 << 28 | 1 << 30 | UINT32_C(1) << 31),
	                  0);
	/* VME, MCE, APIC, MTRR, MCA */
	ck_assert_uint_eq(
	    cpuid_value(basic, 1, CPUID_EDX) & (1 << 1 | 1 << 7 | 1 << 9 | 1 << 12 | 1 << 14), 0);
	/* 1 GiB pages, RDTSCP */
	ck_assert_uint_eq(cpuid_value(basic, 0x80000001, CPUID_EDX) & (1 << 26 | 1 << 27), 0);
	free(basic);
}
END_TEST

Suite *cpuid_suite(void)
{
	Suite *suite = suite_create("cpuid");
	TCase *tests = tcase_create("cpuid");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, a_leaf_is_found_by_its_subleaf);
	tcase_add_test(tests, the_apic_id_is_the_cpus_number);
	tcase_add_test(tests, the_basic_table_is_a_64_bit_processor);
	tcase_add_test(tests, the_basic_table_promises_too_little_rather_than_too_much);
	suite_add_tcase(suite, tests);
	return suite;
}
