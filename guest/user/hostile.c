/*
 * States and sequences that ring 3 can make and the kernel's boundary must survive.  Each row says
 * what must come of it; while they run, a neighbour with a register file of its own takes turns and
 * compares.
 */
#include "guest/errno.h"
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "guest/user/ways.h"
#include "shared/pt.h"
#include "shared/x86.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* hostile.S */
void recursive_handler(void);
void flags_syscall(uint64_t), flags_int80(uint64_t), flags_callgate(uint64_t), flags_ud(uint64_t),
    flags_sysenter(uint64_t), rf_syscall(uint64_t), nt_iretq(uint64_t), shadow_int3(uint64_t),
    shadow_syscall(uint64_t), shadow_int80(uint64_t), shadow_sysenter(uint64_t),
    return_to(uint64_t), frame_int14(uint64_t), frame_int3(uint64_t), frame_rex_int3(uint64_t);
extern const char frame_int3_after[], frame_rex_int3_after[];
extern uint64_t recursions;
extern uint16_t watched_ss;

static const struct outcome allowed = {.vector = ALLOWED};

static uint64_t pid(void)
{
	return (uint64_t)raw_syscall(SYS_getpid);
}

/* ---- The neighbour --------------------------------------------------------------------------- */

#define NEIGHBOUR_TURNS 150

/* Its registers, bases and SSE state must be the same after every turn of somebody else. */
static _Noreturn void be_neighbour(void)
{
	uint64_t wrong = 0;

	raw_syscall(RS_SYS_FAULT_HANDLER, 0L);
	for (int turn = 0; turn < NEIGHBOUR_TURNS; turn++) {
		way_fill(&ways[0]);
		for (int i = RBX; i < REGISTERS; i++)
			way_in.gpr[i] ^= UINT64_C(0xa5a5a5a5a5a5a5a5) + (uint64_t)turn;
		way_in.gpr[RAX] = SYS_sched_yield;
		way_in.fs_base = 0x555555550000 + (uint64_t)turn;
		way_in.gs_base = 0x666666660000 + (uint64_t)turn;
		for (int i = 0; i < 16; i++)
			way_in.sse[i][turn % 16] = (uint8_t)~turn;
		way_cross(ways[0].code);
		wrong |= way_differences(ways[0].changed);
	}
	exit(wrong != 0);
}

static long neighbour;

static void begin_neighbour(void)
{
	flush();
	neighbour = raw_syscall(SYS_fork);
	if (neighbour == 0)
		be_neighbour();
}

static void end_neighbour(void)
{
	uint32_t status = 0xdead;

	gallery_group("The neighbour");
	raw_syscall(SYS_wait4, neighbour, (long)&status, 0L, 0L);
	gallery_row("registers, bases and SSE state after every turn", allowed, outcome_of(status));
}

/* Judges a row, and lets the neighbour look. */
static void row(const char *name, struct outcome want, struct outcome got)
{
	gallery_row(name, want, got);
	raw_syscall(SYS_sched_yield);
}

static void row_of_value(const char *name, uint64_t want, uint64_t got)
{
	row(name, allowed, want == got ? allowed : outcome_wrong(got));
}

/* ---- All ways at once ------------------------------------------------------------------------ */

/* Goes every way that keeps its promise on this host, from a state that `spoil` made.  ALLOWED, or
 * WRONG with a bit for each way that failed. */
static struct outcome go_all(void (*spoil)(const struct way *way, uint64_t value), uint64_t value)
{
	uint64_t failed = 0;

	for (size_t i = 0; i < way_count; i++) {
		struct outcome got;

		if (!way_exists(&ways[i]) || ways[i].unfit & 1 << host ||
		    ways[i].kind == WAY_RETURN)
			continue;
		way_fill(&ways[i]);
		spoil(&ways[i], value);
		got = way_go(&ways[i]);
		if (got.vector != ways[i].want.vector || got.error != ways[i].want.error)
			failed |= UINT64_C(1) << i;
	}
	return outcome_of(failed);
}

