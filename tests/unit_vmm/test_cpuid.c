#include <stdlib.h>

#include <cpuid.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/kvm/cpuid.h"

START_TEST(the_basic_table_is_a_64_bit_processor)
{
	struct kvm_cpuid2 *table = cpuid_basic();
	uint32_t eax, ebx, ecx, edx;

	ck_assert_ptr_nonnull(table);
	__cpuid(0, eax, ebx, ecx, edx);
	ck_assert_uint_eq(cpuid_value(table, 0, CPUID_EAX), 1);
	ck_assert_uint_eq(cpuid_value(table, 0, CPUID_EBX), ebx);
	ck_assert_uint_eq(cpuid_value(table, 0, CPUID_ECX), ecx);
	ck_assert_uint_eq(cpuid_value(table, 0x80000000, CPUID_EAX), 0x80000008);
	/* NX and long mode, without which vmm does not start. */
	ck_assert_uint_ne(cpuid_value(table, 0x80000001, CPUID_EDX) & 1 << 20, 0);
	ck_assert_uint_ne(cpuid_value(table, 0x80000001, CPUID_EDX) & 1 << 29, 0);
	ck_assert_uint_ge(cpuid_value(table, 0x80000008, CPUID_EAX) & 0xff, 32);
	ck_assert_ptr_null(cpuid_find(table, 7, 0));
	free(table);
}
END_TEST

/* Nothing that the processor lacks, and nothing that a KVM must stand in for. */
START_TEST(the_basic_table_promises_too_little_rather_than_too_much)
{
	struct kvm_cpuid2 *table = cpuid_basic();
	uint32_t eax, ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	ck_assert_uint_eq(cpuid_value(table, 1, CPUID_EAX), eax);
	ck_assert_uint_eq(cpuid_value(table, 1, CPUID_ECX) & ~ecx, 0);
	ck_assert_uint_eq(cpuid_value(table, 1, CPUID_EDX) & ~edx, 0);
	/* MONITOR, VMX, PCID, x2APIC, TSC deadline, XSAVE, OSXSAVE, AVX, RDRAND, hypervisor */
	ck_assert_uint_eq(cpuid_value(table, 1, CPUID_ECX) &
	                      (1 << 3 | 1 << 5 | 1 << 17 | 1 << 21 | 1 << 24 | 1 << 26 | 1 << 27 |
	                       1 << 28 | 1 << 30 | UINT32_C(1) << 31),
	                  0);
	/* VME, MCE, APIC, MTRR, MCA */
	ck_assert_uint_eq(
	    cpuid_value(table, 1, CPUID_EDX) & (1 << 1 | 1 << 7 | 1 << 9 | 1 << 12 | 1 << 14), 0);
	/* 1 GiB pages, RDTSCP */
	ck_assert_uint_eq(cpuid_value(table, 0x80000001, CPUID_EDX) & (1 << 26 | 1 << 27), 0);
	free(table);
}
END_TEST

START_TEST(entries_are_found_by_leaf_and_subleaf)
{
	struct kvm_cpuid2 *table = cpuid_new(3);

	table->entries[0] = (struct kvm_cpuid_entry2){.function = 4, .index = 1, .eax = 10};
	table->entries[1] = (struct kvm_cpuid_entry2){
	    .function = 7, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 20};
	table->entries[2] = (struct kvm_cpuid_entry2){
	    .function = 7, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 30};
	ck_assert_ptr_eq(cpuid_find(table, 4, 9), &table->entries[0]);
	ck_assert_ptr_eq(cpuid_find(table, 7, 1), &table->entries[2]);
	ck_assert_ptr_null(cpuid_find(table, 7, 2));
	ck_assert_uint_eq(cpuid_value(table, 7, CPUID_EBX), 20);
	ck_assert_uint_eq(cpuid_value(table, 8, CPUID_EBX), 0);
	free(table);
}
END_TEST

START_TEST(the_apic_id_goes_everywhere)
{
	struct kvm_cpuid2 *table = cpuid_new(3);

	table->entries[0] = (struct kvm_cpuid_entry2){.function = 1, .ebx = 0x11223344};
	table->entries[1] = (struct kvm_cpuid_entry2){.function = 0xb, .edx = 9};
	table->entries[2] = (struct kvm_cpuid_entry2){.function = 0x8000001e, .eax = 9};
	cpuid_set_apic_id(table, 5);
	ck_assert_uint_eq(table->entries[0].ebx, 0x05223344);
	ck_assert_uint_eq(table->entries[1].edx, 5);
	ck_assert_uint_eq(table->entries[2].eax, 5);
	free(table);
}
END_TEST

Suite *cpuid_suite(void)
{
	Suite *suite = suite_create("CPUID tables");
	TCase *tests = tcase_create("tables");

	tcase_add_test(tests, the_basic_table_is_a_64_bit_processor);
	tcase_add_test(tests, the_basic_table_promises_too_little_rather_than_too_much);
	tcase_add_test(tests, entries_are_found_by_leaf_and_subleaf);
	tcase_add_test(tests, the_apic_id_goes_everywhere);
	suite_add_tcase(suite, tests);
	return suite;
}
