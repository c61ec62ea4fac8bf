/* A round of a torture run over a small processor: how an event is delivered, and what of it is
 * noticed. */
#include <string.h>

#include "shared/desc.h"
#include "tests/unit_vmm/fake_cpu.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/engine/internal.h"
#include "vmm/instruments/torture/torture_event.h"
#include "vmm/instruments/torture/torture_internal.h"
#include "vmm/instruments/torture/torture_round.h"

#define STUB(vector) (FAKE_VECTORS + FAKE_STRIDE * (uint64_t)(vector))

enum { VECTORS = 256, CODE = VECTORS /* index of the instruction where events come */ };

static struct live_machine *live;
static struct fake_vcpu *vcpu;
static struct torture t;
static struct torture_insn insns[VECTORS + 1];
static struct torture_step here = {.insn = CODE};

/* Where the guest is in ring 0, or comes to in ring 3, the event comes. */
static void begin(unsigned ring)
{
	live = live_machine_make();
	vcpu = &fake_kvm.vcpus[0];
	fake_cpu_make(live, ring);
	memset(&t, 0, sizeof(t));
	t.machine = &live->machine;
	for (unsigned i = 0; i < VECTORS; i++) {
		insns[i] = (struct torture_insn){.va = STUB(i), .size = 1};
		/* Its handler is the guest's end. */
		*fake_cpu_at(live, STUB(i)) = OPCODE_HLT;
	}
	insns[CODE] = (struct torture_insn){.va = FAKE_CODE(0), .size = 1};
	t.text = (struct torture_text){.list = insns, .count = VECTORS + 1};
	t.path[0] = (struct torture_path){.list = &here, .count = 1};
	t.crossing.stand = FAKE_CODE(3) + 4;
	live->machine.image.note.ist[VECTOR_DF] = 1;
	vcpu->regs.rflags |= RFLAGS_IF | RFLAGS_NT | RFLAGS_AC;
	t.start.vcpu.sregs.cs =
	    (struct kvm_segment){.selector = RS_SEL_KERNEL_CODE, .present = 1, .l = 1};
	ck_assert(engine_attach(&t.engine, t.machine));
}

static void teardown(void)
{
	torture_path_free(&t.path[1]);
	engine_detach(&t.engine);
	live_machine_free();
}

static void play(enum torture_kind_of_event kind, unsigned vector, bool stand)
{
	const struct torture_plan plan = {
	    .events = 1, .event = {{kind, vector}}, .stand = stand, .record = TORTURE_RECORD_STUB};

	torture_round(&t, &plan);
	ck_assert(t.over); /* it has halted */
	ck_assert_int_eq(t.machine->outcome.reason, END_HALTED);
}

static uint64_t word_at(uint64_t address)
{
	uint64_t word;

	memcpy(&word, fake_cpu_at(live, address), sizeof(word));
	return word;
}

static void only_halted(void)
{
	ck_assert_uint_eq(t.failure_count, 1);
	ck_assert_ptr_nonnull(strstr(t.failures[0].problem, "halted"));
}

/* ---- By hand
 * ------------------------------------------------------------------------------------- */

/* As the processor does through an interrupt gate (SDM volume 3, 6.14). */
START_TEST(an_event_by_hand)
{
	static const struct {
		unsigned vector, ring;
		uint64_t rsp;   /* before */
		uint64_t frame; /* its lowest address */
		bool error;
	} want[] = {
	    {VECTOR_UD, 3, FAKE_STACK(3), FAKE_RSP0 - 40, false},
	    {VECTOR_PF, 3, FAKE_STACK(3), FAKE_RSP0 - 48, true},
	    {VECTOR_UD, 0, FAKE_STACK(0), FAKE_STACK(0) - 40, false},
	    {VECTOR_UD, 0, FAKE_STACK(0) - 8, FAKE_STACK(0) - 16 - 40, false},
	    {VECTOR_GP, 0, FAKE_STACK(0) - 24, FAKE_STACK(0) - 32 - 48, true},
	    {VECTOR_DF, 0, FAKE_STACK(0), FAKE_IST - 48, true},
	    {VECTOR_DF, 3, FAKE_STACK(3), FAKE_IST - 48, true},
	    {0x80, 3, FAKE_STACK(3), FAKE_RSP0 - 40, false},
	};
	const unsigned vector = want[_i].vector;
	const bool ring3 = want[_i].ring == 3;
	uint64_t at = want[_i].frame;

	begin(want[_i].ring);
	t.engine.state.regs.rsp = want[_i].rsp;
	t.engine.changed = true;
	play(TORTURE_HAND, vector, ring3);
	only_halted();
	ck_assert_uint_eq(vcpu->regs.rip, STUB(vector) + 1);
	ck_assert_uint_eq(vcpu->regs.rsp, at);
	ck_assert_uint_eq(vcpu->regs.rflags, RFLAGS_FIXED | RFLAGS_AC);
	ck_assert_uint_eq(vcpu->sregs.cs.selector, RS_SEL_KERNEL_CODE);
	ck_assert_uint_eq(vcpu->sregs.ss.dpl, 0);
	if (want[_i].error) {
		ck_assert_uint_eq(word_at(at), 0);
		at += 8;
	}
	ck_assert_uint_eq(word_at(at), ring3 ? t.crossing.stand : FAKE_CODE(0));
	ck_assert_uint_eq(word_at(at + 8), ring3 ? RS_SEL_USER_CODE : RS_SEL_KERNEL_CODE);
	ck_assert_uint_eq(word_at(at + 16), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_NT | RFLAGS_AC);
	ck_assert_uint_eq(word_at(at + 24), want[_i].rsp);
	ck_assert_uint_eq(word_at(at + 32), ring3 ? RS_SEL_USER_DATA : RS_SEL_KERNEL_DATA);
	/* What the path says of it. */
	ck_assert_uint_eq(t.path[1].count, 1);
	ck_assert_uint_eq(t.path[1].list[0].insn, vector);
	ck_assert_uint_eq(t.path[1].list[0].rsp, want[_i].frame);
	ck_assert_int_eq(t.path[1].list[0].from_ring3, ring3);
	ck_assert_int_eq(t.path[1].list[0].shadow, false);
}
END_TEST

