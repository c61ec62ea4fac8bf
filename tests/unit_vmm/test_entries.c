/* Where a guest enters ring 0, out of hostile IDTs and MSRs; and that the engine follows. */
#include <string.h>

#include "shared/desc.h"
#include "tests/unit_vmm/fake_cpu.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"
#include "vmm/look/entries.h"

#define STUB(vector) (FAKE_VECTORS + FAKE_STRIDE * (uint64_t)(vector))

static struct live_machine *live;
static struct fake_vcpu *vcpu;
static struct vcpu_state state;
static struct {
	struct entries entries;
	uint8_t behind[ENTRIES_IDT_SIZE];
} guarded;

static void setup(void)
{
	live = live_machine_make();
	vcpu = &fake_kvm.vcpus[0];
	fake_cpu_make(live, 0);
	guarded.entries = (struct entries){0};
	state = (struct vcpu_state){.regs = vcpu->regs, .sregs = vcpu->sregs};
	state.msrs[STATE_LSTAR] = FAKE_SYSCALL;
	state.msrs[STATE_CSTAR] = FAKE_COMPAT;
	state.msrs[STATE_SYSENTER_CS] = RS_SEL_KERNEL_CODE;
	state.msrs[STATE_SYSENTER_EIP] = FAKE_SYSENTER;
}

static void teardown(void)
{
	live_machine_free();
}

static bool look(void)
{
	const struct view view = view_make(&live->machine.memory, &state.regs, &state.sregs,
	                                   live->machine.boot.kernel.geo);

	return entries_read(&guarded.entries, &view, &state);
}

static void write_gate(unsigned vector, struct desc_gate gate)
{
	uint64_t words[2];

	ck_assert(desc_gate_encode(&gate, words));
	memcpy(fake_cpu_at(live, FAKE_IDT + 16 * (uint64_t)vector), words, sizeof(words));
}

static const struct desc_gate plain = {
    .offset = STUB(7), .selector = 8, .type = DESC_INTERRUPT_GATE, .present = true};

/* ---- What the machine says ------------------------------------------------------------------- */

START_TEST(all_that_there_are)
{
	ck_assert(look());
	for (unsigned v = 0; v < 256; v++) {
		ck_assert(guarded.entries.list[v].there);
		ck_assert_int_eq(entries_find(&guarded.entries, STUB(v)), (int)v);
	}
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSCALL), ENTRIES_SYSCALL);
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_COMPAT), ENTRIES_COMPAT);
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSENTER), ENTRIES_SYSENTER);
	ck_assert_int_eq(entries_find(&guarded.entries, STUB(3) + 1), -1);
	ck_assert_int_eq(entries_find(&guarded.entries, 0), -1);
	ck_assert(!look());
}
END_TEST

START_TEST(what_a_gate_says)
{
	struct desc_gate gate = plain;

	gate.type = DESC_TRAP_GATE;
	gate.dpl = 3;
	gate.ist = 5;
	gate.selector = 0x10;
	write_gate(0x80, gate);
	look();
	ck_assert_uint_eq(guarded.entries.list[0x80].va, STUB(7));
	ck_assert_uint_eq(guarded.entries.list[0x80].type, DESC_TRAP_GATE);
	ck_assert_uint_eq(guarded.entries.list[0x80].dpl, 3);
	ck_assert_uint_eq(guarded.entries.list[0x80].ist, 5);
	ck_assert_uint_eq(guarded.entries.list[0x80].selector, 0x10);
}
END_TEST

START_TEST(gates_that_are_none)
{
	struct desc_gate gate = plain;

	gate.present = false;
	write_gate(9, gate);
	gate = plain;
	gate.type = DESC_CALL_GATE;
	write_gate(10, gate);
	memset(fake_cpu_at(live, FAKE_IDT + 11 * 16), 0xff, 16);
	look();
	ck_assert(!guarded.entries.list[9].there && !guarded.entries.list[9].va);
	ck_assert(!guarded.entries.list[10].there);
	ck_assert_uint_eq(guarded.entries.list[11].va,
	                  UINT64_MAX); /* hostile: not canonical, or odd */
	ck_assert_int_eq(entries_find(&guarded.entries, STUB(9)), -1);
}
END_TEST

