#include "guest/gallery.h"

#include <stddef.h>

#include "guest/cpu.h"
#include "guest/errno.h"
#include "guest/frames.h"
#include "guest/process.h"
#include "guest/recover.h"
#include "guest/space.h"
#include "shared/desc.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* entry.S and rings.S */
extern const char callgate_entry[], trapgate_entry[], ring_attempts[];
#define RING_ATTEMPT_SIZE 16

bool gallery_silent;
bool gallery_is_open;

/* ---- Descriptors ----------------------------------------------------------------------------- */

static const struct {
	uint16_t selector;
	struct desc_segment segment;
} segments[] = {
    {RS_SEL_ABSENT_DATA, {.type = DESC_DATA_RW, .dpl = 3, .big = true}},
    {RS_SEL_CONFORMING, {.type = DESC_CODE_CONFORMING_RX, .present = true, .code64 = true}},
    {RS_SEL_EXECUTE_ONLY, {.type = DESC_CODE_X, .dpl = 3, .present = true, .code64 = true}},
    {RS_SEL_READ_ONLY, {.type = DESC_DATA_RO, .dpl = 3, .present = true, .big = true}},
    {RS_SEL_RING1_CODE, {.type = DESC_CODE_RX, .dpl = 1, .present = true, .code64 = true}},
    {RS_SEL_RING1_DATA, {.type = DESC_DATA_RW, .dpl = 1, .present = true, .big = true}},
    {RS_SEL_RING2_CODE, {.type = DESC_CODE_RX, .dpl = 2, .present = true, .code64 = true}},
    {RS_SEL_RING2_DATA, {.type = DESC_DATA_RW, .dpl = 2, .present = true, .big = true}},
    {RS_SEL_ABSENT_CODE, {.type = DESC_CODE_RX, .dpl = 3, .code64 = true}},
    {RS_SEL_BASED,
     {.base = RS_BASED, .type = DESC_DATA_RW, .dpl = 3, .present = true, .big = true}},
};

static const struct {
	uint16_t selector;
	uint8_t dpl;
	bool present;
} call_gates[] = {
    {RS_SEL_GATE, 3, true},
    {RS_SEL_GATE_DPL0, 0, true},
    {RS_SEL_GATE_ABSENT, 3, false},
};

static void write_gdt(void)
{
	uint64_t *gdt = (uint64_t *)(RS_ENTRY_CPU(this_cpu()->number) + RS_ENTRY_GDT);

	for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
		struct desc_segment segment = segments[i].segment;

		segment.limit = 0xffffffff;
		desc_segment_encode(&segment, &gdt[selector_index(segments[i].selector)]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(call_gates); i++) {
		const struct desc_gate gate = {
		    .offset = (uint64_t)callgate_entry,
		    .selector = RS_SEL_KERNEL_CODE,
		    .type = DESC_CALL_GATE,
		    .dpl = call_gates[i].dpl,
		    .present = call_gates[i].present,
		};

		desc_gate_encode(&gate, &gdt[selector_index(call_gates[i].selector)]);
	}
}

static void clear_gdt(void)
{
	uint64_t *gdt = (uint64_t *)(RS_ENTRY_CPU(this_cpu()->number) + RS_ENTRY_GDT);

	for (size_t i = 0; i < ARRAY_SIZE(segments); i++)
		gdt[selector_index(segments[i].selector)] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(call_gates); i++)
		gdt[selector_index(call_gates[i].selector)] =
		    gdt[selector_index(call_gates[i].selector) + 1] = 0;
}

/* The IDT is mapped read-only where LIDT says it is; the direct map writes. */
static uint64_t *idt_gate(unsigned vector)
{
	struct pt_walk walk;

	pt_walk(space_kernel_tree(), RS_ENTRY_IDT, &walk);
	return (uint64_t *)frame_at(walk.pa) + 2 * vector;
}

static struct desc_gate read_gate(unsigned vector)
{
	struct desc_gate gate;

	desc_gate_decode(idt_gate(vector), &gate);
	return gate;
}

static void set_gate(unsigned vector, struct desc_gate gate)
{
	desc_gate_encode(&gate, idt_gate(vector));
}

