/* The debugger's engine over a small processor: which instructions get a plant, and where; what a
 * step leaves of its trap flag; points, watches, entries. */
#include <string.h>

#include "shared/desc.h"
#include "tests/unit_vmm/fake_cpu.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/engine/code.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"

static struct live_machine *live;
static struct machine *machine;
static struct fake_vcpu *vcpu;
static struct engine engine;

#define CODE_AT  FAKE_CODE(fake_cpu.ring)
#define STACK_AT FAKE_STACK(fake_cpu.ring)

static void begin(unsigned ring, const void *code, size_t size)
{
	live = live_machine_make();
	machine = &live->machine;
	vcpu = &fake_kvm.vcpus[0];
	fake_cpu_make(live, ring);
	fake_cpu_code(live, code, size);
}

static void attach(unsigned ring, const void *code, size_t size)
{
	begin(ring, code, size);
	ck_assert(engine_attach(&engine, machine));
}

/* Without an IDT and MSRs: points are OUTs, and there is no fence. */
static void attach_plain(const void *code, size_t size)
{
	begin(0, code, size);
	vcpu->sregs.idt.limit = 0;
	vcpu->msr_count = 0;
	ck_assert(engine_attach(&engine, machine));
}

static void teardown(void)
{
	engine_detach(&engine);
	live_machine_free();
}

static void step(void)
{
	const size_t points = engine.point_count;

	ck_assert_int_eq(engine_step(&engine).why, ENGINE_STEPPED);
	/* What was planted for it is gone. */
	ck_assert_uint_eq(engine.point_count, points);
}

static uint64_t word_at(uint64_t address)
{
	uint64_t word;

	memcpy(&word, fake_cpu_at(live, address), sizeof(word));
	return word;
}

/* ---- Which instructions get a plant behind them -------------------------------------------------
 */

#define CODE(bytes) bytes, sizeof(bytes) - 1

static const struct {
	const char *bytes;
	size_t size;
} planted[] = {
    /* SWAPGS, LGDT, INVLPG, FXSAVE, ...: every form of ModRM (SDM volume 2, table 2-2) */
    {CODE("\x0f\x01\xf8")},
    {CODE("\x0f\x01\x38")},
    {CODE("\x0f\xae\x05\x11\x22\x33\x44")},
    {CODE("\x0f\xae\x04\x20")},
    {CODE("\x0f\xae\x04\x25\x11\x22\x33\x44")},
    {CODE("\x0f\xae\x40\x11")},
    {CODE("\x0f\xae\x44\x24\x11")},
    {CODE("\x0f\xae\x44\x25\x11")},
    {CODE("\x0f\xae\x80\x11\x22\x33\x44")},
    {CODE("\x0f\xae\x84\x24\x11\x22\x33\x44")},
    {CODE("\x0f\xae\x84\x25\x11\x22\x33\x44")},
    {CODE("\x0f\xae\xe4")},
    {CODE("\x0f\xae\xe8")},
    {CODE("\x0f\x01\xc5")},
    /* with prefixes */
    {CODE("\x48\x0f\xae\x04\x24")},
    {CODE("\x4f\x0f\xae\x04\x24")},
    {CODE("\xf3\x0f\xae\xc0")},
    {CODE("\xf3\x48\x0f\xae\xc0")},
    {CODE("\x66\x0f\xae\x3b")},
    {CODE("\x2e\x0f\x01\x38")},
    {CODE("\x65\x67\x0f\x01\x38")},
    /* what a hypervisor may have for itself */
    {CODE("\xe4\x60")},
    {CODE("\xe5\x60")},
    {CODE("\xe6\x60")},
    {CODE("\xe7\x60")},
    {CODE("\x66\xe7\x60")},
    {CODE("\xec")},
    {CODE("\xed")},
    {CODE("\xef")},
    {CODE("\x6c")},
    {CODE("\x6d")},
    {CODE("\x6e")},
    {CODE("\x6f")},
    {CODE("\xf3\x6e")},
    {CODE("\x0f\xa2")},
    {CODE("\x0f\x30")},
    {CODE("\x0f\x31")},
    {CODE("\x0f\x32")},
    {CODE("\x0f\x33")},
    {CODE("\x0f\x08")},
    {CODE("\x0f\x09")},
    {CODE("\x0f\x20\xc0")},
    {CODE("\x0f\x21\xc0")},
    {CODE("\x0f\x22\xd8")},
    {CODE("\x0f\x23\xf8")},
    {CODE("\x44\x0f\x22\xc0")},
    {CODE("\x0f\x22\x05")}, /* registers, whatever the mode */
    /* done many times */
    {CODE("\xf3\xa4")},
    {CODE("\xf3\x48\xab")},
    {CODE("\xf3\xaa")},
    {CODE("\xf3\xaf")},
    {CODE("\x67\xf2\xae")},
    {CODE("\xf3\x66\xa7")},
    /* holds the trap back */
    {CODE("\xfb")},
};
enum { PLANTED = sizeof(planted) / sizeof(planted[0]) };

