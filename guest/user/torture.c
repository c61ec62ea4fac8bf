/*
 * The ring 3 side of ./vmm --torture (shared/abi.h, RS_CALL_TORTURE): every way across the
 * boundary, in every KPTI mode, round after round with all registers filled, and compared behind
 * each one. What happens in a round, and whether the kernel's own state is as it should be, is the
 * VMM's business.
 */
#include "guest/errno.h"
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "guest/user/ways.h"
#include "shared/x86.h"

#define BIT(n)        (UINT64_C(1) << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Registers that a system call may change; that a fault handler is told in. */
#define CALL_CHANGES (BIT(RAX) | BIT(RCX) | BIT(R11))
#define TOLD         (BIT(RDI) | BIT(RSI) | BIT(RDX) | BIT(RCX))

#define NOWHERE         0x10000000 /* mapped in no process */
#define PAGE_OF_ITS_OWN 0x30000000 /* nothing is mapped next to it */

/* ways.S, torture.S */
extern const char way_syscall[], torture_stand[];

static long torture(enum rs_torture_what what, const void *data, size_t size)
{
	return raw_syscall(RS_SYS_TORTURE, what, (long)data, (long)size, 0);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static struct rs_torture_difference differences[RS_TORTURE_DIFFERENCES];
static size_t difference_count;

static void compare(const char *name, const char *number, uint64_t got, uint64_t want)
{
	struct rs_torture_difference *d = &differences[difference_count];

	if (got == want || difference_count == ARRAY_SIZE(differences))
		return;
	join(d->name, sizeof(d->name), name, number);
	d->got = got;
	d->want = want;
	difference_count++;
}

static void tell_differences(void)
{
	if (difference_count)
		torture(RS_TORTURE_DIFFERS, differences, difference_count * sizeof(differences[0]));
	difference_count = 0;
}

/* Eight bytes of FXSAVE's image, without those that are nobody's. */
static uint64_t fpu_word(const uint8_t *fpu, unsigned first)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		if (way_is_fpu_state(first + i))
			value |= (uint64_t)fpu[first + i] << 8 * i;
	return value;
}

/* All that ring 3 has in the processor, but for the general registers in `except`. */
static void compare_states(const struct way_state *got, const struct way_state *want,
                           uint64_t except)
{
	static const char *const names[REGISTERS] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
	                                             "RSI", "RDI", "R8",  "R9",  "R10", "R11",
	                                             "R12", "R13", "R14", "R15"};
	static const char digits[] = "0123456789";
	for (int i = 0; i < REGISTERS; i++)
		if (!(except >> i & 1))
			compare(names[i], "", got->gpr[i], want->gpr[i]);
	compare("RFLAGS", "", got->rflags, want->rflags);
	compare("FS base", "", got->fs_base, want->fs_base);
	compare("GS base", "", got->gs_base, want->gs_base);
	/* The interpreter's ring 3 has the host's selectors. */
	if (host != HOST_INTERPRETER) {
		compare("DS", "", got->ds, want->ds);
		compare("ES", "", got->es, want->es);
		compare("FS", "", got->fs, want->fs);
		compare("GS", "", got->gs, want->gs);
	}
	for (unsigned i = 0; i < sizeof(got->fpu); i += 8) {
		const char number[] = {'+', digits[i / 100], digits[i / 10 % 10], digits[i % 10],
		                       0};

		compare("FXSAVE", number, fpu_word(got->fpu, i), fpu_word(want->fpu, i));
	}
}

/* ---- Crossings ------------------------------------------------------------------------------- */

/* One way across.  What is called in a round is the same in each. */
static struct crossing {
	struct rs_torture_crossing about;
	const char *code; /* for way_cross */
	uint64_t may;     /* general registers that it may change */
	uint64_t other;   /* ... that are never the same again */
	void (*before)(void);
	void (*after)(void);
} crossing;

/* Makes `crossing` one by SYSCALL, without a place of its own yet. */
static void fill(const char *name)
{
	static const struct way call = {.kind = WAY_CALL};

	crossing = (struct crossing){.code = way_syscall, .may = CALL_CHANGES};
	set_text(crossing.about.name, sizeof(crossing.about.name), name);
	way_fill(&call);
}

static void fill_call(const char *name, uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
	fill(name);
	way_in.gpr[RAX] = number;
	way_in.gpr[RDI] = a;
	way_in.gpr[RSI] = b;
	way_in.gpr[RDX] = c;
}

