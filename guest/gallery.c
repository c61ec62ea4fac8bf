#include "guest/gallery.h"

#include <stddef.h>

#include "guest/cpu.h"
#include "guest/errno.h"
#include "guest/frames.h"
#include "guest/life.h"
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

/* The words themselves (SDM volume 3, 3.4.5, 5.8.3, 6.14.1): what shared/desc.c can encode is more
 * than is needed here. */
#define TYPE(type) ((uint64_t)(type) << 40)
#define DPL(dpl)   ((uint64_t)(dpl) << 45)
#define PRESENT    X86_BIT(47)
#define FLAT       (UINT64_C(0xffff) | X86_BIT(44) | UINT64_C(0xf) << 48 | X86_BIT(55)) /* 4 GiB */
#define CODE64     X86_BIT(53)
#define BIG        X86_BIT(54)
#define TASK_GATE  5 /* 32-bit mode's; reserved in 64-bit mode (SDM table 3-2) */
#define BASE(base) (((uint64_t)(base)&0xffffff) << 16 | ((uint64_t)(base) >> 24) << 56)

static const struct {
	uint16_t selector;
	uint64_t descriptor;
} segments[] = {
    {RS_SEL_ABSENT_DATA, FLAT | TYPE(DESC_DATA_RW) | DPL(3) | BIG},
    {RS_SEL_CONFORMING, FLAT | TYPE(DESC_CODE_CONFORMING_RX) | PRESENT | CODE64},
    {RS_SEL_EXECUTE_ONLY, FLAT | TYPE(DESC_CODE_X) | DPL(3) | PRESENT | CODE64},
    {RS_SEL_READ_ONLY, FLAT | TYPE(DESC_DATA_RO) | DPL(3) | PRESENT | BIG},
    {RS_SEL_RING1_CODE, FLAT | TYPE(DESC_CODE_RX) | DPL(1) | PRESENT | CODE64},
    {RS_SEL_RING1_DATA, FLAT | TYPE(DESC_DATA_RW) | DPL(1) | PRESENT | BIG},
    {RS_SEL_RING2_CODE, FLAT | TYPE(DESC_CODE_RX) | DPL(2) | PRESENT | CODE64},
    {RS_SEL_RING2_DATA, FLAT | TYPE(DESC_DATA_RW) | DPL(2) | PRESENT | BIG},
    {RS_SEL_ABSENT_CODE, FLAT | TYPE(DESC_CODE_RX) | DPL(3) | CODE64},
    {RS_SEL_BASED, FLAT | BASE(RS_BASED) | TYPE(DESC_DATA_RW) | DPL(3) | PRESENT | BIG},
    {RS_SEL_TASK_GATE, (uint64_t)RS_SEL_TSS << 16 | TYPE(TASK_GATE) | DPL(3) | PRESENT},
};

static const struct {
	uint16_t selector;
	uint64_t bits;
} call_gates[] = {
    {RS_SEL_GATE, TYPE(DESC_CALL_GATE) | DPL(3) | PRESENT},
    {RS_SEL_GATE_DPL0, TYPE(DESC_CALL_GATE) | DPL(0) | PRESENT},
    {RS_SEL_GATE_ABSENT, TYPE(DESC_CALL_GATE) | DPL(3)},
};

static void write_gate(uint64_t *gate, const char *offset, uint64_t bits)
{
	gate[0] = ((uint64_t)offset & 0xffff) | (uint64_t)RS_SEL_KERNEL_CODE << 16 | bits |
	          ((uint64_t)offset >> 16 & 0xffff) << 48;
	gate[1] = (uint64_t)offset >> 32;
}

static void write_gdt(bool open)
{
	uint64_t *gdt = (uint64_t *)(RS_ENTRY_CPU(this_cpu()->number) + RS_ENTRY_GDT);

	for (size_t i = 0; i < ARRAY_SIZE(segments); i++)
		gdt[selector_index(segments[i].selector)] = open ? segments[i].descriptor : 0;
	for (size_t i = 0; i < ARRAY_SIZE(call_gates); i++) {
		uint64_t *gate = &gdt[selector_index(call_gates[i].selector)];

		write_gate(gate, callgate_entry, call_gates[i].bits);
		if (!open)
			gate[0] = gate[1] = 0;
	}
}