START_TEST(a_plant_stands_behind_it)
{
	const size_t size = planted[_i].size;

	attach(0, planted[_i].bytes, size);
	fake_cpu.size = size;
	step();
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + size);
	ck_assert_uint_eq(fake_cpu.plant_seen, CODE_AT + size);
	ck_assert_mem_eq(fake_cpu_at(live, CODE_AT), planted[_i].bytes, size);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT + size), 0x90);
	ck_assert_uint_eq(engine_cpl(&engine), 0);
}
END_TEST

/* From ring 3 only what is an exit: an INT3 that goes through the guest's gate and back. */
START_TEST(a_plant_in_ring_3)
{
	attach(3, "\x0f\xa2", 2);
	fake_cpu.size = 2;
	step();
	ck_assert_uint_eq(fake_cpu.plant_seen, CODE_AT + 2);
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 2);
	ck_assert_uint_eq(engine.state.regs.rsp, STACK_AT);
	ck_assert_uint_eq(engine_cpl(&engine), 3);
	ck_assert_uint_eq(engine.state.regs.rflags, RFLAGS_FIXED);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT + 2), 0x90);
}
END_TEST

START_TEST(no_plant_stands_behind_others)
{
	static const struct {
		const char *bytes;
		size_t size;
	} others[] = {{CODE("\x90")},         {CODE("\xfa")},         {CODE("\x89\xd8")},
	              {CODE("\x0f\x24\xc0")}, {CODE("\x0f\x1f\x00")}, {CODE("\xeb\x00")},
	              {CODE("\x0f\xc7\xf0")}, {CODE("\xe8\0\0\0\0")}, {CODE("\xcb")},
	              {CODE("\x40\xcb")},     {CODE("\xaa")},         {CODE("\x48\xa5")},
	              {CODE("\xf3\x90")},     {CODE("\xf3\xa8\x00")}, {CODE("\xf3\xa9\0\0\0\0")},
	              {CODE("\xf3\xb0\x00")}};

	attach(0, others[_i].bytes, others[_i].size);
	fake_cpu.size = others[_i].size;
	step();
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + others[_i].size);
	ck_assert_uint_eq(fake_cpu.plant_seen, 0);
	ck_assert_uint_eq(fake_cpu.runs, 1);
}
END_TEST

/* ---- Where returns go ---------------------------------------------------------------------------
 */

START_TEST(a_return_to_ring_3)
{
	attach(0, "\x48\xcf", 2);
	const uint64_t frame[] = {FAKE_CODE(3) + 0x100, RS_SEL_USER_CODE, RFLAGS_FIXED,
	                          FAKE_STACK(3), RS_SEL_USER_DATA};

	memcpy(fake_cpu_at(live, STACK_AT), frame, sizeof(frame));
	step();
	ck_assert_uint_eq(engine.state.regs.rip, FAKE_CODE(3) + 0x100);
	ck_assert_uint_eq(engine.state.regs.rsp, FAKE_STACK(3));
	ck_assert_uint_eq(engine_cpl(&engine), 3);
	ck_assert_uint_eq(fake_cpu.plant_seen, FAKE_CODE(3) + 0x100);
	ck_assert_uint_eq(*fake_cpu_at(live, FAKE_CODE(3) + 0x100), 0x90);
}
END_TEST

/* A far return with 64-bit operands, SYSRET, SYSEXIT: by the stack, by RCX, by RDX.  Here they do
 * nothing, and so what is seen is the plant. */
static uint8_t seen_at_target;

static int look_at_target(unsigned n)
{
	if (!seen_at_target)
		seen_at_target = *fake_cpu_at(live, FAKE_CODE(3) + 0x200);
	return fake_cpu_run(n);
}

START_TEST(other_returns_to_ring_3)
{
	static const struct {
		const char *bytes;
		size_t size;
	} returns[] = {{CODE("\x48\xcb")}, {CODE("\x0f\x07")}, {CODE("\x0f\x35")}};
	const uint64_t words[2] = {_i == 0 ? FAKE_CODE(3) + 0x200 : 0, RS_SEL_USER_CODE};

	attach(0, returns[_i].bytes, returns[_i].size);
	fake_cpu.size = 0x200;
	engine.state.regs.rcx = _i == 1 ? FAKE_CODE(3) + 0x200 : 0;
	engine.state.regs.rdx = _i == 2 ? FAKE_CODE(3) + 0x200 : 0;
	engine.changed = true;
	memcpy(fake_cpu_at(live, STACK_AT), words, sizeof(words));
	seen_at_target = 0;
	fake_kvm.run = look_at_target;
	step();
	ck_assert_uint_eq(seen_at_target, OPCODE_INT3);
	ck_assert_uint_eq(*fake_cpu_at(live, FAKE_CODE(3) + 0x200), 0x90);
}
END_TEST

/* ---- What a step leaves -------------------------------------------------------------------------
 */

#define STUB(vector) (FAKE_VECTORS + FAKE_STRIDE * (uint64_t)(vector))

/* A fault ends at the entry, and the flags that the processor saved have no trap flag of ours. */
START_TEST(a_fault_in_ring_0)
{
	const bool has_error = _i;

	attach(0, has_error ? "\x0f\xff" : "\x0f\x0b", 2);
	step();
	ck_assert_uint_eq(engine.state.regs.rip, STUB(has_error ? VECTOR_GP : VECTOR_UD));
	ck_assert_uint_eq(word_at(engine.state.regs.rsp + (has_error ? 8 : 0)), CODE_AT);
	ck_assert_uint_eq(word_at(engine.state.regs.rsp + (has_error ? 24 : 16)), RFLAGS_FIXED);
	ck_assert_uint_eq(*fake_cpu_at(live, engine.state.regs.rip), 0x90);
}
END_TEST

