/* The host's side of a virtual machine, as a KVM is asked for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit_vmm/fake_kvm.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/kvm/cpuid.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"

static const struct kvm_advice advice;
static struct kvm kvm;
static struct kvm_cpuid2 *table;

enum { LEAF_0, LEAF_1, LEAF_7, LEAF_MAX, LEAF_81, LEAF_88, LEAVES };

static void setup(void)
{
	static const uint32_t leaves[LEAVES] = {0, 1, 7, 0x80000000, 0x80000001, 0x80000008};

	fake_kvm_reset();
	fake_kvm.present = true;
	fake_kvm.offers[KVM_CAP_USER_MEMORY] = 1;
	fake_kvm.offers[KVM_CAP_EXT_CPUID] = 1;
	fake_kvm.offers[KVM_CAP_VCPU_EVENTS] = 1;
	fake_kvm.offers[KVM_CAP_IMMEDIATE_EXIT] = 1;
	table = cpuid_new(LEAVES);
	for (unsigned i = 0; i < LEAVES; i++)
		table->entries[i].function = leaves[i];
	memcpy(&table->entries[LEAF_0].ebx, "Auth", 4);
	memcpy(&table->entries[LEAF_0].edx, "enti", 4);
	memcpy(&table->entries[LEAF_0].ecx, "cAMD", 4);
	table->entries[LEAF_1].eax = 0x00a20f12;
	table->entries[LEAF_81].edx = 1 << 29 | 1 << 20;
	table->entries[LEAF_88].eax = 0x3030;
	fake_kvm.supported = table;
	kvm = KVM_CLOSED;
}

static void teardown(void)
{
	kvm_close(&kvm);
	free(table);
}

/* ---- Opening
 * --------------------------------------------------------------------------------------- */

START_TEST(it_opens)
{
	ck_assert(kvm_open(&kvm, 1, &advice));
	ck_assert_int_eq(kvm.fd, FAKE_DEVICE);
	ck_assert_uint_eq(kvm.run_size, 3 * 4096);
	ck_assert(!kvm.host.sync_regs);
	ck_assert(kvm_is_usable());
}
END_TEST

START_TEST(it_is_not_there)
{
	fake_kvm.present = false;
	ck_assert(!kvm_open(&kvm, 1, &advice));
	ck_assert(!kvm_is_usable());
}
END_TEST

START_TEST(what_must_be_there)
{
	static const int required[] = {KVM_CAP_USER_MEMORY, KVM_CAP_EXT_CPUID, KVM_CAP_VCPU_EVENTS,
	                               KVM_CAP_IMMEDIATE_EXIT};

	fake_kvm.offers[required[_i]] = 0;
	ck_assert(!kvm_open(&kvm, 1, &advice));
}
END_TEST

/* Registers in kvm_run only if all three sets are. */
START_TEST(registers_in_the_shared_page)
{
	static const struct {
		int offers;
		bool sync;
	} want[] = {{0, false}, {1, false}, {3, false}, {6, false},
	            {7, true},  {15, true}, {-1, false}};

	fake_kvm.offers[KVM_CAP_SYNC_REGS] = want[_i].offers;
	ck_assert(kvm_open(&kvm, 1, &advice));
	ck_assert_int_eq(kvm.host.sync_regs, want[_i].sync);
}
END_TEST

START_TEST(as_many_cpus_as_it_has)
{
	fake_kvm.offers[KVM_CAP_MAX_VCPUS] = 6;
	ck_assert(kvm_open(&kvm, 6, &advice));
	kvm_close(&kvm);
	ck_assert(!kvm_open(&kvm, 7, &advice));
	kvm_close(&kvm);
	/* Four where it does not say (api.rst, 4.4). */
	fake_kvm.offers[KVM_CAP_MAX_VCPUS] = 0;
	ck_assert(kvm_open(&kvm, 4, &advice));
	kvm_close(&kvm);
	ck_assert(!kvm_open(&kvm, 5, &advice));
}
END_TEST