/* A gate is whole within the limit, or is none. */
START_TEST(the_limit_of_the_idt)
{
	state.sregs.idt.limit = 14 * 16 + 14;
	look();
	ck_assert(guarded.entries.list[13].there && !guarded.entries.list[14].there);
	state.sregs.idt.limit = 14 * 16 + 15;
	ck_assert(look());
	ck_assert(guarded.entries.list[14].there && !guarded.entries.list[15].there);
	state.sregs.idt.limit = 0xffff;
	look();
	ck_assert(guarded.entries.list[255].there);
	state.sregs.idt.limit = 0;
	ck_assert(look());
	ck_assert_int_eq(entries_find(&guarded.entries, STUB(0)), -1);
}
END_TEST

/* In two pages, of which either may be missing; then in none, or where addresses end. */
START_TEST(where_the_idt_lies)
{
	const uint64_t half = (uint64_t)LIVE_RAM + FAKE_KERNEL - 2048;

	memcpy(fake_cpu_at(live, half), fake_cpu_at(live, FAKE_IDT), 2048);
	state.sregs.idt.base = half;
	look();
	ck_assert(guarded.entries.list[127].there && !guarded.entries.list[128].there);
	state.sregs.idt.base = FAKE_KERNEL - 2048;
	memcpy(fake_cpu_at(live, FAKE_KERNEL), fake_cpu_at(live, FAKE_IDT + 2048), 2048);
	look();
	ck_assert(!guarded.entries.list[127].there && guarded.entries.list[128].there);
	ck_assert_uint_eq(guarded.entries.list[128].va, STUB(128));
	state.sregs.idt.base = UINT64_C(0x8000) << 32;
	look();
	ck_assert(!guarded.entries.list[0].there && !guarded.entries.list[255].there);
	state.sregs.idt.base = UINT64_MAX - 7;
	look();
	ck_assert(!guarded.entries.list[0].there);
}
END_TEST

START_TEST(before_long_mode)
{
	state.sregs.efer &= ~(uint64_t)EFER_LMA;
	state.sregs.idt.base = FAKE_IDT - FAKE_KERNEL; /* no paging that the view knows */
	look();
	ck_assert_int_eq(entries_find(&guarded.entries, STUB(0)), -1);
}
END_TEST

START_TEST(what_the_msrs_need)
{
	state.sregs.efer &= ~(uint64_t)EFER_SCE;
	look();
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSCALL), -1);
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_COMPAT), -1);
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSENTER), ENTRIES_SYSENTER);
	state.sregs.efer |= EFER_SCE;
	state.msrs[STATE_SYSENTER_CS] = 3; /* a null selector */
	ck_assert(look());
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSENTER), -1);
	state.msrs[STATE_SYSENTER_CS] = 8;
	state.msrs[STATE_SYSENTER_EIP] = state.msrs[STATE_LSTAR] = 0;
	look();
	ck_assert(!guarded.entries.list[ENTRIES_SYSENTER].there &&
	          !guarded.entries.list[ENTRIES_SYSCALL].there);
	ck_assert_int_eq(entries_find(&guarded.entries, 0), -1);
}
END_TEST

START_TEST(several_of_one_address)
{
	struct desc_gate gate = plain;

	gate.offset = FAKE_SYSCALL;
	write_gate(200, gate);
	write_gate(100, plain);
	look();
	ck_assert_int_eq(entries_find(&guarded.entries, STUB(7)), 7);
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSCALL), 200);
	ck_assert(entries_lead(&guarded.entries, 100, STUB(7)) &&
	          entries_lead(&guarded.entries, 7, STUB(7)));
	ck_assert(entries_lead(&guarded.entries, ENTRIES_SYSCALL, FAKE_SYSCALL));
	ck_assert(!entries_lead(&guarded.entries, 100, STUB(100)));
	ck_assert(!entries_lead(&guarded.entries, ENTRIES_MAX, FAKE_SYSCALL));
}
END_TEST

/* One byte of the IDT, or one MSR, is another one. */
START_TEST(changes_are_seen)
{
	look();
	fake_cpu_at(live, FAKE_IDT)[255 * 16]++;
	ck_assert(look());
	ck_assert_uint_eq(guarded.entries.list[255].va, STUB(255) + 1);
	ck_assert(!look());
	state.msrs[STATE_LSTAR]++;
	ck_assert(look());
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSCALL + 1), ENTRIES_SYSCALL);
	ck_assert_int_eq(entries_find(&guarded.entries, FAKE_SYSCALL), -1);
	ck_assert(!look());
}
END_TEST

/* IDTR may name 64 KiB, anywhere in a page: an IDT has 256 gates. */
START_TEST(an_idt_that_is_too_long)
{
	state.sregs.idt.base = FAKE_IDT + 0x808;
	state.sregs.idt.limit = 0xffff;
	memset(guarded.behind, 0xaa, sizeof(guarded.behind));
	look();
	for (size_t i = 0; i < sizeof(guarded.behind); i++)
		ck_assert_uint_eq(guarded.behind[i], 0xaa);
}
END_TEST