/* But the guest's own stays. */
START_TEST(a_fault_with_a_trap_flag)
{
	begin(0, "\x0f\x0b", 2);
	vcpu->regs.rflags |= RFLAGS_TF;
	ck_assert(engine_attach(&engine, machine));
	step();
	ck_assert_uint_eq(engine.state.regs.rip, STUB(VECTOR_UD));
	ck_assert_uint_eq(word_at(engine.state.regs.rsp + 16), RFLAGS_FIXED | RFLAGS_TF);
}
END_TEST

START_TEST(pushed_flags)
{
	attach((unsigned)_i, "\x9c", 1);
	step();
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 1);
	ck_assert_uint_eq(engine_cpl(&engine), (unsigned)_i);
	ck_assert_uint_eq(engine.state.regs.rsp, STACK_AT - 8);
	ck_assert_uint_eq(word_at(STACK_AT - 8), RFLAGS_FIXED);
}
END_TEST

START_TEST(one_instruction_of_ring_3)
{
	attach(3, "\x90", 1);
	step();
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 1);
	ck_assert_uint_eq(engine.state.regs.rsp, STACK_AT);
	ck_assert_uint_eq(engine.state.regs.rflags, RFLAGS_FIXED);
	ck_assert_uint_eq(engine_cpl(&engine), 3);
	ck_assert_uint_eq(engine.state.sregs.cs.selector, RS_SEL_USER_CODE);
	ck_assert_uint_eq(engine.state.sregs.cs.l, 1);
	ck_assert_uint_eq(*fake_cpu_at(live, STUB(VECTOR_DB)), 0x90);
}
END_TEST

/* DR6.BS of a #DB that the guest never got; what it had itself stays. */
START_TEST(dr6_comes_back)
{
	begin(3, "\x90\x90", 2);
	vcpu->debugregs.dr6 = 0xffff0ff1;
	ck_assert(engine_attach(&engine, machine));
	step();
	step();
	ck_assert_uint_ne(vcpu->debugregs.dr6, 0xffff0ff1);
	ck_assert(engine_let_go(&engine));
	ck_assert_uint_eq(vcpu->debugregs.dr6, 0xffff0ff1);
	ck_assert_uint_eq(vcpu->regs.rip, CODE_AT + 2);
	ck_assert_uint_eq(vcpu->guest_debug.control, 0);
}
END_TEST

/* Processors differ in whether the trap comes behind SYSCALL. */
START_TEST(a_system_call)
{
	attach(3, "\x0f\x05", 2);
	fake_cpu.syscall_traps = _i;
	step();
	ck_assert_uint_eq(engine.state.regs.rip, FAKE_SYSCALL);
	ck_assert_uint_eq(engine_cpl(&engine), 0);
	ck_assert_uint_eq(engine.state.regs.rcx, CODE_AT + 2);
	ck_assert_uint_eq(engine.state.regs.r11, RFLAGS_FIXED);
	ck_assert_uint_eq(engine.state.regs.rflags & RFLAGS_TF, 0);
}
END_TEST

START_TEST(a_fault_of_ring_3)
{
	attach(3, "\x0f\xff", 2);
	step();
	ck_assert_uint_eq(engine.state.regs.rip, STUB(VECTOR_GP));
	ck_assert_uint_eq(engine.state.regs.rsp, FAKE_RSP0 - 48);
	ck_assert_uint_eq(word_at(engine.state.regs.rsp + 24), RFLAGS_FIXED);
	ck_assert_uint_eq(word_at(engine.state.regs.rsp + 16), RS_SEL_USER_CODE);
}
END_TEST

/* A #DB of the guest's own making is an entry like others. */
START_TEST(int1_is_the_guests)
{
	attach(3, "\xf1", 1);
	step();
	ck_assert_uint_eq(engine.state.regs.rip, STUB(VECTOR_DB));
	ck_assert_uint_eq(word_at(engine.state.regs.rsp), CODE_AT + 1);
	ck_assert_uint_eq(word_at(engine.state.regs.rsp + 16), RFLAGS_FIXED);
}
END_TEST

/* A step at an entry runs the guest's instruction there, not our OUT. */
START_TEST(a_step_at_an_entry)
{
	begin(0, "\x90", 1);
	vcpu->regs.rip = STUB(VECTOR_PF);
	ck_assert(engine_attach(&engine, machine));
	step();
	ck_assert_uint_eq(engine.state.regs.rip, STUB(VECTOR_PF) + 1);
	ck_assert_uint_eq(fake_cpu.plant_seen, 0);
}
END_TEST

/* ---- The fence ----------------------------------------------------------------------------------
 */

static uint8_t fence_seen[5];