static void judge(bool faulted, bool learn)
{
	static struct way_state learned;
	struct way_state want = way_in;

	if (learn) {
		if (faulted)
			want.rflags = (want.rflags & (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF |
			                              RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)) |
			              RFLAGS_FIXED | RFLAGS_IF;
		compare_states(&way_out, &want, crossing.may | (faulted ? TOLD : 0));
		learned = way_out;
	} else {
		compare_states(&way_out, &learned, crossing.other);
	}
	compare("red zone", "", way_differences(~BIT(WAY_RED_ZONE)), 0);
	tell_differences();
}

static void go_rounds(uint32_t mode)
{
	long order;

	crossing.about.mode = mode;
	if (torture(RS_TORTURE_CROSSING, &crossing.about, sizeof(crossing.about)) <= 0)
		return;
	raw_syscall(RS_SYS_FAULT_HANDLER, (long)way_caught, 0, 0, 0);
	for (;;) {
		bool faulted;

		order = torture(RS_TORTURE_ROUND, 0, 0);
		if (order != RS_TORTURE_GO && order != RS_TORTURE_LEARN)
			break;
		if (crossing.before)
			crossing.before();
		faulted = way_cross(crossing.code);
		if (crossing.after)
			crossing.after();
		judge(faulted, order == RS_TORTURE_LEARN);
	}
	raw_syscall(RS_SYS_FAULT_HANDLER, 0, 0, 0, 0);
}

static void lacks(const char *name, const char *why, const char *alone, uint32_t mode)
{
	fill(name);
	set_text(crossing.about.lacks, sizeof(crossing.about.lacks), why);
	set_text(crossing.about.alone, sizeof(crossing.about.alone), alone);
	go_rounds(mode);
}

/* ---- Every way of ways.h --------------------------------------------------------------------- */

/* Kernel text that one way alone leads to. */
static const struct {
	const char *way, *alone;
} entries[] = {
    {"SYSENTER, SYSEXIT", "sysenter_entry sysenter_compat"},
    {"SYSENTER from 32-bit code", "sysenter_compat"},
    {"call gate, far RET", "callgate_entry"},
    {"SYSCALL from 32-bit code", "compat_entry"},
    {"trap gate", "trapgate_entry"},
};

static const char *alone_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		if (same(entries[i].way, name))
			return entries[i].alone;
	return "";
}

static void go_ways(uint32_t mode)
{
	for (size_t i = 0; i < way_count; i++) {
		const struct way *way = &ways[i];

		if (way->kind >= WAY_RETURN)
			continue; /* does not enter ring 0 */
		if (!way_exists(way)) {
			lacks(way->name, "this CPU has none", alone_of(way->name), mode);
			continue;
		}
		if (way->unfit & 1 << host) {
			lacks(way->name, "this KVM departs from the manuals", alone_of(way->name),
			      mode);
			continue;
		}
		fill(way->name);
		way_fill(way);
		crossing.code = way->code;
		crossing.may = way->changed;
		go_rounds(mode);
	}
	if (host != HOST_INTERPRETER)
		return;
	lacks("SYSCALL, taken by the processor", "this KVM makes it a page fault",
	      "syscall_entry slow_exit", mode);
	lacks("INT n, taken by the processor", "this KVM makes it #UD", "int80_clac trapgate_entry",
	      mode);
}

/* ---- What system calls do at the boundary ---------------------------------------------------- */

/* Ring 3 may have any address in RSP, also where #DB's frame will lie. */
static void go_foreign_stack(uint32_t mode)
{
	fill_call("SYSCALL, RSP in the #DB stack", SYS_getpid, 0, 0, 0);
	way_in.gpr[RSP] = RS_ENTRY_CPU(0) + RS_IST_TOP(3) - 40;
	go_rounds(mode);
}

/* IRETQ to way_resume with the stack that this selector names. */
static void go_return(const char *name, uint64_t stack_selector, uint32_t mode)
{
	fill_call(name, RS_SYS_RETURN, RS_SEL_USER_CODE, stack_selector, (uint64_t)way_resume);
	way_in.gpr[R10] = way_in.gpr[RSP];
	go_rounds(mode);
}

static void go_copy_fault(uint32_t mode)
{
	fill_call("#PF in ring 0, a user copy", SYS_write, 1, NOWHERE, 8);
	go_rounds(mode);
}

static void go_yield(uint32_t mode)
{
	fill_call("sched_yield", SYS_sched_yield, 0, 0, 0);
	go_rounds(mode);
}

