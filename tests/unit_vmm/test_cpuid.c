#include <stdlib.h>
#include <string.h>

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

/* ---- A PC's ---------------------------------------------------------------------------------- */

static struct kvm_cpuid2 *pc_table(uint32_t cpus, bool deadline)
{
	static const struct kvm_cpuid_entry2 entries[] = {
	    {.function = 0x1, .ebx = 0x05aa0800, .ecx = 1, .edx = 1 << 9},
	    {.function = 0x4, .index = 0, .flags = 1, .eax = 0xfc000121},
	    {.function = 0x4, .index = 1, .flags = 1, .eax = 0},
	    {.function = 0x7, .ebx = 1 << 10 | 1, .ecx = 1 << 16},
	    {.function = 0xb, .index = 0, .flags = 1, .eax = 7, .ebx = 7, .ecx = 0x777},
	    {.function = 0xb, .index = 1, .flags = 1, .eax = 7, .ebx = 7, .ecx = 0x777},
	    {.function = 0xb, .index = 2, .flags = 1, .eax = 7, .ebx = 7, .ecx = 0x777},
	    {.function = 0x80000008, .eax = 0x3028, .ecx = 0x0003f0ff},
	};
	struct kvm_cpuid2 *table = cpuid_new(8);

	ck_assert_ptr_nonnull(table);
	memcpy(table->entries, entries, sizeof(entries));
	cpuid_set_pc(table, cpus, deadline);
	return table;
}

START_TEST(a_pc_has_one_package)
{
	const uint32_t cpus = _i ? 8 : 1;
	struct kvm_cpuid2 *table = pc_table(cpus, _i);

	/* A hypervisor is there; the CLFLUSH line and the brand stay. */
	ck_assert_uint_eq(cpuid_value(table, 1, CPUID_ECX),
	                  UINT32_C(1) << 31 | 1 | (_i ? 1 << 24 : 0));
	ck_assert_uint_eq(cpuid_value(table, 1, CPUID_EBX), 0x05000800 | cpus << 16);
	ck_assert_uint_eq(cpuid_value(table, 1, CPUID_EDX), 1 << 9 | (_i ? 1 << 28 : 0));
	/* 4: EAX[31:26] is one less than its cores; a level without a cache stays none. */
	ck_assert_uint_eq(cpuid_find(table, 4, 0)->eax, 0x121 | (cpus - 1) << 26);
	ck_assert_uint_eq(cpuid_find(table, 4, 1)->eax, 0);
	/* 0BH: a thread of a core, cores of a package, nothing. */
	ck_assert_uint_eq(cpuid_find(table, 0xb, 0)->eax, 0);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 0)->ebx, 1);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 0)->ecx, 0x100);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 1)->eax, 3);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 1)->ebx, cpus);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 1)->ecx, 0x201);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 2)->eax, 0);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 2)->ebx, 0);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 2)->ecx, 2);
	/* 80000008H: ECX[7:0] one less than the cores, [15:12] the bits of the APIC id for them. */
	ck_assert_uint_eq(cpuid_value(table, 0x80000008, CPUID_ECX), 0x33000 | (cpus - 1));
	ck_assert_uint_eq(cpuid_value(table, 0x80000008, CPUID_EAX), 0x3028);
	free(table);
}
END_TEST

START_TEST(a_feature_is_taken_out)
{
	struct kvm_cpuid2 *table = pc_table(1, true);

	cpuid_clear(table, 7, CPUID_EBX, 10);
	cpuid_clear(table, 7, CPUID_ECX, 16);
	cpuid_clear(table, 9, CPUID_EAX, 0); /* there is none */
	cpuid_clear(table, 4, CPUID_EAX, 8); /* of subleaf 0 alone */
	cpuid_clear(table, 0xb, CPUID_EBX, 0);
	ck_assert_uint_eq(cpuid_value(table, 7, CPUID_EBX), 1);
	ck_assert_uint_eq(cpuid_value(table, 7, CPUID_ECX), 0);
	ck_assert_uint_eq(cpuid_find(table, 4, 0)->eax, 0x21);
	ck_assert_uint_eq(cpuid_find(table, 0xb, 1)->ebx, 1);
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
	tcase_add_loop_test(tests, a_pc_has_one_package, 0, 2);
	tcase_add_test(tests, a_feature_is_taken_out);
	suite_add_tcase(suite, tests);
	return suite;
}
