/* Snapshots of a machine: what comes back, and what may be forgotten on the way. */
#include <errno.h>
#include <string.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/run/snapshot.h"

enum { PLACE = 0x30000, OTHER = 0x31000 };

static struct live_machine *live;
static struct machine *machine;
static struct fake_vcpu *vcpu;

static void setup(void)
{
	live = live_machine_make();
	machine = &live->machine;
	vcpu = &fake_kvm.vcpus[0];
	machine->memory.base[PLACE] = 1;
}

static void teardown(void)
{
	live_machine_free();
}

/* The guest writes. */
static void guest_writes(uint64_t gpa, uint8_t byte)
{
	machine->memory.base[gpa] = byte;
	fake_kvm.dirty[gpa / PAGE_SIZE / 64] |= UINT64_C(1) << gpa / PAGE_SIZE % 64;
}

static struct snapshot *take(void)
{
	struct snapshot *snapshot = snapshot_take(machine);

	ck_assert_ptr_nonnull(snapshot);
	return snapshot;
}

START_TEST(ram_comes_back)
{
	struct snapshot *first = take(), *second;

	ck_assert_uint_eq(fake_kvm.slots[fake_kvm.slot_count - 1].flags, KVM_MEM_LOG_DIRTY_PAGES);
	guest_writes(PLACE, 2);
	guest_writes(OTHER, 3);
	second = take();
	guest_writes(PLACE, 4);
	ck_assert(snapshot_restore(first));
	ck_assert_uint_eq(machine->memory.base[PLACE], 1);
	ck_assert_uint_eq(machine->memory.base[OTHER], 0);
	ck_assert(snapshot_restore(second));
	ck_assert_uint_eq(machine->memory.base[PLACE], 2);
	ck_assert_uint_eq(machine->memory.base[OTHER], 3);
	/* Behind one that was gone back to, what it had is still known to differ. */
	ck_assert(snapshot_restore(first));
	ck_assert_uint_eq(machine->memory.base[OTHER], 0);
	snapshot_free(first);
	snapshot_free(second);
}
END_TEST

/* Pages are kept as they are written, and no more of them. */
START_TEST(as_many_pages_as_were_written)
{
	struct snapshot *first = take(), *second;
	const size_t shared = snapshot_pages(first);

	for (uint64_t page = 0; page < 5; page++)
		guest_writes(PLACE + page * PAGE_SIZE, 9);
	second = take();
	ck_assert_uint_eq(snapshot_pages(second), shared + 5);
	snapshot_free(first);
	snapshot_free(second);
}
END_TEST

/* KVM knows nothing of what the VMM writes. */
START_TEST(what_the_vmm_writes)
{
	struct snapshot *first = take();

	machine->memory.base[PLACE + PAGE_SIZE - 1] = 7;
	machine->memory.base[PLACE + PAGE_SIZE] = 8;
	memory_wrote(&machine->memory, PLACE + PAGE_SIZE - 1, 2);
	live->call[0]->result = 5; /* the answer to a call */
	ck_assert(snapshot_restore(first));
	ck_assert_uint_eq(machine->memory.base[PLACE + PAGE_SIZE - 1], 0);
	ck_assert_uint_eq(machine->memory.base[PLACE + PAGE_SIZE], 0);
	ck_assert_int_eq(live->call[0]->result, 0);
	snapshot_free(first);
}
END_TEST

START_TEST(cpus_and_the_end_come_back)
{
	struct snapshot *first;

	vcpu->regs.rip = 0x1234;
	vcpu->sregs.cr3 = 0x5000;
	vcpu->events.nmi.masked = 1;
	vcpu->fpu.mxcsr = 0x1f80;
	vcpu->debugregs.dr6 = 0xffff0ff0;
	vcpu->mp_state.mp_state = KVM_MP_STATE_HALTED;
	first = take();
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	memset(&vcpu->sregs, 0, sizeof(vcpu->sregs));
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	memset(&vcpu->fpu, 0, sizeof(vcpu->fpu));
	memset(&vcpu->debugregs, 0, sizeof(vcpu->debugregs));
	vcpu->mp_state.mp_state = KVM_MP_STATE_RUNNABLE;
	machine->cpus[0].halted = true;
	machine->cpus[1].started = true;
	machine->quirks = 1;
	machine_end(machine, END_SHUTDOWN);
	ck_assert(snapshot_restore(first));
	ck_assert_uint_eq(vcpu->regs.rip, 0x1234);
	ck_assert_uint_eq(vcpu->sregs.cr3, 0x5000);
	ck_assert_uint_eq(vcpu->events.nmi.masked, 1);
	ck_assert_uint_eq(vcpu->fpu.mxcsr, 0x1f80);
	ck_assert_uint_eq(vcpu->debugregs.dr6, 0xffff0ff0);
	ck_assert_uint_eq(vcpu->mp_state.mp_state, KVM_MP_STATE_HALTED);
	ck_assert(!machine->cpus[0].halted);
	ck_assert_uint_eq(machine->quirks, 0);
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	snapshot_free(first);
}
END_TEST