static void spoil_rsp(const struct way *way, uint64_t rsp)
{
	way_in.gpr[RSP] = way->kind == WAY_CALL32 ? (uint32_t)rsp : rsp;
	if (way->stack_in_rcx)
		way_in.gpr[RCX] = way_in.gpr[RSP];
}

static void spoil_flags(const struct way *way, uint64_t flags)
{
	(void)way;
	way_in.rflags |= flags;
}

static void spoil_bases(const struct way *way, uint64_t base)
{
	(void)way;
	way_in.fs_base = way_in.gs_base = base;
}

/* All ones, but for what says where to go. */
static void spoil_all(const struct way *way, uint64_t value)
{
	const uint64_t mask = way->kind == WAY_CALL32 ? UINT32_MAX : UINT64_MAX;

	for (int i = RAX; i < R15; i++) {
		if (i == RAX || (way->stack_in_rcx && (i == RCX || i == RDX || i == RSP)))
			continue;
		way_in.gpr[i] = i <= RDI ? value & mask : value;
	}
}

static void stacks(void)
{
	static const struct {
		const char *name;
		uint64_t rsp;
	} rows[] = {
	    {"RSP 0", 0},
	    {"RSP 8", 8},
	    {"RSP all ones", UINT64_MAX},
	    {"RSP just below the hole", 0x7ffffffffff8},
	    {"RSP at the hole", 0x800000000000},
	    {"RSP just below the kernel half", 0xffff7ffffffffff8},
	    {"RSP unmapped", 0x10000000},
	    {"RSP in read-only text", 0x400000},
	    {"RSP at a page's first byte", 0x7ffffffef000},
	    {"RSP unaligned", 0x7ffffffef001},
	    {"RSP in kernel text", RS_KERNEL_TEXT},
	    {"RSP in the direct map", RS_DIRECT_BASE + 0x1000},
	    {"RSP one byte below a guard page", RS_STACKS_BASE - 1},
	    {"RSP in a guard page", RS_STACKS_BASE + 0x1ff8},
	    {"RSP at the top of the own kernel stack", RS_STACKS_BASE + 0x4000},
	    {"RSP in the entry words", RS_ENTRY_CPU(0) + 0x800},
	    {"RSP at the top of the entry stack", RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP},
	    {"RSP at the #DF stack", RS_ENTRY_CPU(0) + RS_IST_TOP(1)},
	    {"RSP at the NMI stack", RS_ENTRY_CPU(0) + RS_IST_TOP(2)},
	    {"RSP at the #DB stack", RS_ENTRY_CPU(0) + RS_IST_TOP(3)},
	};

	gallery_group("Stack pointers, every way in");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		row(rows[i].name, allowed, go_all(spoil_rsp, rows[i].rsp));
}

static void flags_and_registers(void)
{
	static const struct {
		const char *name;
		uint64_t flags;
	} rows[] = {
	    {"NT set", RFLAGS_NT},
	    {"AC set", RFLAGS_AC},
	    {"DF set", RFLAGS_DF},
	    {"NT, AC and DF set", RFLAGS_NT | RFLAGS_AC | RFLAGS_DF},
	};
	static const struct {
		const char *name;
		uint64_t base;
	} bases[] = {
	    {"FS and GS base 0", 0},
	    {"FS and GS base the kernel's own GS base", RS_ENTRY_CPU(0)},
	    {"FS and GS base another CPU's", RS_ENTRY_CPU(1)},
	    {"FS and GS base in kernel text", RS_KERNEL_TEXT},
	    {"FS and GS base all ones", UINT64_MAX},
	};

	gallery_group("Flags, registers, bases, every way in");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		row(rows[i].name, allowed, go_all(spoil_flags, rows[i].flags));
	row("all registers -1", allowed, go_all(spoil_all, UINT64_MAX));
	row("all registers in the hole", allowed, go_all(spoil_all, 0x800000000000));
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		if (way_has_bases())
			row(bases[i].name, allowed, go_all(spoil_bases, bases[i].base));
		else
			gallery_skip(bases[i].name, "ring 3 cannot set bases here");
	}
}

/* ---- Traps and shadows ----------------------------------------------------------------------- */

/* Goes through or traps in ring 3; either way the call was carried out. */
static struct outcome try_call(void (*act)(uint64_t), uint64_t flags)
{
	struct outcome got;