/* ---- The engine follows ---------------------------------------------------------------------- */

static struct engine engine;

static void setup_engine(void)
{
	setup();
}

static void teardown_engine(void)
{
	engine_detach(&engine);
	teardown();
}

static uint8_t byte_at(uint64_t va)
{
	return *fake_cpu_at(live, va);
}

/* What it has rewritten is looked at again. */
static void has_run(void)
{
	engine.entries_known = false;
}

START_TEST(a_rewritten_gate_is_the_fence)
{
	struct desc_gate gate = plain;

	ck_assert(engine_attach(&engine, &live->machine));
	fake_cpu_code(live, "\x0f\x0b", 2); /* UD2 */
	gate.offset = FAKE_VECTORS + 0x1008;
	write_gate(VECTOR_UD, gate);
	has_run();
	ck_assert_int_eq(engine_step(&engine).why, ENGINE_STEPPED);
	/* The fake processor knows one place only: what stands there is no entry now. */
	ck_assert_int_eq(engine_entry(&engine, FAKE_VECTORS + 0x1008), VECTOR_UD);
	ck_assert_int_eq(engine_entry(&engine, STUB(VECTOR_UD)), -1);
}
END_TEST

/* At an exit of the guest's own, or when the clock ends a KVM_RUN. */
START_TEST(points_follow_a_rewritten_gate)
{
	struct desc_gate gate = plain;

	ck_assert(engine_attach(&engine, &live->machine));
	engine_add_entry(&engine, 14);
	engine_add_entry(&engine, 14);
	ck_assert_uint_eq(byte_at(STUB(14)), OPCODE_OUT);
	gate.offset = FAKE_SYSENTER;
	write_gate(14, gate);
	has_run();
	ck_assert(engine_look_at_entries(&engine));
	ck_assert_uint_eq(byte_at(STUB(14)), 0x90);
	ck_assert_uint_eq(byte_at(FAKE_SYSENTER), OPCODE_OUT);
	engine_remove_entry(&engine, 14);
	ck_assert_uint_eq(byte_at(FAKE_SYSENTER), 0x90);
	ck_assert_uint_eq(engine.point_count, 0);
	ck_assert_uint_eq(engine.asks, 0);
}
END_TEST

/* By a debugger, while the guest stands. */
START_TEST(a_gate_that_the_engine_writes)
{
	struct desc_gate gate = plain;
	uint64_t words[2];

	ck_assert(engine_attach(&engine, &live->machine));
	gate.offset = FAKE_SYSENTER;
	desc_gate_encode(&gate, words);
	ck_assert_uint_eq(
	    engine_write(&engine, vcpu->sregs.idt.base + 14 * 16, words, sizeof(words)), 16);
	ck_assert(engine_look_at_entries(&engine));
	ck_assert_int_eq(engine_entry(&engine, FAKE_SYSENTER), 14);
}
END_TEST

/* Of a kernel that boots: LSTAR is written late, and is planted when it is there. */
START_TEST(points_come_with_the_entry)
{
	vcpu->msr_count = 0;
	vcpu->sregs.idt.limit = 0;
	ck_assert(engine_attach(&engine, &live->machine));
	ck_assert(!engine_awaits_entries(&engine));
	engine_add_entry(&engine, ENGINE_ENTRY_SYSCALL);
	ck_assert(engine_awaits_entries(&engine));
	ck_assert_uint_eq(byte_at(FAKE_SYSCALL), 0x90);
	vcpu_write_msr(&engine.cpu->vcpu, MSR_LSTAR, FAKE_SYSCALL);
	/* HLT: the run is over, after an exit. */
	fake_cpu_code(live, "\x90\xee\x90\xf4", 4);
	engine.stop_at_exits = true;
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_EXIT);
	ck_assert_uint_eq(byte_at(FAKE_SYSCALL), OPCODE_OUT);
	ck_assert_int_eq(engine_entry(&engine, FAKE_SYSCALL), ENGINE_ENTRY_SYSCALL);
}
END_TEST