static int look_at_fence(unsigned n)
{
	fence_seen[0] = *fake_cpu_at(live, STUB(0));
	fence_seen[1] = *fake_cpu_at(live, STUB(255));
	fence_seen[2] = *fake_cpu_at(live, FAKE_SYSCALL);
	fence_seen[3] = *fake_cpu_at(live, FAKE_COMPAT);
	fence_seen[4] = *fake_cpu_at(live, FAKE_SYSENTER);
	return fake_cpu_run(n);
}

START_TEST(an_out_stands_at_every_entry)
{
	attach(0, "\x90", 1);
	fake_kvm.run = look_at_fence;
	step();
	for (unsigned i = 0; i < sizeof(fence_seen); i++)
		ck_assert_uint_eq(fence_seen[i], OPCODE_OUT);
	look_at_fence(0);
	for (unsigned i = 0; i < sizeof(fence_seen); i++)
		ck_assert_uint_eq(fence_seen[i], 0x90);
}
END_TEST

START_TEST(entries)
{
	attach(0, "\x90", 1);
	ck_assert_int_eq(engine_entry(&engine, STUB(0)), 0);
	ck_assert_int_eq(engine_entry(&engine, STUB(255)), 255);
	ck_assert_int_eq(engine_entry(&engine, STUB(0) - 1), -1);
	ck_assert_int_eq(engine_entry(&engine, STUB(3) + 1), -1);
	ck_assert_int_eq(engine_entry(&engine, STUB(256)), -1);
	ck_assert_int_eq(engine_entry(&engine, FAKE_SYSCALL), ENGINE_ENTRY_SYSCALL);
	ck_assert_int_eq(engine_entry(&engine, FAKE_COMPAT), ENGINE_ENTRY_COMPAT);
	ck_assert_int_eq(engine_entry(&engine, FAKE_SYSENTER), ENGINE_ENTRY_SYSENTER);
	ck_assert_int_eq(engine_entry(&engine, 0), -1);
}
END_TEST

START_TEST(ring_3_of_a_guest_without_an_idt)
{
	begin(3, "\x90", 1);
	vcpu->sregs.idt.limit = 0;
	ck_assert(engine_attach(&engine, machine));
	ck_assert_int_eq(engine_step(&engine).why, ENGINE_NO_RING3);
}
END_TEST

/* ---- Points -------------------------------------------------------------------------------------
 */

START_TEST(a_point_in_ring_0)
{
	attach_plain("\x90\x90\x90", 3);
	fake_cpu.out_is_done = _i;
	ck_assert_int_eq(engine_add_point(&engine, CODE_AT + 2), ENGINE_OK);
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_POINT);
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 2);
	/* It is lifted for its own instruction, and back again. */
	step();
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 3);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT + 2), OPCODE_OUT);
	ck_assert_uint_eq(machine->cpus[0].stats.unknown_io, 0);
}
END_TEST

START_TEST(a_point_in_ring_3)
{
	attach(3, "\x90\x90\x90", 3);
	ck_assert_int_eq(engine_add_point(&engine, CODE_AT + 2), ENGINE_OK);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT + 2), OPCODE_INT3);
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_POINT);
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 2);
	ck_assert_uint_eq(engine_cpl(&engine), 3);
	ck_assert_uint_eq(engine.state.regs.rsp, STACK_AT);
	ck_assert_int_eq(engine_remove_point(&engine, CODE_AT + 2), ENGINE_OK);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT + 2), 0x90);
	ck_assert_uint_eq(*fake_cpu_at(live, STUB(VECTOR_BP)), 0x90);
	ck_assert_uint_eq(engine.point_count, 0);
}
END_TEST

/* The guest's own OUT, next to a point: it is served, and once. */
START_TEST(the_guests_own_out)
{
	attach_plain("\xee\x90\x90", 3);
	fake_cpu.out_is_done = _i;
	engine.state.regs.rdx = RS_PORT_PUTC;
	engine.state.regs.rax = 'x';
	engine.changed = true;
	ck_assert_int_eq(engine_add_point(&engine, CODE_AT + 1), ENGINE_OK);
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_POINT);
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 1);
	ck_assert_uint_eq(machine->console.used, 1);
	ck_assert_int_eq(machine->console.buffer[0], 'x');
}
END_TEST

/* An OUT of the guest's at one of its entries, where a fence stands only while it is stepped. */
START_TEST(the_guests_own_out_at_an_entry)
{
	begin(0, "\x90", 1);
	fake_cpu.out_is_done = _i;
	memcpy(fake_cpu_at(live, FAKE_SYSCALL), "\xee\xf4", 2);
	vcpu->regs.rip = FAKE_SYSCALL;
	vcpu->regs.rdx = RS_PORT_PUTC;
	ck_assert(engine_attach(&engine, machine));
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_ENDED);
	ck_assert_int_eq(machine->outcome.reason, END_HALTED);
	ck_assert_uint_eq(machine->console.used, 1);
}
END_TEST

/* Who asks for them gets the guest's exits, served. */
START_TEST(exits_are_told_to_who_asks)
{
	attach_plain("\xee\x90\xf4", 3);
	engine.state.regs.rdx = RS_PORT_PUTC;
	engine.changed = true;
	engine.stop_at_exits = true;
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_EXIT);
	ck_assert_uint_eq(machine->console.used, 1);
	ck_assert(engine_know(&engine));
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT + 1);
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_ENDED);
}
END_TEST