	try_rax = pid();
	got = try(act, flags);
	return got.vector == VECTOR_DB && try_rax != pid() ? outcome_wrong(try_rax) : got;
}

static void traps(void)
{
	static const struct {
		const char *name;
		void (*act)(uint64_t);
		uint64_t flags;
		uint16_t want;
		uint64_t lacks;
	} rows[] = {
	    {"TF, then SYSCALL: #DB behind it, in ring 3", flags_syscall, RFLAGS_TF, VECTOR_DB, 0},
	    {"TF, then INT 0x80: #DB behind it, in ring 3", flags_int80, RFLAGS_TF, VECTOR_DB, 0},
	    {"TF, then SYSENTER: #DB in ring 0, TF is lost", flags_sysenter, RFLAGS_TF, ALLOWED,
	     RS_FEATURE_AMD},
	    {"TF, then a call gate: #DB in ring 0, TF is lost", flags_callgate, RFLAGS_TF, ALLOWED,
	     0},
	    {"TF, then UD2: #UD", flags_ud, RFLAGS_TF, VECTOR_UD, 0},
	    {"TF and NT, then SYSCALL", flags_syscall, RFLAGS_TF | RFLAGS_NT, VECTOR_DB, 0},
	    {"TF and NT, then INT 0x80", flags_int80, RFLAGS_TF | RFLAGS_NT, VECTOR_DB, 0},
	    {"NT, then SYSENTER", flags_sysenter, RFLAGS_NT, ALLOWED, RS_FEATURE_AMD},
	    {"NT, then IRETQ in ring 3: #GP", nt_iretq, 0, VECTOR_GP, 0},
	    {"RF by IRETQ, then SYSCALL", rf_syscall, 0, ALLOWED, 0},
	};

	gallery_group("Trap flag, nested task, resume flag");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct outcome want = {.vector = rows[i].want};

		if (info.features & rows[i].lacks)
			gallery_skip(rows[i].name, "this CPU lacks it");
		else if (!gallery_harmful(rows[i].name, want))
			row(rows[i].name, want, try_call(rows[i].act, rows[i].flags));
	}
}

static void shadows(void)
{
	static const struct {
		const char *name;
		void (*act)(uint64_t);
		uint16_t want;
		bool kernel_gs;
		uint64_t lacks;
	} rows[] = {
	    {"watched MOV SS, then INT3", shadow_int3, VECTOR_BP, false, 0},
	    {"watched MOV SS, then SYSCALL", shadow_syscall, ALLOWED, false, 0},
	    {"watched MOV SS, then INT 0x80", shadow_int80, ALLOWED, false, 0},
	    {"watched MOV SS, then SYSENTER", shadow_sysenter, ALLOWED, false, RS_FEATURE_AMD},
	    {"watched MOV SS, then SYSCALL, GS base in the kernel", shadow_syscall, ALLOWED, true,
	     0},
	    {"watched MOV SS, then INT3, GS base in the kernel", shadow_int3, VECTOR_BP, true, 0},
	};

	gallery_group("MOV SS shadows");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct outcome want = {.vector = rows[i].want};
		struct outcome got;

		if (info.features & rows[i].lacks ||
		    (rows[i].kernel_gs && !(info.features & RS_FEATURE_FSGSBASE))) {
			gallery_skip(rows[i].name, "this CPU lacks it");
			continue;
		}
		if (gallery_harmful(rows[i].name, want))
			continue;
		if (rows[i].kernel_gs)
			__asm__ volatile("wrgsbase %0" : : "r"(RS_KERNEL_TEXT));
		set_state(RS_STATE_WATCH, (uint64_t)&watched_ss);
		got = try(rows[i].act, 0);
		set_state(RS_STATE_WATCH, 0);
		if (rows[i].kernel_gs)
			__asm__ volatile("wrgsbase %0" : : "r"(UINT64_C(0)));
		row(rows[i].name, want, got);
	}
}

/* ---- Returns that cannot be ------------------------------------------------------------------ */

struct place {
	uint64_t cs, ss, rip;
};