static void write_idt(void)
{
	static struct desc_gate saved[2];
	struct desc_gate absent, trap;

	if (gallery_is_open) {
		set_gate(RS_VECTOR_ABSENT, saved[0]);
		set_gate(RS_VECTOR_TRAP, saved[1]);
		return;
	}
	saved[0] = absent = read_gate(RS_VECTOR_ABSENT);
	saved[1] = trap = read_gate(RS_VECTOR_TRAP);
	absent.present = false;
	absent.dpl = 3;
	trap.type = DESC_TRAP_GATE;
	trap.dpl = 3;
	trap.offset = (uint64_t)trapgate_entry;
	set_gate(RS_VECTOR_ABSENT, absent);
	set_gate(RS_VECTOR_TRAP, trap);
}

void gallery_open(bool open)
{
	static const struct {
		uint32_t state;
		uint64_t value;
	} usual[] = {
	    {RS_STATE_TSD, 0},       {RS_STATE_SCE, 1},         {RS_STATE_SYSENTER_CS, 1},
	    {RS_STATE_BP_DPL, 3},    {RS_STATE_INT80_DPL, 3},   {RS_STATE_PKE, 0},
	    {RS_STATE_LEAF_BITS, 0}, {RS_STATE_IDT_LIMIT, 256}, {RS_STATE_WATCH, 0},
	    {RS_STATE_SILENT, 0},
	};

	if (open == gallery_is_open)
		return;
	if (!open)
		for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
			gallery_state(usual[i].state, usual[i].value);
	write_idt();
	if (open)
		write_gdt();
	else
		clear_gdt();
	gallery_is_open = open;
	if (!open)
		process_forget_selectors(RS_SEL_ABSENT_DATA & ~3, RS_GDT_ENTRIES * 8);
}

/* ---- Attempts of ring 0 ---------------------------------------------------------------------- */

static void read_at(uint64_t address)
{
	__asm__ volatile("movb (%0), %%al" : : "r"(address) : "rax", "memory");
}

static void write_at(uint64_t address)
{
	__asm__ volatile("movb $0, (%0)" : : "r"(address) : "memory");
}

/* A write that changes nothing, should it go through. */
static void rewrite_at(uint64_t address)
{
	__asm__ volatile("movb (%0), %%al\n movb %%al, (%0)" : : "r"(address) : "rax", "memory");
}

/* What is there must return at once, or not be there. */
static void call_at(uint64_t address)
{
	__asm__ volatile("call *%0" : : "r"(address) : "rax", "rcx", "rdx", "memory");
}

static void jump_to(uint64_t address)
{
	__asm__ volatile("jmp *%0" : : "r"(address));
}

/* Addresses made with RBP use SS. */
static void read_stack(uint64_t address)
{
	__asm__ volatile("push %%rbp\n mov %0, %%rbp\n movb (%%rbp), %%al\n pop %%rbp"
	                 :
	                 : "r"(address)
	                 : "rax", "memory");
}

static void write_lstar(uint64_t address)
{
	uint64_t before = read_msr(MSR_LSTAR);

	write_msr(MSR_LSTAR, address);
	write_msr(MSR_LSTAR, before);
}

static void write_without_wp(uint64_t address)
{
	uint64_t before = read_cr0();

	write_cr0(before & ~CR0_WP);
	rewrite_at(address);
	write_cr0(before);
}

static void set_cr4_reserved(uint64_t bit)
{
	write_cr4(read_cr4() | bit);
}

static void clear_pe(uint64_t bits)
{
	write_cr0(read_cr0() & ~bits);
}

static void load_tr(uint64_t selector)
{
	__asm__ volatile("ltr %w0" : : "r"(selector));
}

static void load_ss(uint64_t selector)
{
	__asm__ volatile("mov %0, %%ss" : : "r"(selector));
}

static void divide(uint64_t by)
{
	__asm__ volatile("div %0" : : "r"(by) : "rax", "rdx");
}

static void undefined(uint64_t unused)
{
	(void)unused;
	__asm__ volatile("ud2");
}

#define NOTHING      RS_STACKS_BASE /* the guard of the first kernel stack */
#define NONCANONICAL (UINT64_C(1) << 63)

