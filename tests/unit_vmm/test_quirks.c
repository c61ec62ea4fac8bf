/* What a KVM left undone and the VMM completes, over a KVM that leaves everything undone. */
#include <errno.h>
#include <string.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/run/quirks.h"

static struct live_machine *live;
static struct cpu *cpu;
static struct kvm_run *run;
static struct fake_vcpu *vcpu;

enum { UD_RUNS = 1000 }; /* vmm/run/quirks.h: a thousand times in a row */

static void setup(void)
{
	live = live_machine_make();
	cpu = &live->machine.cpus[0];
	run = cpu->vcpu.run;
	vcpu = &fake_kvm.vcpus[0];
	vcpu->regs = (struct kvm_regs){.rip = 0x1000, .rflags = RFLAGS_FIXED};
	/* The #UD that KVM has queued. */
	vcpu->events.exception.pending = 1;
	vcpu->events.exception.nr = VECTOR_UD;
	vcpu->events.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
}

static void fails_at(const char *bytes, unsigned size)
{
	run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 3;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = (uint8_t)size;
	memcpy(run->emulation_failure.insn_bytes, bytes, size);
}

static void nothing_was_changed(void)
{
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_REGS), 0);
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_VCPU_EVENTS), 0);
	ck_assert_uint_eq(cpu->stats.quirk_stac + cpu->stats.quirk_ud_injected, 0);
	ck_assert_uint_eq(live->machine.quirks, 0);
	ck_assert_uint_eq(live->boot->quirks, 0);
}

START_TEST(stac_and_clac_are_carried_out)
{
	const bool stac = _i;

	vcpu->regs.rflags |= stac ? 0 : RFLAGS_AC;
	fails_at(stac ? "\x0f\x01\xcb\x90" : "\x0f\x01\xca\x90", 4);
	ck_assert(quirk_complete(cpu));
	ck_assert_uint_eq(vcpu->regs.rip, 0x1003);
	ck_assert_uint_eq(vcpu->regs.rflags, RFLAGS_FIXED | (stac ? RFLAGS_AC : 0));
	ck_assert_uint_eq(vcpu->events.exception.pending, 0);
	ck_assert_uint_eq(vcpu->events.exception.injected, 0);
	ck_assert_uint_eq(vcpu->events.flags, 0);
	ck_assert_uint_eq(cpu->stats.quirk_stac, 1);
	ck_assert_uint_eq(live->machine.quirks, RS_QUIRK_NO_STAC);
	ck_assert_uint_eq(live->boot->quirks, RS_QUIRK_NO_STAC);
}
END_TEST

START_TEST(three_bytes_are_enough)
{
	fails_at("\x0f\x01\xcb", 3);
	ck_assert(quirk_complete(cpu));
	ck_assert_uint_eq(vcpu->regs.rip, 0x1003);
}
END_TEST

START_TEST(other_bytes_are_not_ours)
{
	static const char *const bytes[] = {"\x0f\x01\xc9\x90", "\x0f\x01\xcc\x90",
	                                    "\x0f\x00\xcb\x90", "\x0e\x01\xcb\x90"};

	fails_at(bytes[_i], 4);
	ck_assert(!quirk_complete(cpu));
	nothing_was_changed();
}
END_TEST

/* KVM says how many bytes of the instruction it brings, and whether any. */
START_TEST(bytes_that_are_not_there)
{
	fails_at("\x0f\x01\xcb\x90", 4);
	switch (_i) {
	case 0:
		run->emulation_failure.ndata = 2;
		break;
	case 1:
		run->emulation_failure.flags = 0;
		break;
	default:
		run->emulation_failure.insn_size = 2;
		break;
	}
	ck_assert(!quirk_complete(cpu));
	nothing_was_changed();
}
END_TEST

START_TEST(only_ring_0_has_them)
{
	const uint8_t dpl = (uint8_t)(_i + 1); /* rings 1 and 2, which nobody is in */

	vcpu->sregs.ss.dpl = dpl;
	fails_at("\x0f\x01\xcb\x90", 4);
	ck_assert(!quirk_complete(cpu));
	nothing_was_changed();
}
END_TEST