static const struct bad_return {
	const char *name;
	struct place to;
	uint16_t vector;
	uint32_t error;
} returns[] = {
    {"kernel returns to a rewritten RIP", {RS_SEL_USER_CODE, RS_SEL_USER_DATA, 0}, ALLOWED, 0},
    {"to CS not present", {RS_SEL_ABSENT_CODE, RS_SEL_USER_DATA, 0}, VECTOR_NP, 0xc0},
    {"to CS null", {3, RS_SEL_USER_DATA, 0}, VECTOR_GP, 0},
    {"to CS of the kernel, RPL 3", {RS_SEL_KERNEL_CODE | 3, RS_SEL_USER_DATA, 0}, VECTOR_GP, 8},
    {"to CS a data segment", {RS_SEL_USER_DATA, RS_SEL_USER_DATA, 0}, VECTOR_GP, 0x20},
    {"to CS of ring 1, RPL 3", {RS_SEL_RING1_CODE | 3, RS_SEL_USER_DATA, 0}, VECTOR_GP, 0x70},
    {"to CS beyond the GDT's limit", {RS_SEL_BEYOND, RS_SEL_USER_DATA, 0}, VECTOR_GP, 0x100},
    {"to SS not present", {RS_SEL_USER_CODE, RS_SEL_ABSENT_DATA, 0}, VECTOR_SS, 0x50},
    {"to SS read-only", {RS_SEL_USER_CODE, RS_SEL_READ_ONLY, 0}, VECTOR_GP, 0x68},
    {"to SS a code segment", {RS_SEL_USER_CODE, RS_SEL_USER_CODE, 0}, VECTOR_GP, 0x28},
    {"to SS of the kernel, RPL 3", {RS_SEL_USER_CODE, RS_SEL_KERNEL_DATA | 3, 0}, VECTOR_GP, 0x10},
    {"to SS null", {RS_SEL_USER_CODE, 3, 0}, VECTOR_GP, 0},
    {"to RIP at the hole", {RS_SEL_USER_CODE, RS_SEL_USER_DATA, 0x800000000000}, VECTOR_GP, 0},
    {"to RIP unmapped", {RS_SEL_USER_CODE, RS_SEL_USER_DATA, 0x10000000}, VECTOR_PF, PF_U | PF_ID},
};

/* The same without a handler: what wait4 says of the process. */
static uint32_t fate_of_return(const struct place *to)
{
	uint32_t status = 0xdead;
	long child;

	flush();
	child = raw_syscall(SYS_fork);
	if (child == 0) {
		raw_syscall(RS_SYS_FAULT_HANDLER, 0L);
		return_to((uint64_t)to);
		exit(1);
	}
	raw_syscall(SYS_wait4, child, (long)&status, 0L, 0L);
	return status;
}

static void bad_returns(void)
{
	char name[64];

	gallery_group("Faults inside IRETQ");
	row_of_value("CS with RPL 0 is refused", (uint64_t)-EPERM,
	             (uint64_t)raw_syscall(RS_SYS_RETURN, (long)RS_SEL_KERNEL_CODE,
	                                   (long)RS_SEL_KERNEL_DATA, 0L, 0L));
	for (size_t i = 0; i < ARRAY_SIZE(returns); i++) {
		const struct bad_return *r = &returns[i];
		const struct outcome want = {r->vector, r->error, r->to.rip};
		struct outcome got;

		if (gallery_harmful(r->name, want))
			continue;
		got = try(return_to, (uint64_t)&r->to);
		row(r->name, want, got);
		if (r->vector == ALLOWED || got.vector == ALLOWED)
			continue;
		join(name, sizeof(name), r->name, ", no handler");
		row(name, (struct outcome){.vector = ENDED},
		    fate_of_return(&r->to) == 11 ? (struct outcome){.vector = ENDED} : allowed);
	}
}

/* ---- Numbers and pointers -------------------------------------------------------------------- */