static const struct {
	void (*act)(uint64_t);
	uint64_t address;
} attempts[RS_RING0_COUNT] = {
    [RS_RING0_READ_USER] = {read_at, 0},
    [RS_RING0_WRITE_USER] = {write_at, 0},
    [RS_RING0_FETCH_USER] = {call_at, 0},
    [RS_RING0_WRITE_TEXT] = {rewrite_at, (uint64_t)&read_at},
    [RS_RING0_WRITE_TEXT_NO_WP] = {write_without_wp, (uint64_t)&read_at},
    [RS_RING0_FETCH_DATA] = {call_at, (uint64_t)&gallery_is_open},
    [RS_RING0_READ_NOTHING] = {read_at, NOTHING},
    [RS_RING0_WRITE_NOTHING] = {write_at, NOTHING},
    [RS_RING0_FETCH_NOTHING] = {call_at, NOTHING},
    [RS_RING0_READ_NONCANONICAL] = {read_at, NONCANONICAL},
    [RS_RING0_STACK_NONCANONICAL] = {read_stack, NONCANONICAL},
    [RS_RING0_JUMP_NONCANONICAL] = {jump_to, NONCANONICAL},
    [RS_RING0_LSTAR_NONCANONICAL] = {write_lstar, NONCANONICAL},
    [RS_RING0_CR4_RESERVED] = {set_cr4_reserved, X86_BIT(31)},
    [RS_RING0_CR0_PG_WITHOUT_PE] = {clear_pe, CR0_PE},
    [RS_RING0_LTR_BUSY] = {load_tr, RS_SEL_TSS},
    [RS_RING0_SS_RPL3] = {load_ss, RS_SEL_USER_DATA},
    [RS_RING0_DIVIDE] = {divide, 0},
    [RS_RING0_UNDEFINED] = {undefined, 0},
};

int64_t gallery_ring0(uint32_t kind, uint64_t address, struct rs_fault *fault)
{
	if (kind >= RS_RING0_COUNT)
		return -EINVAL;
	if (kind > RS_RING0_FETCH_USER)
		address = attempts[kind].address;
	else if (address >= USER_TOP)
		return -EPERM;
	/* Else ring 0 would run what ring 3 wrote. */
	if (kind == RS_RING0_FETCH_USER && space_mode() == RS_PTI_OFF && !(read_cr4() & CR4_SMEP))
		return -EPERM;
	return recover_call(attempts[kind].act, address, fault);
}

/* ---- States ---------------------------------------------------------------------------------- */

static uint64_t values[RS_STATE_COUNT] = {[RS_STATE_SCE] = 1,
                                          [RS_STATE_SYSENTER_CS] = 1,
                                          [RS_STATE_BP_DPL] = 3,
                                          [RS_STATE_INT80_DPL] = 3,
                                          [RS_STATE_IDT_LIMIT] = 256};

static bool set_cr4_bit(uint64_t bit, uint64_t on)
{
	struct rs_fault fault;

	return !recover_call(write_cr4, on ? read_cr4() | bit : read_cr4() & ~bit, &fault);
}

static bool set_sce(uint64_t on)
{
	uint64_t efer = read_msr(MSR_EFER);

	write_msr(MSR_EFER, on ? efer | EFER_SCE : efer & ~EFER_SCE);
	return true;
}

static bool set_sysenter_cs(uint64_t on)
{
	static uint64_t before;

	if (!on)
		before = read_msr(MSR_SYSENTER_CS);
	write_msr(MSR_SYSENTER_CS, on ? before : 0);
	return true;
}

static bool set_dpl(unsigned vector, uint64_t dpl)
{
	struct desc_gate gate = read_gate(vector);

	gate.dpl = dpl & 3;
	set_gate(vector, gate);
	return true;
}

static bool set_idt_limit(uint64_t vectors)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt = {(uint16_t)(vectors * 16 - 1), RS_ENTRY_IDT};

	/* Fewer than these, and a system call would be fatal. */
	if (vectors <= RS_VECTOR_TRAP || vectors > 256)
		return false;
	__asm__ volatile("lidt %0" : : "m"(idt));
	return true;
}

