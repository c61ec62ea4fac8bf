#include <stdlib.h>
#include <string.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/kvm.h"

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

Suite *cpuid_suite(void)
{
	Suite *suite = suite_create("cpuid");
	TCase *tests = tcase_create("cpuid");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, a_leaf_is_found_by_its_subleaf);
	tcase_add_test(tests, the_apic_id_is_the_cpus_number);
	suite_add_tcase(suite, tests);
	return suite;
}