/* What only ring 0 can write is watched there; ring 3 runs natively up to its next entry. */
START_TEST(a_watch_of_the_kernels)
{
	attach(3, "\x90\x90\x90\x0f\x05", 5);
	memcpy(fake_cpu_at(live, FAKE_SYSCALL), "\x90\x9c\xf4", 3);
	engine.state.regs.rsp = FAKE_STACK(0); /* where PUSHF will write */
	engine.changed = true;
	ck_assert_int_eq(engine_add_watch(&engine, FAKE_STACK(0) - 8, 8), ENGINE_OK);
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_WATCHED);
	ck_assert_uint_eq(engine.state.regs.rip, FAKE_SYSCALL + 2);
	ck_assert_uint_eq(engine.steps, 2);
}
END_TEST

/* By the root's own frame, which no root for ring 3 maps (test_roots.c has the rest). */
START_TEST(roots_of_ring_3)
{
	struct pt user;

	attach(0, "\x90", 1);
	ck_assert(!engine_is_user_root(&engine));
	ck_assert_int_eq(pt_init(&user, machine->boot.kernel.geo, machine->boot.kernel.mem), PT_OK);
	ck_assert_int_eq(pt_map(&user, FAKE_CODE(3), 0x30000, PAGE_SIZE, PT_USER, NULL), PT_OK);
	engine.state.sregs.cr3 = user.root | 0x805; /* with its PCID */
	ck_assert(engine_is_user_root(&engine));
}
END_TEST

START_TEST(model_specific_registers)
{
	uint64_t value = 0;

	attach_plain("\x90", 1);
	ck_assert(!vcpu_read_msr(&engine.cpu->vcpu, MSR_LSTAR, &value));
	ck_assert(vcpu_write_msr(&engine.cpu->vcpu, MSR_LSTAR, 77));
	ck_assert(vcpu_read_msr(&engine.cpu->vcpu, MSR_LSTAR, &value));
	ck_assert_uint_eq(value, 77);
	fake_kvm.msr_refused = MSR_LSTAR;
	ck_assert(!vcpu_write_msr(&engine.cpu->vcpu, MSR_LSTAR, 78));
}
END_TEST

START_TEST(points_count)
{
	attach_plain("\x90\x90", 2);
	ck_assert_int_eq(engine_remove_point(&engine, CODE_AT), ENGINE_NOT_THERE);
	ck_assert_int_eq(engine_add_point(&engine, CODE_AT), ENGINE_OK);
	ck_assert_int_eq(engine_add_point(&engine, CODE_AT), ENGINE_OK);
	ck_assert_int_eq(engine_add_point(&engine, LIVE_RAM), ENGINE_NOT_MAPPED);
	ck_assert_int_eq(engine_remove_point(&engine, CODE_AT), ENGINE_OK);
	ck_assert(engine_has_point(&engine, CODE_AT));
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT), OPCODE_OUT);
	ck_assert_int_eq(engine_remove_point(&engine, CODE_AT), ENGINE_OK);
	ck_assert(!engine_has_point(&engine, CODE_AT));
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT), 0x90);
	ck_assert_int_eq(engine_remove_point(&engine, CODE_AT), ENGINE_NOT_THERE);
}
END_TEST

/* One place stays for the engine's own hook. */
START_TEST(points_have_an_end)
{
	attach_plain("\x90", 1);
	for (unsigned i = 0; i < ENGINE_POINTS_MAX - 1; i++)
		ck_assert_int_eq(engine_add_point(&engine, 0x200000 + i), ENGINE_OK);
	ck_assert_int_eq(engine_add_point(&engine, 0x300000), ENGINE_NO_ROOM);
	ck_assert_uint_eq(engine.point_count, ENGINE_POINTS_MAX - 1);
}
END_TEST

START_TEST(memory_without_plants)
{
	uint8_t bytes[3], text[3] = {1, 2, 3};

	attach_plain("\x11\x22\x33", 3);
	ck_assert_int_eq(engine_add_point(&engine, CODE_AT), ENGINE_OK);
	ck_assert_int_eq(engine_add_point(&engine, CODE_AT + 2), ENGINE_OK);
	ck_assert_uint_eq(engine_read(&engine, CODE_AT, bytes, 3), 3);
	ck_assert_mem_eq(bytes, "\x11\x22\x33", 3);
	ck_assert(engine_read_physical(&engine, 0x30000, bytes, 3));
	ck_assert_mem_eq(bytes, "\x11\x22\x33", 3);
	ck_assert_uint_eq(engine_write(&engine, CODE_AT, text, 3), 3);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT), OPCODE_OUT);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT + 1), 2);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE_AT + 2), OPCODE_OUT);
	ck_assert_uint_eq(engine_read(&engine, CODE_AT, bytes, 3), 3);
	ck_assert_mem_eq(bytes, text, 3);
	engine_remove_point(&engine, CODE_AT);
	engine_remove_point(&engine, CODE_AT + 2);
	ck_assert_mem_eq(fake_cpu_at(live, CODE_AT), text, 3);
	/* As much as there is. */
	ck_assert_uint_eq(engine_read(&engine, LIVE_RAM - 2, bytes, 3), 2);
	ck_assert_uint_eq(engine_read(&engine, LIVE_RAM - 2, bytes, 2), 2);
	ck_assert(!engine_read_physical(&engine, LIVE_RAM - 2, bytes, 3));
}
END_TEST