START_TEST(a_shared_page_that_is_too_small)
{
	fake_kvm.run_size = sizeof(struct kvm_run);
	ck_assert(kvm_open(&kvm, 1, &advice));
	kvm_close(&kvm);
	fake_kvm.run_size--;
	ck_assert(!kvm_open(&kvm, 1, &advice));
}
END_TEST

/* ---- The door
 * -------------------------------------------------------------------------------------- */

START_TEST(an_interrupted_call_is_repeated)
{
	fake_kvm.interrupted = 3;
	ck_assert_int_eq(KVM_IOCTL(FAKE_DEVICE, KVM_GET_API_VERSION, NULL), 12);
	ck_assert_uint_eq(fake_kvm_count(KVM_GET_API_VERSION), 4);
}
END_TEST

START_TEST(a_failed_call_is_not)
{
	fake_kvm.fails = KVM_GET_API_VERSION;
	fake_kvm.error = ENOMEM;
	errno = 0;
	ck_assert_int_eq(KVM_IOCTL(FAKE_DEVICE, KVM_GET_API_VERSION, NULL), -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_eq(fake_kvm_count(KVM_GET_API_VERSION), 1);
}
END_TEST

START_TEST(msrs_by_the_dozen)
{
	struct kvm_msr_entry entries[KVM_MSRS_MAX + 1] = {0};

	for (uint32_t i = 0; i <= KVM_MSRS_MAX; i++)
		entries[i] = (struct kvm_msr_entry){.index = i + 1, .data = 100 + i};
	ck_assert_int_eq(kvm_msrs(FAKE_VCPU, KVM_SET_MSRS, entries, KVM_MSRS_MAX), KVM_MSRS_MAX);
	ck_assert_int_eq(kvm_msrs(FAKE_VCPU, KVM_SET_MSRS, entries, KVM_MSRS_MAX + 1), -1);
	ck_assert_int_eq(errno, E2BIG);
	for (uint32_t i = 0; i < KVM_MSRS_MAX; i++)
		entries[i].data = 0;
	fake_kvm.msr_unreadable = 4;
	ck_assert_int_eq(kvm_msrs(FAKE_VCPU, KVM_GET_MSRS, entries, KVM_MSRS_MAX), 3);
	ck_assert_uint_eq(entries[0].data, 100);
	ck_assert_uint_eq(entries[2].data, 102);
	ck_assert_uint_eq(entries[3].data, 0);
}
END_TEST

/* ---- The processor
 * --------------------------------------------------------------------------------- */

static bool describes(void)
{
	kvm.fd = FAKE_DEVICE;
	return kvm_describe(&kvm, false);
}

START_TEST(a_processor_is_described)
{
	table->entries[LEAF_1].ecx = 1 << 17;
	table->entries[LEAF_7].ebx = 1 << 0 | 1 << 7 | 1 << 10 | 1 << 20;
	table->entries[LEAF_7].ecx = 1 << 2 | 1 << 16;
	table->entries[LEAF_81].edx |= 1 << 26;
	ck_assert(describes());
	ck_assert_str_eq(kvm.host.vendor, "AuthenticAMD");
	ck_assert_uint_eq(kvm.host.family, 0x19);
	ck_assert_uint_eq(kvm.host.model, 0x21);
	ck_assert_uint_eq(kvm.host.stepping, 2);
	ck_assert_uint_eq(kvm.host.maxphyaddr, 0x30);
	ck_assert_uint_eq(kvm.host.cpuid_features,
	                  RS_FEATURE_AMD | RS_FEATURE_PCID | RS_FEATURE_FSGSBASE | RS_FEATURE_SMEP |
	                      RS_FEATURE_INVPCID | RS_FEATURE_SMAP | RS_FEATURE_UMIP |
	                      RS_FEATURE_LA57 | RS_FEATURE_NX | RS_FEATURE_GIB_PAGES);
}
END_TEST

START_TEST(a_processor_of_a_later_family)
{
	table->entries[LEAF_1].eax = 0x0ff00f00;
	ck_assert(describes());
	ck_assert_uint_eq(kvm.host.family, 0xf + 0xff);
}
END_TEST

START_TEST(widths_of_addresses)
{
	static const struct {
		uint32_t eax, width;
	} want[] = {{31, 36}, {32, 32}, {52, 52}, {53, 36}, {0, 36}};

	table->entries[LEAF_88].eax = want[_i].eax;
	ck_assert(describes());
	ck_assert_uint_eq(kvm.host.maxphyaddr, want[_i].width);
}
END_TEST

START_TEST(processors_that_will_not_do)
{
	table->entries[LEAF_81].edx = _i ? 1 << 29 : 1 << 20;
	ck_assert(!describes());
}
END_TEST

/* More entries than were guessed. */
START_TEST(a_large_table)
{
	free(table);
	table = cpuid_new(300);
	table->entries[299] =
	    (struct kvm_cpuid_entry2){.function = 0x80000001, .edx = 1 << 29 | 1 << 20};
	fake_kvm.supported = table;
	ck_assert(describes());
	ck_assert_uint_eq(kvm.cpuid->nent, 300);
	ck_assert_uint_eq(fake_kvm_count(KVM_GET_SUPPORTED_CPUID), 2);
}
END_TEST

START_TEST(no_table_at_all)
{
	fake_kvm.supported = NULL; /* EIO: more room would not help */
	ck_assert(!describes());
	ck_assert_uint_eq(fake_kvm_count(KVM_GET_SUPPORTED_CPUID), 1);
}
END_TEST

START_TEST(meltdown)
{
	static const struct {
		uint64_t feature;
		bool told, value, want;
	} cases[] = {{RS_FEATURE_AMD, false, false, true},
	             {RS_FEATURE_INTEL, false, false, false},
	             {RS_FEATURE_INTEL, true, false, false},
	             {RS_FEATURE_INTEL, true, true, true}};

	kvm.fd = FAKE_DEVICE;
	kvm.host.features = cases[_i].feature;
	if (cases[_i].told) {
		fake_kvm.vcpus[0].msr_count = 1;
		fake_kvm.vcpus[0].msrs[0] =
		    (struct kvm_msr_entry){.index = 0x10a, .data = 0xfe | cases[_i].value};
	}
	ck_assert_int_eq(kvm_rdcl_no(&kvm), cases[_i].want);
	ck_assert_int_eq(kvm_rdcl_no(&kvm), cases[_i].want);
	ck_assert_uint_eq(fake_kvm_count(KVM_GET_MSRS), cases[_i].feature == RS_FEATURE_INTEL);
}
END_TEST

/* ---- The machine
 * ----------------------------------------------------------------------------------- */

START_TEST(ram_has_its_slots)
{
	static uint8_t base[1];
	const struct memory small = {.base = base, .size = 1 << 20, .low_end = 1 << 20};
	const struct memory large = {.base = base,
	                             .size = RS_HOLE + 0x1000,
	                             .low_end = RS_HOLE,
	                             .high_end = RS_HIGH_RAM + 0x1000};

	kvm.fd = FAKE_DEVICE;
	ck_assert(kvm_create_vm(&kvm, &small, false));
	ck_assert_uint_eq(fake_kvm.slot_count, 1);
	ck_assert_uint_eq(fake_kvm.slots[0].guest_phys_addr, 0);
	ck_assert_uint_eq(fake_kvm.slots[0].memory_size, 1 << 20);
	ck_assert_uint_eq(fake_kvm.slots[0].userspace_addr, (uintptr_t)base);
	fake_kvm.slot_count = 0;
	ck_assert(kvm_create_vm(&kvm, &large, false));
	ck_assert_uint_eq(fake_kvm.slot_count, 2);
	ck_assert_uint_eq(fake_kvm.slots[0].memory_size, RS_HOLE);
	ck_assert_uint_eq(fake_kvm.slots[1].slot, 1);
	ck_assert_uint_eq(fake_kvm.slots[1].guest_phys_addr, RS_HIGH_RAM);
	ck_assert_uint_eq(fake_kvm.slots[1].memory_size, 0x1000);
	ck_assert_uint_eq(fake_kvm.slots[1].userspace_addr, (uintptr_t)base + RS_HIGH_RAM);
	ck_assert_uint_eq(fake_kvm_count(KVM_ENABLE_CAP), 0);
}
END_TEST

/* Only where x2APIC is, and KVM wants to; its clock is what KVM says, or 1 ns. */
START_TEST(local_apics)
{
	static uint8_t base[1];
	const struct memory ram = {.base = base, .size = 1 << 20, .low_end = 1 << 20};
	static const struct {
		bool x2apic, refused;
		int nanoseconds;
		uint64_t khz;
	} want[] = {{false, false, 0, 0},
	            {true, true, 0, 0},
	            {true, false, 0, 1000000},
	            {true, false, 25, 40000}};

	table->entries[LEAF_1].ecx = want[_i].x2apic ? 1 << 21 : 0;
	fake_kvm.offers[237] = want[_i].nanoseconds;
	fake_kvm.fails = KVM_ENABLE_CAP;
	fake_kvm.error = want[_i].refused ? EINVAL : 0;
	ck_assert(describes());
	ck_assert(kvm_create_vm(&kvm, &ram, true));
	ck_assert_uint_eq(kvm.host.apic_khz, want[_i].khz);
}
END_TEST

/* ---- A vCPU
 * ---------------------------------------------------------------------------------------- */

START_TEST(a_vcpu)
{
	const unsigned number = (unsigned)_i & 1;
	const bool apic = _i & 2;
	struct vcpu vcpu;

	fake_kvm.vcpus[number].mp_state.mp_state = KVM_MP_STATE_UNINITIALIZED;
	ck_assert(kvm_open(&kvm, 1, &advice) && describes());
	kvm.vm = FAKE_VM;
	kvm.host.apic_khz = apic ? 1000 : 0;
	kvm.host.sync_regs = apic;
	ck_assert(vcpu_create(&vcpu, &kvm, number));
	ck_assert_ptr_nonnull(vcpu.run);
	ck_assert_int_eq(vcpu.sync_regs, apic);
	ck_assert_ptr_eq(fake_kvm.vcpus[number].cpuid, kvm.cpuid);
	ck_assert_uint_eq(kvm.cpuid->entries[LEAF_1].ebx >> 24, number);
	/* KVM makes all but the first wait for INIT and SIPI. */
	ck_assert_uint_eq(fake_kvm.vcpus[number].mp_state.mp_state,
	                  number && apic ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED);
	vcpu_destroy(&vcpu);
	ck_assert_int_eq(vcpu.fd, -1);
}
END_TEST

START_TEST(a_vcpu_that_waits)
{
	const struct vcpu vcpu = {.fd = FAKE_VCPU};

	fake_kvm.vcpus[0].mp_state.mp_state = KVM_MP_STATE_HALTED;
	ck_assert(vcpu_is_halted(&vcpu));
	fake_kvm.vcpus[0].mp_state.mp_state = KVM_MP_STATE_RUNNABLE;
	ck_assert(!vcpu_is_halted(&vcpu));
}
END_TEST

START_TEST(state_comes_and_goes)
{
	const struct vcpu vcpu = {.fd = FAKE_VCPU + 1};
	struct vcpu_state state;

	fake_kvm.vcpus[1].regs.rip = 1;
	fake_kvm.vcpus[1].sregs.cr3 = 2;
	fake_kvm.vcpus[1].events.nmi.pending = 3;
	ck_assert(vcpu_read(&vcpu, &state, STATE_BASIC));
	ck_assert_uint_eq(state.regs.rip, 1);
	ck_assert_uint_eq(state.sregs.cr3, 2);
	ck_assert_uint_eq(state.events.nmi.pending, 3);
	state.regs.rip = 4;
	state.events.nmi.pending = 5;
	ck_assert(vcpu_write(&vcpu, &state, STATE_REGS | STATE_EVENTS));
	ck_assert_uint_eq(fake_kvm.vcpus[1].regs.rip, 4);
	ck_assert_uint_eq(fake_kvm.vcpus[1].events.nmi.pending, 5);
}
END_TEST

/* An MSR that KVM does not know is no failure, and hides none behind it. */
START_TEST(msrs_come_together)
{
	const struct vcpu vcpu = {.fd = FAKE_VCPU};
	struct vcpu_state state;
	unsigned known = 0;

	for (unsigned i = 0; i < STATE_MSRS; i++) {
		if (i != (unsigned)_i)
			fake_kvm.vcpus[0].msrs[known++] =
			    (struct kvm_msr_entry){.index = msr_table[i].index, .data = 0x100 + i};
	}
	fake_kvm.vcpus[0].msr_count = known;
	ck_assert(vcpu_read(&vcpu, &state, STATE_ALL_MSRS));
	for (unsigned i = 0; i < STATE_MSRS; i++) {
		ck_assert_uint_eq(state.msrs_known >> i & 1, i != (unsigned)_i);
		ck_assert_uint_eq(state.msrs[i], i != (unsigned)_i ? 0x100 + i : 0);
	}
	state.msrs[STATE_CSTAR] = 0x999;
	ck_assert(vcpu_write(&vcpu, &state, STATE_ALL_MSRS));
	ck_assert(vcpu_read(&vcpu, &state, STATE_ALL_MSRS));
	ck_assert_uint_eq(state.msrs[STATE_CSTAR], _i == STATE_CSTAR ? 0 : 0x999);
}
END_TEST

START_TEST(names_of_msrs)
{
	ck_assert_str_eq(msr_name(MSR_LSTAR), "LSTAR");
	ck_assert_str_eq(msr_name(MSR_GS_BASE), "GS_BASE");
	ck_assert_str_eq(msr_name(msr_table[STATE_PAT].index), "PAT");
	ck_assert_ptr_null(msr_name(0));
}
END_TEST

Suite *kvm_suite(void)
{
	Suite *suite = suite_create("kvm");
	TCase *tests = tcase_create("kvm");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, it_opens);
	tcase_add_loop_test(tests, msrs_come_together, 0, STATE_MSRS + 1);
	tcase_add_test(tests, names_of_msrs);
	tcase_add_test(tests, it_is_not_there);
	tcase_add_loop_test(tests, what_must_be_there, 0, 4);
	tcase_add_loop_test(tests, registers_in_the_shared_page, 0, 7);
	tcase_add_test(tests, as_many_cpus_as_it_has);
	tcase_add_test(tests, a_shared_page_that_is_too_small);
	tcase_add_test(tests, an_interrupted_call_is_repeated);
	tcase_add_test(tests, a_failed_call_is_not);
	tcase_add_test(tests, msrs_by_the_dozen);
	tcase_add_test(tests, a_processor_is_described);
	tcase_add_test(tests, a_processor_of_a_later_family);
	tcase_add_loop_test(tests, widths_of_addresses, 0, 5);
	tcase_add_loop_test(tests, processors_that_will_not_do, 0, 2);
	tcase_add_test(tests, a_large_table);
	tcase_add_test(tests, no_table_at_all);
	tcase_add_loop_test(tests, meltdown, 0, 4);
	tcase_add_test(tests, ram_has_its_slots);
	tcase_add_loop_test(tests, local_apics, 0, 4);
	tcase_add_loop_test(tests, a_vcpu, 0, 4);
	tcase_add_test(tests, a_vcpu_that_waits);
	tcase_add_test(tests, state_comes_and_goes);
	suite_add_tcase(suite, tests);
	return suite;
}