static void numbers(void)
{
	static const uint64_t none64[] = {20,
	                                  255,
	                                  256,
	                                  999,
	                                  1031,
	                                  1032,
	                                  0x7fffffff,
	                                  0xffffffff,
	                                  0x100000027,
	                                  UINT64_MAX,
	                                  (uint64_t)1 << 63};
	static const uint64_t none32[] = {39,   57,         255,        256,       999,
	                                  1032, 0x7fffffff, 0x80000000, 0xffffffff};
	static const uint64_t bad[] = {
	    0, RS_KERNEL_TEXT, RS_DIRECT_BASE, 0x7ffffffff000, 0x800000000000, UINT64_MAX};
	const long high = (long)0xfffffffe00000000;
	uint64_t wrong = 0;

	gallery_group("Numbers and pointers");
	for (size_t i = 0; i < ARRAY_SIZE(none64); i++)
		wrong += raw_syscall((long)none64[i], -1L, -1L, -1L, -1L) != -ENOSYS;
	row_of_value("SYSCALL: numbers that are none", 0, wrong);
	for (size_t i = 0; i < ARRAY_SIZE(none32); i++)
		wrong += raw_int80((long)none32[i], -1L, -1L, -1L, -1L) != -ENOSYS;
	row_of_value("INT 0x80: numbers that are none", 0, wrong);
	row_of_value("INT 0x80: the high half of RAX is no part of it", pid(),
	             (uint64_t)raw_int80(high | SYS32_getpid));
	row_of_value("INT 0x80: the high halves of arguments are none of it", 0,
	             (uint64_t)raw_int80(high | 4, high | 1, high | (long)&watched_ss, high, high));
	for (int i = 0; i < 50; i++) {
		wrong += (uint64_t)raw_int80(SYS32_getpid) != pid();
		wrong += raw_syscall(SYS32_getpid) != -ENOSYS;
	}
	row_of_value("SYSCALL and INT 0x80 in turns, each by its own table", 0, wrong);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wrong += raw_syscall(SYS_write, 1L, (long)bad[i], 8L) != -EFAULT;
		wrong += raw_syscall(RS_SYS_INFO, (long)bad[i]) != -EFAULT;
	}
	row_of_value("pointers to nowhere, to the kernel, into the hole: EFAULT", 0, wrong);
	row_of_value("a length of all ones", (uint64_t)-EFAULT,
	             (uint64_t)raw_syscall(SYS_write, 1L, 0x10000000L, -1L));
}

/* ---- The canonical hole ---------------------------------------------------------------------- */

static void jump_to(uint64_t address)
{
	__asm__ volatile("jmp *%0" : : "r"(address));
}

static void hole(void)
{
	const uint64_t last = 0x7ffffffff000;
	struct rs_range ranges[RS_MAX_RANGES];
	long count = raw_syscall(RS_SYS_USER_ROOT, (long)ranges, (long)RS_MAX_RANGES);
	uint64_t user = 0;

	gallery_group("The canonical hole, and what a user root maps");
	row_of_value("a page just below the hole cannot be had", (uint64_t)-EINVAL,
	             (uint64_t)set_state(RS_STATE_MAP, last));
	row_of_value("the page below that one can", 0,
	             set_state(RS_STATE_MAP, last - PAGE_SIZE) < 0);
	row("so no SYSCALL ends at the hole",
	    (struct outcome){VECTOR_PF, PF_U | PF_ID, last + 0xffe}, try(jump_to, last + 0xffe));
	for (long i = 0; i < count; i++)
		user += (ranges[i].rights & PT_USER) != 0;
	row_of_value("nothing of the kernel half is a user page", 0, user);
}

/* ---- Segments -------------------------------------------------------------------------------- */

static void load_ss(uint64_t selector)
{
	__asm__ volatile("mov %0, %%ss\n mov %1, %%ss" : : "r"(selector), "r"(RS_SEL_USER_DATA));
}

/* A 16-bit stack segment would let IRETQ leak half of the kernel's RSP: there is none to load. */
static uint64_t other_stacks(void)
{
	uint64_t others = 0;

	for (uint64_t selector = 3; selector < RS_GDT_ENTRIES * 8; selector += 4) {
		const bool good = selector == RS_SEL_USER_DATA || selector == RS_SEL_USER_DATA2 ||
		                  selector == RS_SEL_BASED;

		others += (try(load_ss, selector).vector == ALLOWED) != good;
	}
	return others;
}