/* The IDT is mapped read-only where LIDT says it is; the direct map writes. */
static uint64_t *idt_gate(unsigned vector)
{
	struct pt_walk walk;

	pt_walk(space_kernel_tree(), RS_ENTRY_IDT, &walk);
	return (uint64_t *)frame_at(walk.pa) + 2 * vector;
}

_Static_assert(RS_VECTOR_TRAP == RS_VECTOR_ABSENT + 1, "their gates are changed together");

static void write_idt(bool open)
{
	static uint64_t saved[4];
	uint64_t *gates = idt_gate(RS_VECTOR_ABSENT);

	for (int i = 0; i < 4; i++) {
		const uint64_t now = gates[i];

		gates[i] = saved[i];
		saved[i] = now;
	}
	if (!open)
		return;
	write_gate(&gates[0], trapgate_entry, TYPE(DESC_INTERRUPT_GATE) | DPL(3));
	write_gate(&gates[2], trapgate_entry, TYPE(DESC_TRAP_GATE) | DPL(3) | PRESENT);
}

/* What each state is by itself, and what it is now. */
#define USUAL_VALUES                                                                               \
	{                                                                                          \
		[RS_STATE_SCE] = 1, [RS_STATE_SYSENTER_CS] = 1, [RS_STATE_BP_DPL] = 3,             \
		[RS_STATE_INT80_DPL] = 3, [RS_STATE_IDT_LIMIT] = 256                               \
	}
static const uint16_t usual[RS_STATE_COUNT] = USUAL_VALUES;
static uint64_t values[RS_STATE_COUNT] = USUAL_VALUES;
_Static_assert(RS_STATE_LEAF_BITS < RS_STATE_LEAF, "the bits go while it is known where they are");

void gallery_open(bool open)
{
	if (open == gallery_is_open)
		return;
	if (!open)
		for (uint32_t state = 0; state < RS_STATE_COUNT; state++)
			gallery_state(state, usual[state]);
	write_idt(open);
	write_gdt(open);
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

static void sysret(uint64_t rip)
{
	__asm__ volatile("sysretq" : : "c"(rip));
}

static void sysexit(uint64_t rip)
{
	__asm__ volatile("sysexitq" : : "c"(rip), "d"(rip));
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
    [RS_RING0_SYSRET] = {sysret, NONCANONICAL},
    [RS_RING0_SYSEXIT] = {sysexit, NONCANONICAL},
};

int64_t gallery_ring0(uint32_t kind, uint64_t address, struct rs_fault *fault)
{
	const struct rs_boot *boot = (const struct rs_boot *)RS_BOOT_PAGE;

	if (kind >= RS_RING0_COUNT)
		return -EINVAL;
	/* AMD's go to ring 3 first, with what the kernel has in GS and RSP. */
	if (kind >= RS_RING0_SYSRET && !(boot->features & RS_FEATURE_INTEL))
		return -EPERM;
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
	uint64_t *gate = idt_gate(vector);

	*gate = (*gate & ~DPL(3)) | DPL(dpl & 3);
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
	static const uint32_t cr4_bits[RS_STATE_COUNT] = {
	    [RS_STATE_TSD] = CR4_TSD, [RS_STATE_PKE] = CR4_PKE, [RS_STATE_OSXSAVE] = CR4_OSXSAVE};

	if (cr4_bits[state])
		return set_cr4_bit(cr4_bits[state], value);
	switch (state) {
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
	case RS_STATE_LEAF_BITS:
		return set_leaf_bits(value);
	case RS_STATE_LEAF:
		return value < USER_TOP;
	case RS_STATE_WATCH:
		return set_watch(value);
	case RS_STATE_BAD_IST: /* IST3, which is #DB's */
		((struct desc_tss *)((uint64_t)this_cpu() + RS_ENTRY_TSS))->ist[2][1] ^= 1 << 30;
		return true;
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