/* ---- Watches ------------------------------------------------------------------------------------
 */

START_TEST(watches_have_bounds)
{
	attach_plain("\x90", 1);
	ck_assert_int_eq(engine_add_watch(&engine, 0x50000, 0), ENGINE_NO_ROOM);
	ck_assert_int_eq(engine_add_watch(&engine, 0x50000, ENGINE_WATCH_SIZE + 1), ENGINE_NO_ROOM);
	ck_assert_int_eq(engine_add_watch(&engine, 0x50fff, 2), ENGINE_NOT_MAPPED);
	ck_assert_int_eq(engine_add_watch(&engine, LIVE_RAM, 1), ENGINE_NOT_MAPPED);
	for (unsigned i = 0; i < ENGINE_WATCHES_MAX; i++)
		ck_assert_int_eq(engine_add_watch(&engine, 0x50000 + i, 1), ENGINE_OK);
	ck_assert_int_eq(engine_add_watch(&engine, 0x60000, 1), ENGINE_NO_ROOM);
	ck_assert_int_eq(engine_remove_watch(&engine, 0x50000, 2), ENGINE_NOT_THERE);
	ck_assert_int_eq(engine_remove_watch(&engine, 0x50000, 1), ENGINE_OK);
	ck_assert_int_eq(engine_add_watch(&engine, 0x50fc0, ENGINE_WATCH_SIZE), ENGINE_OK);
}
END_TEST

START_TEST(a_watch_sees_its_last_byte)
{
	struct engine_stop stop;

	attach_plain("\x9c\x90", 2);
	/* PUSHF's highest byte, and the one behind it */
	ck_assert_int_eq(engine_add_watch(&engine, STACK_AT - 10, 3), ENGINE_OK);
	stop = engine_step(&engine);
	ck_assert_int_eq(stop.why, ENGINE_WATCHED);
	ck_assert_uint_eq(stop.watch->va, STACK_AT - 10);
	ck_assert_int_eq(engine_step(&engine).why, ENGINE_STEPPED);
}
END_TEST

/* ---- Frames and selectors -----------------------------------------------------------------------
 */

START_TEST(frames)
{
	const uint64_t words[] = {0x18, 1, 2, 3, 4, 5, 6};
	struct engine_frame frame;

	attach(0, "\x90", 1);
	memcpy(fake_cpu_at(live, STACK_AT), words, sizeof(words));
	ck_assert(engine_frame(&engine, VECTOR_PF, &frame));
	ck_assert_uint_eq(frame.error, 0x18);
	ck_assert_uint_eq(frame.rip, 1);
	ck_assert_uint_eq(frame.ss, 5);
	ck_assert(engine_frame(&engine, VECTOR_UD, &frame));
	ck_assert_uint_eq(frame.error, 0);
	ck_assert_uint_eq(frame.rip, 0x18);
	ck_assert_uint_eq(frame.ss, 4);
	ck_assert(engine_frame(&engine, 0x80, &frame));
	ck_assert_uint_eq(frame.rip, 0x18);
	engine.state.regs.rsp = FAKE_KERNEL + LIVE_RAM - 40;
	ck_assert(engine_frame(&engine, VECTOR_UD, &frame));
	ck_assert(!engine_frame(&engine, VECTOR_PF, &frame));
}
END_TEST

START_TEST(rewinding)
{
	struct engine_frame frame = {
	    .rip = 7, .cs = RS_SEL_USER_CODE, .rflags = 2, .rsp = 9, .ss = RS_SEL_USER_DATA};

	attach(0, "\x90", 1);
	/* USER_CODE is the last that the GDT's limit lets in. */
	ck_assert(engine_rewind(&engine, &frame));
	ck_assert_uint_eq(engine.state.regs.rip, 7);
	ck_assert_uint_eq(engine.state.regs.rsp, 9);
	ck_assert_uint_eq(engine.state.sregs.cs.selector, RS_SEL_USER_CODE);
	ck_assert_uint_eq(engine.state.sregs.cs.type & 1, 1);
	ck_assert_uint_eq(engine.state.sregs.ss.dpl, 3);
	ck_assert_uint_eq(engine.state.sregs.ss.limit, 0xffffffff);
	ck_assert_uint_eq(engine.state.sregs.ss.g, 1);
	frame.cs = RS_SEL_USER_CODE + 8;
	ck_assert(!engine_rewind(&engine, &frame));
	frame.cs = RS_SEL_USER_CODE | 4; /* the LDT's */
	ck_assert(!engine_rewind(&engine, &frame));
	engine.state.sregs.gdt.limit--;
	frame.cs = RS_SEL_USER_CODE;
	ck_assert(!engine_rewind(&engine, &frame));
}
END_TEST