/* Another process runs, and comes back. */
static struct outcome yield_with(uint16_t ds, uint16_t es, uint16_t fs, uint16_t gs)
{
	uint64_t wrong;

	way_fill(&ways[0]);
	way_in.gpr[RAX] = SYS_sched_yield;
	way_in.ds = ds;
	way_in.es = es;
	way_in.fs = fs;
	way_in.gs = gs;
	way_cross(ways[0].code);
	wrong = way_differences(ways[0].changed);
	return outcome_of(wrong);
}

/* The neighbour runs inside each kind of call: those that leave fast must leave slowly. */
static struct outcome yield_by_all(void)
{
	uint64_t failed = 0;

	for (size_t i = 0; i < way_count; i++) {
		const struct way *way = &ways[i];

		if (!way_exists(way) || way->unfit & 1 << host ||
		    (way->kind != WAY_CALL && way->kind != WAY_CALL32))
			continue;
		way_fill(way);
		/* SYSENTER's has a bit of its own beside the number. */
		way_in.gpr[RAX] ^= way->number;
		way_in.gpr[RAX] |= way->number == SYS_getpid ? SYS_sched_yield : 158;
		if (way_cross(way->code) || way_out.gpr[RAX] || way_differences(way->changed))
			failed |= UINT64_C(1) << i;
	}
	return outcome_of(failed);
}