/* The bits of a leaf that pt.h does not offer: a reserved one, the protection key. */
static bool set_leaf_bits(uint64_t bits)
{
	const uint64_t allowed = X86_BIT(51) | UINT64_C(0xf) << 59;
	struct pt_walk walk;
	const struct pt_step *leaf;
	uint64_t *table;

	pt_walk(&process_current()->memory.space.user, values[RS_STATE_LEAF], &walk);
	leaf = &walk.step[walk.steps - 1];
	/* Not `mapped`: a reserved bit of ours may be what keeps it from that. */
	if ((bits & ~allowed) || leaf->level != 1 || !(leaf->entry & 1))
		return false;
	table = frame_at(leaf->table);
	table[leaf->index] = (leaf->entry & ~allowed) | bits;
	space_set_mode(space_mode()); /* empties the TLB */
	return true;
}

static bool set_watch(uint64_t address)
{
	/* DR7, SDM 17.2.4: L0, bit 10 fixed, reads and writes, two bytes. */
	const uint64_t dr7 = address ? X86_BIT(0) | X86_BIT(10) | UINT64_C(7) << 16 : X86_BIT(10);

	if (address >= USER_TOP)
		return false;
	__asm__ volatile("mov %0, %%dr0\n mov %1, %%dr7" : : "r"(address), "r"(dr7));
	return true;
}

static bool set_state(uint32_t state, uint64_t value)
{
	switch (state) {
	case RS_STATE_TSD:
		return set_cr4_bit(CR4_TSD, value);
	case RS_STATE_SCE:
		return set_sce(value);
	case RS_STATE_SYSENTER_CS:
		return set_sysenter_cs(value);
	case RS_STATE_BP_DPL:
		return set_dpl(VECTOR_BP, value);
	case RS_STATE_INT80_DPL:
		return set_dpl(0x80, value);
	case RS_STATE_IDT_LIMIT:
		return set_idt_limit(value);
	case RS_STATE_PKE:
		return set_cr4_bit(CR4_PKE, value);
	case RS_STATE_LEAF_BITS:
		return set_leaf_bits(value);
	case RS_STATE_LEAF:
		return value < USER_TOP;
	case RS_STATE_WATCH:
		return set_watch(value);
	case RS_STATE_SILENT:
		gallery_silent = value;
		return true;
	default:
		return false;
	}
}

int64_t gallery_state(uint32_t state, uint64_t value)
{
	uint64_t before;

	if (state >= RS_STATE_COUNT)
		return -EINVAL;
	before = values[state];
	if (before == value)
		return (int64_t)before;
	if (!set_state(state, value))
		return -EINVAL;
	values[state] = value;
	return (int64_t)before;
}

/* ---- Elsewhere ------------------------------------------------------------------------------- */

int64_t gallery_return(uint16_t cs, uint16_t ss, uint64_t rip, uint64_t rsp)
{
	struct rs_regs *regs = process_regs(process_current());

	if (selector_rpl(cs) != 3)
		return -EPERM;
	regs->cs = cs;
	regs->ss = ss;
	regs->rip = rip;
	regs->rsp = rsp;
	this_cpu()->exit = EXIT_SLOW;
	return 0;
}

int64_t gallery_ring(uint32_t ring, uint32_t attempt, uint64_t address)
{
	struct rs_regs *regs = process_regs(process_current());

	if (!gallery_is_open || ring < 1 || ring > 2 || attempt >= RS_RING_COUNT)
		return -EINVAL;
	/* These rings are supervisors: no code but rings.S's may run there. */
	if (attempt == RS_RING_JUMP && (address >= USER_TOP || !(read_cr4() & CR4_SMEP)))
		return -EPERM;
	regs->cs = ring == 1 ? RS_SEL_RING1_CODE : RS_SEL_RING2_CODE;
	regs->ss = ring == 1 ? RS_SEL_RING1_DATA : RS_SEL_RING2_DATA;
	regs->rip = (uint64_t)ring_attempts + attempt * RING_ATTEMPT_SIZE;
	regs->rsi = address;
	regs->rsp = 0;
	this_cpu()->exit = EXIT_SLOW;
	return 0;
}