/* KVM says "busy" of AMD's TR, and one processor must get back "available". */
START_TEST(the_tss_of_amd)
{
	begin(0, "\x90", 1);
	machine->kvm.host.features = _i ? RS_FEATURE_AMD : 0;
	vcpu->sregs.tr.type = DESC_TSS_AVAILABLE;
	ck_assert(engine_attach(&engine, machine));
	ck_assert(engine_know(&engine));
	ck_assert_uint_eq(engine.state.sregs.tr.type, DESC_TSS_BUSY);
	engine.state.sregs.cr2 = 5;
	engine.changed = true;
	ck_assert(engine_forget(&engine));
	ck_assert_uint_eq(vcpu->sregs.tr.type, _i ? DESC_TSS_AVAILABLE : DESC_TSS_BUSY);
	ck_assert_uint_eq(vcpu->sregs.cr2, 5);
}
END_TEST

START_TEST(only_what_changed_is_written)
{
	attach(0, "\x90", 1);
	ck_assert(engine_know(&engine));
	engine.state.regs.rax = 5;
	engine.changed = true;
	ck_assert(engine_forget(&engine));
	ck_assert_uint_eq(vcpu->regs.rax, 5);
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_SREGS), 0);
	ck_assert(engine_know(&engine) && engine_forget(&engine));
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_REGS), 1);
}
END_TEST

/* An entry is taken back to the instruction that a debugger wants. */
START_TEST(taken_back)
{
	attach(3, "\x0f\x05", 2);
	step();
	ck_assert(engine_take_back(&engine, CODE_AT));
	ck_assert_uint_eq(engine.state.regs.rip, CODE_AT);
	ck_assert_uint_eq(engine_cpl(&engine), 3);
	ck_assert_uint_eq(engine.state.regs.rflags, RFLAGS_FIXED);
	ck_assert(!engine_take_back(&engine, CODE_AT)); /* not at an entry */
}
END_TEST

/* ---- Instructions as text -----------------------------------------------------------------------
 */

static struct engine_instruction decode(const char *bytes, size_t size)
{
	struct engine_code *code = engine_code_open();
	struct engine_instruction insn;

	ck_assert_ptr_nonnull(code);
	engine_code_decode(code, (const uint8_t *)bytes, size, 0x1000, NULL, &insn);
	engine_code_close(code);
	return insn;
}

START_TEST(instructions)
{
	static const struct {
		const char *bytes;
		size_t size;
		enum engine_code_kind kind;
		unsigned reads, writes;
	} want[] = {
	    {CODE("\x48\xcf"), CODE_IRET, 5, 0},
	    {CODE("\x48\xcb"), CODE_FAR_RET, 4, 0},
	    {CODE("\x48\x0f\x07"), CODE_SYSRET, 0, 0},
	    {CODE("\x48\x0f\x35"), CODE_SYSEXIT, 0, 0},
	    {CODE("\x0f\x05"), CODE_SYSCALL, 0, 0},
	    {CODE("\x0f\x34"), CODE_SYSENTER, 0, 0},
	    {CODE("\xcd\x80"), CODE_INT, 0, 0},
	    {CODE("\xcc"), CODE_INT, 0, 0},
	    {CODE("\xe8\0\0\0\0"), CODE_CALL, 0, 1},
	    {CODE("\xc3"), CODE_RET, 1, 0},
	    {CODE("\x0f\x22\xd8"), CODE_CR3_WRITE, 0, 0},
	    {CODE("\x0f\x20\xd8"), CODE_OTHER, 0, 0},
	    {CODE("\x0f\x22\xe0"), CODE_OTHER, 0, 0},
	    {CODE("\x50"), CODE_OTHER, 0, 1},
	    {CODE("\x58"), CODE_OTHER, 1, 0},
	    {CODE("\x48\x89\x04\x24"), CODE_OTHER, 0, 1},
	    {CODE("\x48\x8b\x04\x24"), CODE_OTHER, 1, 0},
	    {CODE("\x48\x8d\x04\x24"), CODE_OTHER, 0, 0},
	    {CODE("\x48\x01\x04\x24"), CODE_OTHER, 1, 1},
	    {CODE("\xf3\x48\xab"), CODE_OTHER, 0, 1},
	    {CODE("\xf3\xa4"), CODE_OTHER, 1, 1},
	};
	const struct engine_instruction insn = decode(want[_i].bytes, want[_i].size);

	ck_assert_uint_eq(insn.size, want[_i].size);
	ck_assert_int_eq(insn.kind, want[_i].kind);
	ck_assert_uint_eq(insn.reads, want[_i].reads);
	ck_assert_uint_eq(insn.writes, want[_i].writes);
	ck_assert_mem_eq(insn.bytes, want[_i].bytes, want[_i].size);
}
END_TEST

START_TEST(repeated_instructions)
{
	ck_assert(decode("\xf3\x48\xab", 3).repeats && decode("\xf2\xae", 2).repeats);
	ck_assert(decode("\xf3\xa4", 2).repeats && decode("\xf3\xa7", 2).repeats);
	ck_assert(!decode("\xa4", 1).repeats && !decode("\x48\xab", 2).repeats);
	ck_assert(!decode("\xf3\x90", 2).repeats && !decode("\xf3\x0f\x10\x00", 4).repeats);
}
END_TEST

START_TEST(no_instruction)
{
	const struct engine_instruction insn = decode("\x48", 1);

	ck_assert_uint_eq(insn.size, 0);
	ck_assert_str_eq(insn.text, "(bad)");
	ck_assert_str_eq(decode("\x48\x8b\x04\x24", 4).text, "mov rax, qword [rsp]");
}
END_TEST