static void segments(void)
{
	gallery_group("Switches and segments");
	row("a switch inside every kind of call", allowed, yield_by_all());
	row_of_value("SS takes the flat 32-bit data segments and no other", 0, other_stacks());
	row("a switch keeps odd selectors and bases", allowed,
	    yield_with(RS_SEL_READ_ONLY, RS_SEL_USER_CODE, RS_SEL_BASED, 0));
	row("... conforming code, RPL 0, a based GS", allowed,
	    yield_with(RS_SEL_CONFORMING, RS_SEL_USER_DATA & ~3, 0, RS_SEL_BASED));
	way_fill(&ways[0]);
	way_in.gpr[RAX] = RS_SYS_GALLERY;
	way_in.gpr[RDI] = 0;
	way_in.ds = RS_SEL_READ_ONLY;
	way_in.es = RS_SEL_BASED;
	way_cross(ways[0].code);
	raw_syscall(RS_SYS_GALLERY, 1L);
	set_state(RS_STATE_SILENT, 1);
	row_of_value("descriptors removed while loaded: null", 0,
	             (uint64_t)(way_out.ds & ~3) | (uint64_t)(way_out.es & ~3));
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static void read_null(uint64_t unused)
{
	(void)unused;
	*(volatile const char *)0;
}

static void faults(void)
{
	struct outcome got;

	gallery_group("Faults and frames");
	recursions = 0;
	raw_syscall(RS_SYS_FAULT_HANDLER, (long)recursive_handler);
	got = try(read_null, 0);
	try_handle();
	row("a fault handler that faults, 1000 deep", (struct outcome){VECTOR_PF, PF_U, 0},
	    recursions == 1000 ? got : outcome_wrong(recursions));
	try(frame_int14, 0);
	row_of_value("int 14: RIP at the instruction", (uint64_t)frame_int14, try_fault.rip);
	try(frame_int3, 0);
	row_of_value("int3: RIP behind it", (uint64_t)frame_int3_after, try_fault.rip);
	try(frame_rex_int3, 0);
	row_of_value("int3 with a prefix: RIP behind it", (uint64_t)frame_rex_int3_after,
	             try_fault.rip);
}

/* ---- Flags that the kernel must not work with ------------------------------------------------ */

/* A call of three arguments by SYSCALL or INT 0x80 with these flags set around it. */
static long call_with_flags(bool by_int80, uint64_t flags, long number, long a, long b, long c)
{
	uint64_t saved;

	__asm__ volatile("pushfq\n mov (%%rsp), %1\n or %2, "
	                 "(%%rsp)\n popfq\n"
	                 "test %3, %3\n jz 1f\n"
	                 "mov %4, %%rbx\n mov %5, %%rcx\n int "
	                 "$0x80\n jmp 2f\n"
	                 "1: syscall\n"
	                 "2: push %1\n popfq"
	                 : "+a"(number), "=&r"(saved)
	                 : "r"(flags), "r"((uint64_t)by_int80), "D"(a), "S"(b), "d"(c)
	                 : "rbx", "rcx", "r11", "memory", "cc");
	return number;
}

static void kernel_flags(void)
{
	static const char *const ways_in[] = {"SYSCALL", "INT 0x80"};
	/* Where the i386 convention's 32 bits reach. */
	static struct rs_fault fault;
	static struct rs_info copy;
	const struct outcome smap = {VECTOR_PF, PF_P, (uint64_t)&watched_ss};
	char name[64];

	gallery_group("Flags that the kernel must not keep");
	for (int i = 0; i < 2; i++) {
		join(name, sizeof(name), "DF set, the kernel copies: ", ways_in[i]);
		copy.ram_size = 0;
		call_with_flags(i, RFLAGS_DF, RS_SYS_INFO, (long)&copy, 0, 0);
		row_of_value(name, info.ram_size, copy.ram_size);
		join(name, sizeof(name), "AC set, SMAP stays on in ring 0: ", ways_in[i]);
		if (!(info.features & RS_FEATURE_SMAP)) {
			gallery_skip(name, "this CPU lacks it");
			continue;
		}
		fault = (struct rs_fault){0};
		call_with_flags(i, RFLAGS_AC, RS_SYS_RING0, RS_RING0_READ_USER, (long)&watched_ss,
		                (long)&fault);
		row(name, smap, outcome_of_fault(&fault));
	}
}

/* ---- Departures ------------------------------------------------------------------------------ */

#define HOST_GDT "ring 3 loads from the host's GDT first"
#define NO_CHECK "IRETQ takes it"
#define WATCH    "the #DB comes before the next instruction, and some runs crash the emulator"

static const struct departure departures[] = {
    {HOST_INTERPRETER, "NT set", {WRONG, 0, 0x13}, "IRETQ drops NT: SYSCALL, INT 0x80 lose it"},
    {HOST_INTERPRETER, "NT, AC and DF set", {WRONG, 0, 0x13}, "IRETQ drops NT, only NT"},
    {HOST_INTERPRETER, "TF, then a call gate*", {VECTOR_UD, 0, 0}, "no call gates there"},
    {HOST_INTERPRETER,
     "watched MOV SS, then INT3",
     {VECTOR_UD, 0, 0},
     "behind MOV SS ring 3 is interpreted, by one that knows no INT3"},
    {HOST_INTERPRETER,
     "to CS a data segment",
     {VECTOR_PF, PF_U, 0},
     NO_CHECK "; ring 3 goes on as 32-bit code"},
    {HOST_INTERPRETER, "to SS read-only", {ALLOWED, 0, 0}, NO_CHECK},
    {HOST_INTERPRETER, "to SS a code segment", {ALLOWED, 0, 0}, NO_CHECK},
    {HOST_INTERPRETER, "SS takes the flat*", {WRONG, 0, 1}, HOST_GDT},
    {HOST_TCG,
     "RF by IRETQ, then SYSCALL",
     {VECTOR_PF, PF_P, 0},
     "IRET reads the stack as a supervisor, which SMAP stops"},
    {HOST_TCG, "watched MOV SS*", {NOT_TRIED, 0, 0}, WATCH},
    {HOST_TCG, "to SS not present", {VECTOR_NP, RS_SEL_ABSENT_DATA & ~3, 0}, "#NP for #SS"},
    {HOST_COUNTER, "to SS not present", {VECTOR_NP, RS_SEL_ABSENT_DATA & ~3, 0}, "#NP for #SS"},
    {0, NULL, {0, 0, 0}, NULL},
};

int hostile_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gallery_begin("hostile", departures);
	set_state(RS_STATE_SILENT, 1);
	begin_neighbour();
	stacks();
	flags_and_registers();
	traps();
	shadows();
	bad_returns();
	numbers();
	hole();
	segments();
	kernel_flags();
	faults();
	end_neighbour();
	return gallery_end();
}