/* Where INT3s of ring 3 arrive moves too. */
START_TEST(the_hook_follows)
{
	struct desc_gate gate = plain;

	ck_assert(engine_attach(&engine, &live->machine));
	ck_assert_int_eq(engine_add_point(&engine, FAKE_CODE(3)), ENGINE_OK);
	ck_assert_uint_eq(byte_at(STUB(VECTOR_BP)), OPCODE_OUT);
	gate.offset = FAKE_COMPAT;
	write_gate(VECTOR_BP, gate);
	has_run();
	ck_assert(engine_look_at_entries(&engine));
	ck_assert_uint_eq(byte_at(STUB(VECTOR_BP)), 0x90);
	ck_assert_uint_eq(byte_at(FAKE_COMPAT), OPCODE_OUT);
	ck_assert_int_eq(engine_remove_point(&engine, FAKE_CODE(3)), ENGINE_OK);
	ck_assert_uint_eq(byte_at(FAKE_COMPAT), 0x90);
	ck_assert_uint_eq(engine.point_count, 0);
}
END_TEST

/* Two entries of one address have one point, until neither is asked for. */
START_TEST(points_of_a_shared_handler)
{
	write_gate(100, plain);
	ck_assert(engine_attach(&engine, &live->machine));
	engine_add_entry(&engine, 7);
	engine_add_entry(&engine, 100);
	ck_assert_uint_eq(engine.point_count, 1);
	engine_remove_entry(&engine, 7);
	ck_assert_uint_eq(byte_at(STUB(7)), OPCODE_OUT);
	engine_remove_entry(&engine, 100);
	ck_assert_uint_eq(byte_at(STUB(7)), 0x90);
}
END_TEST

/* Linux makes a CLAC of what its handlers begin with, over the plant. */
START_TEST(a_patched_entry)
{
	ck_assert(engine_attach(&engine, &live->machine));
	engine_add_entry(&engine, 14);
	ck_assert_int_eq(engine_add_point(&engine, FAKE_CODE(3)), ENGINE_OK);
	memcpy(fake_cpu_at(live, STUB(14)), "\x0f\x01\xca", 3);
	memcpy(fake_cpu_at(live, STUB(VECTOR_BP)), "\x0f\x01\xca", 3);
	has_run();
	ck_assert(engine_look_at_entries(&engine));
	ck_assert_uint_eq(byte_at(STUB(14)), OPCODE_OUT);
	ck_assert_uint_eq(byte_at(STUB(VECTOR_BP)), OPCODE_OUT);
	engine_remove_entry(&engine, 14);
	ck_assert_int_eq(engine_remove_point(&engine, FAKE_CODE(3)), ENGINE_OK);
	ck_assert_uint_eq(byte_at(STUB(14)), 0x0f);
	ck_assert_uint_eq(byte_at(STUB(VECTOR_BP)), 0x0f);
}
END_TEST

/* An entry whose address is mapped nowhere stops nobody from stepping. */
START_TEST(an_entry_that_is_not_mapped)
{
	struct desc_gate gate = plain;

	gate.offset = UINT64_C(0x1234567890);
	write_gate(20, gate);
	ck_assert(engine_attach(&engine, &live->machine));
	engine_add_entry(&engine, 20);
	ck_assert_uint_eq(engine.point_count, 0);
	ck_assert_int_eq(engine_step(&engine).why, ENGINE_STEPPED);
}
END_TEST

Suite *entries_suite(void)
{
	Suite *suite = suite_create("entries");
	TCase *pure = tcase_create("what the machine says");
	TCase *follows = tcase_create("the engine follows");

	tcase_add_checked_fixture(pure, setup, teardown);
	tcase_add_test(pure, all_that_there_are);
	tcase_add_test(pure, what_a_gate_says);
	tcase_add_test(pure, gates_that_are_none);
	tcase_add_test(pure, the_limit_of_the_idt);
	tcase_add_test(pure, an_idt_that_is_too_long);
	tcase_add_test(pure, where_the_idt_lies);
	tcase_add_test(pure, before_long_mode);
	tcase_add_test(pure, what_the_msrs_need);
	tcase_add_test(pure, several_of_one_address);
	tcase_add_test(pure, changes_are_seen);
	suite_add_tcase(suite, pure);
	tcase_add_checked_fixture(follows, setup_engine, teardown_engine);
	tcase_add_test(follows, a_rewritten_gate_is_the_fence);
	tcase_add_test(follows, points_follow_a_rewritten_gate);
	tcase_add_test(follows, a_gate_that_the_engine_writes);
	tcase_add_test(follows, points_come_with_the_entry);
	tcase_add_test(follows, the_hook_follows);
	tcase_add_test(follows, points_of_a_shared_handler);
	tcase_add_test(follows, a_patched_entry);
	tcase_add_test(follows, an_entry_that_is_not_mapped);
	suite_add_tcase(suite, follows);
	return suite;
}