struct finds {
	uint64_t at[8];
	size_t count;
};

static bool note_find(void *ctx, uint64_t address, enum engine_code_kind kind)
{
	struct finds *finds = ctx;

	ck_assert_int_eq(kind, CODE_RET);
	finds->at[finds->count++] = address;
	return finds->count < 3;
}

/* From one symbol to the next: what lies before one is no part of its first instruction. */
START_TEST(finding_code)
{
	/* c3; 90; a MOV of ten bytes, were it not for "two" in the middle of it */
	static const char bytes[] = "\xc3\x90\x48\xb8\xc3\x90\xc3\x90\x90\x90\x90\x90\x90\x90";
	static char one[] = "one", two[] = "two";
	struct symbol list[] = {{0x30000, 0, one}, {0x30004, 0, two}};
	const struct symbols symbols = {.list = list, .count = 2};
	struct engine_code *code = engine_code_open();
	struct finds finds = {0};

	begin(0, bytes, sizeof(bytes) - 1);
	machine->image.count = 2;
	machine->image.segments[0] = (struct segment){
	    .va = FAKE_CODE(0), .gpa = 0x30000, .memsz = sizeof(bytes) - 1, .flags = 5};
	machine->image.segments[1] = (struct segment){
	    .va = FAKE_CODE(3), .gpa = 0x30000, .memsz = sizeof(bytes) - 1, .flags = 5};
	ck_assert(engine_attach(&engine, machine));
	engine_code_find(&engine, &symbols, code, true, CODE_BIT(CODE_RET), note_find, &finds);
	ck_assert_uint_eq(finds.count, 3);
	ck_assert_uint_eq(finds.at[0], 0x30000);
	ck_assert_uint_eq(finds.at[1], 0x30004);
	ck_assert_uint_eq(finds.at[2], 0x30006);
	finds.count = 0;
	engine_code_find(&engine, &symbols, code, false, CODE_BIT(CODE_RET), note_find, &finds);
	ck_assert_uint_eq(finds.count, 1);
	ck_assert_uint_eq(finds.at[0], FAKE_CODE(0));
	engine_code_close(code);
}
END_TEST

Suite *step_suite(void)
{
	Suite *suite = suite_create("step");
	TCase *tests = tcase_create("step");

	tcase_add_checked_fixture(tests, NULL, teardown);
	tcase_add_loop_test(tests, a_plant_stands_behind_it, 0, PLANTED);
	tcase_add_test(tests, a_plant_in_ring_3);
	tcase_add_loop_test(tests, no_plant_stands_behind_others, 0, 16);
	tcase_add_test(tests, a_return_to_ring_3);
	tcase_add_loop_test(tests, other_returns_to_ring_3, 0, 3);
	tcase_add_loop_test(tests, a_fault_in_ring_0, 0, 2);
	tcase_add_test(tests, a_fault_with_a_trap_flag);
	tcase_add_test(tests, one_instruction_of_ring_3);
	tcase_add_test(tests, dr6_comes_back);
	tcase_add_loop_test(tests, a_system_call, 0, 2);
	tcase_add_test(tests, a_fault_of_ring_3);
	tcase_add_test(tests, int1_is_the_guests);
	tcase_add_test(tests, a_step_at_an_entry);
	tcase_add_test(tests, an_out_stands_at_every_entry);
	tcase_add_test(tests, entries);
	tcase_add_test(tests, ring_3_of_a_guest_without_an_idt);
	tcase_add_loop_test(tests, a_point_in_ring_0, 0, 2);
	tcase_add_test(tests, a_point_in_ring_3);
	tcase_add_loop_test(tests, the_guests_own_out, 0, 2);
	tcase_add_loop_test(tests, the_guests_own_out_at_an_entry, 0, 2);
	tcase_add_test(tests, exits_are_told_to_who_asks);
	tcase_add_test(tests, a_watch_of_the_kernels);
	tcase_add_test(tests, roots_of_ring_3);
	tcase_add_test(tests, model_specific_registers);
	tcase_add_test(tests, points_count);
	tcase_add_test(tests, points_have_an_end);
	tcase_add_test(tests, memory_without_plants);
	tcase_add_test(tests, watches_have_bounds);
	tcase_add_test(tests, a_watch_sees_its_last_byte);
	tcase_add_test(tests, frames);
	tcase_add_test(tests, rewinding);
	tcase_add_loop_test(tests, the_tss_of_amd, 0, 2);
	tcase_add_test(tests, only_what_changed_is_written);
	tcase_add_test(tests, taken_back);
	/* Both rings' PUSHF. */
	tcase_add_loop_test(tests, pushed_flags, 0, 1);
	tcase_add_loop_test(tests, pushed_flags, 3, 4);
	tcase_add_test(tests, finding_code);
	suite_add_tcase(suite, tests);

	tests = tcase_create("code");
	tcase_add_loop_test(tests, instructions, 0, 21);
	tcase_add_test(tests, repeated_instructions);
	tcase_add_test(tests, no_instruction);
	suite_add_tcase(suite, tests);
	return suite;
}