START_TEST(other_errors_are_not_ours)
{
	fails_at("\x0f\x01\xcb\x90", 4);
	vcpu->sregs.ss.dpl = _i ? 3 : 0;
	run->internal.suberror = KVM_INTERNAL_ERROR_SIMUL_EX;
	ck_assert(!quirk_complete(cpu));
	nothing_was_changed();
}
END_TEST

START_TEST(ring_3_gets_its_ud)
{
	vcpu->sregs.ss.dpl = 3;
	fails_at("\x0f\x01\xcb\x90", 4); /* STAC too: in ring 3 it is a #UD */
	ck_assert(quirk_complete(cpu));
	ck_assert_uint_eq(vcpu->events.exception.injected, 1);
	ck_assert_uint_eq(vcpu->events.exception.pending, 0);
	ck_assert_uint_eq(vcpu->events.exception.nr, VECTOR_UD);
	ck_assert_uint_eq(vcpu->events.exception.has_error_code, 0);
	ck_assert_uint_eq(vcpu->events.flags, 0);
	ck_assert_uint_eq(vcpu->regs.rip, 0x1000);
	ck_assert_uint_eq(cpu->stats.quirk_ud_injected, 1);
	ck_assert_uint_eq(live->machine.quirks, 0);
}
END_TEST

START_TEST(a_thousand_times_and_no_more)
{
	vcpu->sregs.ss.dpl = 3;
	fails_at("\x90\x90\x90", 3);
	for (unsigned i = 0; i < UD_RUNS; i++)
		ck_assert_msg(quirk_complete(cpu), "gives up at #UD %u", i + 1);
	ck_assert(!quirk_complete(cpu));
	ck_assert_uint_eq(cpu->stats.quirk_ud_injected, UD_RUNS);
}
END_TEST

/* A guest that gets on, however slowly, goes in no circle. */
START_TEST(other_registers_begin_anew)
{
	vcpu->sregs.ss.dpl = 3;
	fails_at("\x90\x90\x90", 3);
	for (unsigned i = 0; i < UD_RUNS; i++)
		ck_assert(quirk_complete(cpu));
	vcpu->regs.r15++;
	for (unsigned i = 0; i < UD_RUNS; i++)
		ck_assert_msg(quirk_complete(cpu), "gives up at #UD %u", i + 1);
	ck_assert(!quirk_complete(cpu));
}
END_TEST

START_TEST(a_kvm_that_refuses)
{
	static const struct {
		unsigned long request;
		uint8_t dpl;
	} refused[] = {{KVM_GET_REGS, 0},        {KVM_GET_SREGS, 0}, {KVM_GET_VCPU_EVENTS, 0},
	               {KVM_SET_VCPU_EVENTS, 3}, {KVM_SET_REGS, 0},  {KVM_SET_VCPU_EVENTS, 0}};

	vcpu->sregs.ss.dpl = refused[_i].dpl;
	fails_at("\x0f\x01\xcb\x90", 4);
	fake_kvm.fails = refused[_i].request;
	fake_kvm.error = EIO;
	ck_assert(!quirk_complete(cpu));
	ck_assert_uint_eq(cpu->stats.quirk_stac + cpu->stats.quirk_ud_injected, 0);
}
END_TEST

Suite *quirks_suite(void)
{
	Suite *suite = suite_create("quirks");
	TCase *tests = tcase_create("quirks");

	tcase_add_checked_fixture(tests, setup, live_machine_free);
	tcase_add_loop_test(tests, stac_and_clac_are_carried_out, 0, 2);
	tcase_add_test(tests, three_bytes_are_enough);
	tcase_add_loop_test(tests, other_bytes_are_not_ours, 0, 4);
	tcase_add_loop_test(tests, bytes_that_are_not_there, 0, 3);
	tcase_add_loop_test(tests, only_ring_0_has_them, 0, 2);
	tcase_add_loop_test(tests, other_errors_are_not_ours, 0, 2);
	tcase_add_test(tests, ring_3_gets_its_ud);
	tcase_add_test(tests, a_thousand_times_and_no_more);
	tcase_add_test(tests, other_registers_begin_anew);
	tcase_add_loop_test(tests, a_kvm_that_refuses, 0, 6);
	suite_add_tcase(suite, tests);
	return suite;
}