/* KVM says which there are; time goes on. */
START_TEST(msrs_come_back)
{
	enum { TSC = 0x10, CLOCK = 0x4b564d01 };
	struct snapshot *first;

	/* More than one request has, and one in the middle that cannot be read. */
	for (unsigned i = 0; i < 20; i++)
		vcpu->msrs[vcpu->msr_count++] =
		    (struct kvm_msr_entry){.index = 0x1000 + i, .data = i};
	vcpu->msrs[vcpu->msr_count++] = (struct kvm_msr_entry){.index = TSC, .data = 1};
	vcpu->msrs[vcpu->msr_count++] = (struct kvm_msr_entry){.index = CLOCK, .data = 1};
	fake_kvm.msr_unreadable = 0x1007;
	first = take();
	for (unsigned i = 0; i < vcpu->msr_count; i++)
		vcpu->msrs[i].data = 99;
	vcpu->msrs[3].data = 3;
	fake_kvm.call_count = 0;
	ck_assert(snapshot_restore(first));
	for (unsigned i = 0; i < 20; i++)
		ck_assert_uint_eq(fake_kvm_msr(0, 0x1000 + i), i == 7 ? 99 : i);
	ck_assert_uint_eq(fake_kvm_msr(0, TSC), 99);
	ck_assert_uint_eq(fake_kvm_msr(0, CLOCK), 99);
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_MSRS), 18); /* not what is as it was */
	vcpu->msrs[0].data = 5;
	fake_kvm.msr_refused = 0x1000;
	ck_assert(!snapshot_restore(first));
	snapshot_free(first);
}
END_TEST

/* With the last one KVM's log ends, and the copy of RAM goes; the next one begins anew. */
START_TEST(the_last_one)
{
	struct snapshot *first = take(), *second = take();

	snapshot_free(first);
	ck_assert_ptr_nonnull(machine->memory.written);
	snapshot_free(second);
	ck_assert_ptr_null(machine->memory.written);
	ck_assert_uint_eq(fake_kvm.slots[fake_kvm.slot_count - 1].flags, 0);
	guest_writes(PLACE, 2);
	first = take();
	guest_writes(PLACE, 3);
	ck_assert(snapshot_restore(first));
	ck_assert_uint_eq(machine->memory.base[PLACE], 2);
	snapshot_free(first);
}
END_TEST

START_TEST(kvm_refuses)
{
	static const unsigned long asked[] = {KVM_GET_DIRTY_LOG, KVM_GET_MSR_INDEX_LIST,
	                                      KVM_GET_MP_STATE};
	struct snapshot *first = take();

	fake_kvm.error = EINVAL;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		fake_kvm.fails = asked[i];
		fake_kvm.fails_after = 0;
		ck_assert_ptr_null(snapshot_take(machine));
		ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	}
	fake_kvm.fails = KVM_SET_MP_STATE;
	fake_kvm.fails_after = 0;
	ck_assert(!snapshot_restore(first));
	ck_assert_int_eq(machine->outcome.reason, END_VMM_FAILED);
	snapshot_free(first);
	fake_kvm.fails = KVM_SET_USER_MEMORY_REGION;
	fake_kvm.fails_after = 0;
	ck_assert_ptr_null(snapshot_take(machine));
}
END_TEST

Suite *snapshot_suite(void)
{
	Suite *suite = suite_create("snapshot");
	TCase *tcase = tcase_create("snapshot");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, ram_comes_back);
	tcase_add_test(tcase, as_many_pages_as_were_written);
	tcase_add_test(tcase, what_the_vmm_writes);
	tcase_add_test(tcase, cpus_and_the_end_come_back);
	tcase_add_test(tcase, msrs_come_back);
	tcase_add_test(tcase, the_last_one);
	tcase_add_test(tcase, kvm_refuses);
	suite_add_tcase(suite, tcase);
	return suite;
}