/* ---- By KVM
 * -------------------------------------------------------------------------------------- */

START_TEST(an_nmi)
{
	begin(0);
	play(TORTURE_NMI, VECTOR_NMI, false);
	only_halted();
	ck_assert_uint_eq(fake_kvm_count(KVM_NMI), 1);
	ck_assert_uint_eq(vcpu->regs.rip, STUB(VECTOR_NMI) + 1);
	ck_assert_int_eq(t.path[1].list[0].from_ring3, false);
}
END_TEST

START_TEST(an_nmi_in_ring_3)
{
	begin(3);
	play(TORTURE_NMI, VECTOR_NMI, true);
	only_halted();
	ck_assert_uint_eq(word_at(vcpu->regs.rsp), t.crossing.stand);
	ck_assert_int_eq(t.path[1].list[0].from_ring3, true);
}
END_TEST

/* What a processor saved and what was there are compared. */
START_TEST(a_frame_that_is_wrong)
{
	begin(0);
	fake_cpu.loses_rsp = true;
	play(TORTURE_NMI, VECTOR_NMI, false);
	ck_assert_uint_eq(t.failure_count, 2);
	ck_assert_ptr_nonnull(strstr(t.failures[0].problem, "manuals"));
	ck_assert_uint_eq(t.failures[0].differences.count, 1);
	ck_assert_str_eq(t.failures[0].differences.list[0].name, "saved RSP");
	ck_assert_uint_eq(t.failures[0].differences.list[0].want, FAKE_STACK(0));
}
END_TEST

/* ---- Gates
 * --------------------------------------------------------------------------------------- */

START_TEST(usual_gates)
{
	static const struct {
		struct desc_gate gate;
		bool usual;
	} want[] = {
	    {{.offset = STUB(14), .present = true, .type = DESC_INTERRUPT_GATE}, true},
	    {{.offset = STUB(14), .present = false, .type = DESC_INTERRUPT_GATE}, false},
	    {{.offset = STUB(14), .present = true, .type = DESC_TRAP_GATE}, false},
	    {{.offset = STUB(14), .present = true, .type = DESC_CALL_GATE}, false},
	    {{.offset = STUB(13), .present = true, .type = DESC_INTERRUPT_GATE}, false},
	};

	begin(0);
	ck_assert(desc_gate_encode(&want[_i].gate,
	                           (uint64_t *)(void *)fake_cpu_at(live, FAKE_IDT + 14 * 16)));
	ck_assert_int_eq(torture_gate_is_usual(&t, 14), want[_i].usual);
	t.engine.state.sregs.idt.base = FAKE_KERNEL + LIVE_RAM;
	ck_assert(!torture_gate_is_usual(&t, 14));
}
END_TEST

Suite *torture_round_suite(void)
{
	Suite *suite = suite_create("torture_round");
	TCase *tests = tcase_create("torture_round");

	tcase_add_checked_fixture(tests, NULL, teardown);
	tcase_add_loop_test(tests, an_event_by_hand, 0, 8);
	tcase_add_test(tests, an_nmi);
	tcase_add_test(tests, an_nmi_in_ring_3);
	tcase_add_test(tests, a_frame_that_is_wrong);
	tcase_add_loop_test(tests, usual_gates, 0, 5);
	suite_add_tcase(suite, tests);
	return suite;
}