/* Takes turns with whoever yields, with registers of its own. */
static _Noreturn void be_partner(void)
{
	struct way_state want;

	fill_call("partner", SYS_sched_yield, 0, 0, 0);
	way_complement(&ways[0]);
	want = way_in;
	want.gpr[RAX] = 0;
	for (;;) {
		way_cross(way_syscall);
		compare_states(&way_out, &want, BIT(RCX) | BIT(R11));
		tell_differences();
	}
}

static long partner;

static void wait_for_child(void)
{
	if (way_out.gpr[RAX] == 0) {
		judge(false, true);
		exit(0);
	}
	raw_syscall(SYS_wait4, (long)way_out.gpr[RAX], 0, 0, 0);
}

static void go_fork(uint32_t mode)
{
	fill_call("fork, exit, wait4", SYS_fork, 0, 0, 0);
	crossing.other = BIT(RAX);
	crossing.about.flags = RS_TORTURE_CHANGING | RS_TORTURE_LONG;
	crossing.after = wait_for_child;
	go_rounds(mode);
}

static uint64_t heap;

static void grow_heap(void)
{
	raw_syscall(SYS_brk, (long)heap + PAGE_SIZE, 0, 0, 0);
}

/* Giving memory back empties the TLB of the user root's PCID. */
static void go_flush(uint32_t mode)
{
	const char *name = "brk, TLB flush";

	if (!(info.features & RS_FEATURE_PCID)) {
		lacks(name, "this CPU has no PCIDs", "flush_user_root", mode);
		return;
	}
	if (mode != RS_PTI_PCID)
		return;
	heap = (uint64_t)raw_syscall(SYS_brk, 0, 0, 0, 0);
	fill_call(name, SYS_brk, heap, 0, 0);
	crossing.before = grow_heap;
	go_rounds(mode);
}

/* ---- What comes from outside ----------------------------------------------------------------- */

static void go_stand(const char *name, const void *stand, uint64_t first, uint64_t last,
                     uint32_t mode)
{
	fill(name);
	crossing.code = stand;
	crossing.may = 0;
	crossing.about.stand = (uint64_t)stand;
	crossing.about.vectors[0] = first;
	crossing.about.vectors[1] = last;
	go_rounds(mode);
}

/* The kernel looks for INT 0x80 in the bytes before, which are not there. */
static void go_page_start(uint32_t mode)
{
	static const uint8_t nop_jmp[] = {0x90, 0xff, 0x25, 0, 0, 0, 0}; /* through the next word */
	uint8_t *page = (uint8_t *)PAGE_OF_ITS_OWN;

	map_page(PAGE_OF_ITS_OWN, PROT_READ + PROT_WRITE);
	for (size_t i = 0; i < sizeof(nop_jmp); i++)
		page[i] = nop_jmp[i];
	for (size_t i = 0; i < 8; i++)
		page[sizeof(nop_jmp) + i] = (uint8_t)((uint64_t)way_resume >> 8 * i);
	raw_syscall(SYS_mprotect, (long)page, (long)PAGE_SIZE, PROT_READ + PROT_EXEC + 0L);
	go_stand("interrupt 0x80, at a page's start", page, 0x80, 0x80, mode);
	raw_syscall(SYS_munmap, (long)page, (long)PAGE_SIZE);
}

/* ---- All ------------------------------------------------------------------------------------- */

static void go_all(uint32_t mode)
{
	go_ways(mode);
	go_foreign_stack(mode);
	go_return("SYSCALL, IRETQ", RS_SEL_USER_DATA, mode);
	go_return("fault in IRETQ", RS_SEL_ABSENT_DATA, mode);
	go_copy_fault(mode);
	go_yield(mode);
	go_fork(mode);
	go_flush(mode);
	go_stand("ring 3, interrupted", torture_stand, 0, 255, mode);
	go_page_start(mode);
}

int torture_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (torture(RS_TORTURE_CROSSING, 0, 0) == -ENOSYS) {
		printf("torture: the VMM's part is missing: ./vmm --torture nmi|irq|step\n");
		flush();
		return 2;
	}
	gallery_enter();
	flush();
	partner = raw_syscall(SYS_fork, 0, 0, 0, 0);
	if (partner == 0)
		be_partner();
	for (uint32_t mode = RS_PTI_OFF; mode <= RS_PTI_NOPCID; mode++)
		if (raw_syscall(RS_SYS_PTI_MODE, (long)mode, 0, 0, 0) >= 0)
			go_all(mode);
	raw_syscall(RS_SYS_PTI_MODE, info.pti_mode, 0, 0, 0);
	return (int)torture(RS_TORTURE_END, 0, 0);
}
