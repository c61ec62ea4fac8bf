/*
 * States and sequences that ring 3 can make and the kernel's boundary must survive.  Each row says
 * what must come of it.
 */
#include "guest/errno.h"
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/neighbour.h"
#include "guest/user/programs.h"
#include "guest/user/ways.h"
#include "shared/pt.h"
#include "shared/x86.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* hostile.S */
void recursive_handler(void);
void flags_syscall(uint64_t), flags_int80(uint64_t), flags_int3(uint64_t), flags_callgate(uint64_t),
    flags_ud(uint64_t), flags_sysenter(uint64_t), rf_syscall(uint64_t), nt_iretq(uint64_t),
    shadow_int3(uint64_t), shadow_syscall(uint64_t), shadow_int80(uint64_t),
    shadow_int3_gs(uint64_t), shadow_syscall_gs(uint64_t), shadow_pop_int80(uint64_t),
    shadow_sysenter(uint64_t), return_to(uint64_t), frame_int14(uint64_t), frame_int3(uint64_t),
    frame_rex_int3(uint64_t);
extern const char frame_int3_after[], frame_rex_int3_after[];
extern uint64_t recursions;
extern uint16_t watched_ss;

static const struct outcome allowed = {.vector = ALLOWED};

static uint64_t pid(void)
{
	return (uint64_t)raw_syscall(SYS_getpid);
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
		gallery_row(rows[i].name, allowed, go_all(spoil_rsp, rows[i].rsp));
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
		gallery_row(rows[i].name, allowed, go_all(spoil_flags, rows[i].flags));
	gallery_row("all registers -1", allowed, go_all(spoil_all, UINT64_MAX));
	gallery_row("all registers in the hole", allowed, go_all(spoil_all, 0x800000000000));
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		if (way_has_bases())
			gallery_row(bases[i].name, allowed, go_all(spoil_bases, bases[i].base));
		else
			gallery_skip(bases[i].name, "ring 3 cannot set bases here");
	}
}

/* ---- Traps and shadows ----------------------------------------------------------------------- */

#define BEHIND .traits = ROW_GETPID

static const struct row traps[] = {
    {"TF, then SYSCALL: #DB behind it, in ring 3", flags_syscall, RFLAGS_TF, FAULT(VECTOR_DB),
     BEHIND},
    {"TF, then INT 0x80: #DB behind it, in ring 3", flags_int80, RFLAGS_TF, FAULT(VECTOR_DB),
     BEHIND},
    TRY_IF("TF, then SYSENTER: #DB in ring 0, TF is lost", flags_sysenter, RFLAGS_TF, PASSES, 0,
           RS_FEATURE_AMD),
    TRY("TF, then a call gate: #DB in ring 0, TF is lost", flags_callgate, RFLAGS_TF, PASSES),
    TRY("TF, then UD2: #UD", flags_ud, RFLAGS_TF, FAULT(VECTOR_UD)),
    TRY("TF, then INT3: #BP", flags_int3, RFLAGS_TF, FAULT(VECTOR_BP)),
    {"TF and NT, then SYSCALL", flags_syscall, RFLAGS_TF | RFLAGS_NT, FAULT(VECTOR_DB), BEHIND},
    {"TF and NT, then INT 0x80", flags_int80, RFLAGS_TF | RFLAGS_NT, FAULT(VECTOR_DB), BEHIND},
    TRY_IF("NT, then SYSENTER", flags_sysenter, RFLAGS_NT, PASSES, 0, RS_FEATURE_AMD),
    TRY("NT, then a call gate", flags_callgate, RFLAGS_NT, PASSES),
    TRY("NT, then IRETQ in ring 3: #GP", nt_iretq, 0, GP(0)),
    TRY("RF by IRETQ, then SYSCALL", rf_syscall, 0, PASSES),
};

#define SHADOW(text, attempt, meets, with, without)                                                \
	{                                                                                          \
		.name = text, .act = attempt, meets, .needs = with, .lacks = without,              \
		.state = ROW_STATE(RS_STATE_WATCH), .value = (uint64_t)&watched_ss                 \
	}

static const struct row shadows[] = {
    SHADOW("watched MOV SS, then INT3", shadow_int3, FAULT(VECTOR_BP), 0, 0),
    SHADOW("watched MOV SS, then SYSCALL", shadow_syscall, PASSES, 0, 0),
    SHADOW("watched MOV SS, then INT 0x80", shadow_int80, PASSES, 0, 0),
    SHADOW("watched MOV SS, then SYSENTER", shadow_sysenter, PASSES, 0, RS_FEATURE_AMD),
    SHADOW("watched MOV SS, then SYSCALL, GS base in the kernel", shadow_syscall_gs, PASSES,
           RS_FEATURE_FSGSBASE, 0),
    SHADOW("watched MOV SS, then INT3, GS base in the kernel", shadow_int3_gs, FAULT(VECTOR_BP),
           RS_FEATURE_FSGSBASE, 0),
    SHADOW("watched POP SS in 32-bit code, then INT 0x80", shadow_pop_int80, PASSES, 0, 0),
};

/* ---- Returns that cannot be ------------------------------------------------------------------ */

static const struct place {
	uint64_t rip, cs, ss; /* rip 0: behind the call */
} places[] = {
    {0, RS_SEL_USER_CODE, RS_SEL_USER_DATA},
    {0, RS_SEL_ABSENT_CODE, RS_SEL_USER_DATA},
    {0, 3, RS_SEL_USER_DATA},
    {0, RS_SEL_KERNEL_CODE | 3, RS_SEL_USER_DATA},
    {0, RS_SEL_USER_DATA, RS_SEL_USER_DATA},
    {0, RS_SEL_RING1_CODE | 3, RS_SEL_USER_DATA},
    {0, RS_SEL_BEYOND, RS_SEL_USER_DATA},
    {0, RS_SEL_USER_CODE, RS_SEL_ABSENT_DATA},
    {0, RS_SEL_USER_CODE, RS_SEL_READ_ONLY},
    {0, RS_SEL_USER_CODE, RS_SEL_USER_CODE},
    {0, RS_SEL_USER_CODE, RS_SEL_KERNEL_DATA | 3},
    {0, RS_SEL_USER_CODE, 3},
    {0x800000000000, RS_SEL_USER_CODE, RS_SEL_USER_DATA},
    {0x10000000, RS_SEL_USER_CODE, RS_SEL_USER_DATA},
};

#define RETURN(text, place, ...)                                                                   \
	{                                                                                          \
		.name = text, .act = return_to, .arg = (uint64_t)&places[place],                   \
		.traits = ROW_FATE | ROW_POINTER, __VA_ARGS__                                      \
	}

static const struct row returns[] = {
    RETURN("kernel returns to a rewritten RIP", 0, PASSES),
    RETURN("to CS not present", 1, NP(RS_SEL_ABSENT_CODE & ~3)),
    RETURN("to CS null", 2, GP(0)),
    RETURN("to CS of the kernel, RPL 3", 3, GP(RS_SEL_KERNEL_CODE)),
    RETURN("to CS a data segment", 4, GP(RS_SEL_USER_DATA & ~3)),
    RETURN("to CS of ring 1, RPL 3", 5, GP(RS_SEL_RING1_CODE & ~3)),
    RETURN("to CS beyond the GDT's limit", 6, GP(RS_SEL_BEYOND & ~3)),
    RETURN("to SS not present", 7, SS(RS_SEL_ABSENT_DATA & ~3)),
    RETURN("to SS read-only", 8, GP(RS_SEL_READ_ONLY & ~3)),
    RETURN("to SS a code segment", 9, GP(RS_SEL_USER_CODE & ~3)),
    RETURN("to SS of the kernel, RPL 3", 10, GP(RS_SEL_KERNEL_DATA)),
    RETURN("to SS null", 11, GP(0)),
    RETURN("to RIP at the hole", 12, GP(0)),
    RETURN("to RIP unmapped", 13, PF(PF_U | PF_ID)),
};

/* ---- Numbers and pointers -------------------------------------------------------------------- */

#define HIGH     ((long)0xfffffffe00000000)
#define NOWHERE  0x10000000
#define READONLY ((long)0x400000)

/* Calls, and what each returns. */
static const struct call {
	const char *name;
	long (*by)(long number, ...);
	long number, a, b, c;
	long want; /* 0 from getpid: the pid */
} calls[] = {
    {"INT 0x80: the high half of RAX is no part of it", raw_int80, HIGH | SYS32_getpid, 0, 0, 0, 0},
    {"INT 0x80: the high halves of arguments are none of it", raw_int80, HIGH | SYS32_write,
     HIGH | 1, (long)&watched_ss + HIGH, HIGH, 0},
    {"a length of all ones", raw_syscall, SYS_write, 1, NOWHERE, -1, -EFAULT},
    {"write to standard input", raw_syscall, SYS_write, 0, (long)&watched_ss, 1, -EBADF},
    {"write to a descriptor that is none", raw_syscall, SYS_write, -1, (long)&watched_ss, 1,
     -EBADF},
    {"read from standard output", raw_syscall, SYS_read, 1, (long)&watched_ss, 1, -EBADF},
    {"read of nothing", raw_syscall, SYS_read, 0, (long)&watched_ss, 0, 0},
    {"read into read-only memory", raw_syscall, SYS_read, 0, READONLY, -1, -EFAULT},
    {"wait4 for a child that is none", raw_syscall, SYS_wait4, 1, 0, 0, -ECHILD},
    {"wait4 with options that are none", raw_syscall, SYS_wait4, -1, 0, -1, -EINVAL},
};

/* Bit n: there is a call of that number. */
#define NUMBERS (RS_SYS_BASE + RS_SYS_COUNT + 32)
struct known {
	uint8_t way64[NUMBERS], i386[NUMBERS];
};

static void find_known(struct known *known)
{
	struct rs_syscall call;

	for (long i = 0; raw_syscall(RS_SYS_TABLE, i, (long)&call) == 0; i++) {
		known->way64[call.number] |= call.ways & RS_TABLE_64;
		known->i386[call.number] |= call.ways & RS_TABLE_I386;
	}
}

static void no_numbers(void)
{
	static const uint64_t others[] = {0x7fffffff, 0x80000000, 0xffffffff, (uint64_t)1 << 63,
	                                  UINT64_MAX};
	struct known known = {0};
	uint64_t wrong64 = 0, wrong32 = 0;

	find_known(&known);
	for (long i = 0; i < NUMBERS; i++) {
		if (!known.way64[i])
			wrong64 += raw_syscall(i, -1L, -1L, -1L, -1L) != -ENOSYS;
		if (!known.i386[i])
			wrong32 += raw_int80(i, -1L, -1L, -1L, -1L) != -ENOSYS;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		wrong64 += raw_syscall((long)others[i], -1L, -1L, -1L, -1L) != -ENOSYS;
		wrong32 += raw_int80((long)others[i], -1L, -1L, -1L, -1L) != -ENOSYS;
	}
	wrong64 += raw_syscall(1L << 32 | SYS_getpid) != -ENOSYS;
	gallery_value("SYSCALL: numbers that are not in the kernel's table", 0, wrong64);
	gallery_value("INT 0x80: numbers that are not in the kernel's table", 0, wrong32);
}

/* The high halves do not go through an entry from 32-bit code. */
static uint64_t compat_wrong(void)
{
	uint64_t wrong = 0;

	for (size_t i = 0; i < way_count; i++) {
		if (!way_exists(&ways[i]) || ways[i].unfit & 1 << host ||
		    ways[i].kind != WAY_CALL32)
			continue;
		way_fill(&ways[i]);
		way_in.gpr[RAX] |= (uint64_t)HIGH;
		way_in.gpr[RBX] |= (uint64_t)HIGH;
		if (way_cross(ways[i].code) || way_out.gpr[RAX] != pid())
			wrong |= UINT64_C(1) << i;
	}
	return wrong;
}

static void numbers(void)
{
	static const uint64_t bad[] = {
	    0, RS_KERNEL_TEXT, RS_DIRECT_BASE, 0x7ffffffff000, 0x800000000000, UINT64_MAX};
	uint64_t wrong = 0;

	gallery_group("Numbers and pointers");
	no_numbers();
	for (const struct call *c = calls; c < calls + ARRAY_SIZE(calls); c++)
		gallery_value(c->name,
		              (uint64_t)c->number << 32 >> 32 == SYS32_getpid ? pid()
		                                                              : (uint64_t)c->want,
		              (uint64_t)c->by(c->number, c->a, c->b, c->c, 0L));
	gallery_value("32-bit code: high halves are no part of numbers", 0, compat_wrong());
	for (int i = 0; i < 50; i++) {
		wrong += (uint64_t)raw_int80(SYS32_getpid) != pid();
		wrong += raw_syscall(SYS32_getpid) != -ENOSYS;
	}
	gallery_value("SYSCALL and INT 0x80 in turns, each by its own table", 0, wrong);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wrong += raw_syscall(SYS_write, 1L, (long)bad[i], 8L) != -EFAULT;
		wrong += raw_syscall(SYS_read, 0L, (long)bad[i], 8L) != -EFAULT;
		wrong += raw_syscall(RS_SYS_INFO, (long)bad[i]) != -EFAULT;
	}
	gallery_value("pointers to nowhere, to the kernel, into the hole: EFAULT", 0, wrong);
}

/* ---- The canonical hole ---------------------------------------------------------------------- */

/* To a SYSCALL there: getpid. */
static void call_from(uint64_t address)
{
	__asm__ volatile("jmp *%0" : : "r"(address), "a"(SYS_getpid));
}

static long map_page(uint64_t va)
{
	return raw_syscall(SYS_mmap, (long)va, PAGE_SIZE + 0L,
	                   PROT_READ + PROT_WRITE + PROT_EXEC + 0L,
	                   MAP_PRIVATE + MAP_ANONYMOUS + MAP_FIXED + 0L, -1L, 0L);
}

static void hole(void)
{
	const uint64_t beyond = RS_USER_END - PAGE_SIZE;
	struct outcome got;

	gallery_group("The canonical hole");
	gallery_value("a page just below the hole cannot be had", (uint64_t)-ENOMEM,
	              (uint64_t)map_page(beyond));
	gallery_value("the page below that one can", beyond - PAGE_SIZE,
	              (uint64_t)map_page(beyond - PAGE_SIZE));
	*(volatile uint16_t *)(beyond - 2) = 0x050f;
	got = try(call_from, beyond - 2);
	gallery_row("SYSCALL as the last instruction there can be",
	            (struct outcome){VECTOR_PF, PF_U | PF_ID, beyond},
	            try_rax == pid() ? got : outcome_wrong(try_rax));
	raw_syscall(SYS_munmap, (long)(beyond - PAGE_SIZE), PAGE_SIZE + 0L);
}

/* ---- What a user root maps ------------------------------------------------------------------- */

struct root {
	struct rs_range ranges[RS_MAX_RANGES];
	long count;
};

/* 0: it maps just this, which is one range less. */
static uint64_t take(struct root *root, uint64_t va, uint64_t len, uint32_t rights)
{
	for (long i = 0; i < root->count; i++) {
		struct rs_range *range = &root->ranges[i];

		if (range->va == va && range->len == len && range->rights == rights) {
			*range = root->ranges[--root->count];
			return 0;
		}
	}
	return va;
}

/* Words, GDT, TSS; the entry stack; the exception stacks. */
static uint64_t take_cpu(struct root *root, uint64_t cpu)
{
	uint64_t missing = take(root, cpu, 3 * PAGE_SIZE, PT_WRITE);

	missing |= take(root, cpu + RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE, RS_ENTRY_STACK_SIZE,
	                PT_WRITE);
	for (uint64_t i = 1; i <= 7; i++)
		missing |= take(root, cpu + RS_IST_TOP(i) - RS_IST_SIZE, RS_IST_SIZE, PT_WRITE);
	return missing;
}

/* Page by page the entry area as it is declared, and nothing else. */
static void user_root(void)
{
	const uint64_t text = (info.entry_text_size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	struct root root;
	uint64_t missing;

	root.count = raw_syscall(RS_SYS_USER_ROOT, (long)root.ranges, (long)RS_MAX_RANGES);
	missing =
	    take(&root, RS_ENTRY_BASE, text, PT_EXEC) | take(&root, RS_ENTRY_IDT, PAGE_SIZE, 0);
	for (uint32_t cpu = 0; cpu < info.cpus; cpu++)
		missing |= take_cpu(&root, RS_ENTRY_CPU(cpu));
	gallery_group("What a user root maps of the kernel half");
	gallery_value("the entry area, as it is declared, for supervisors", 0, missing);
	gallery_value("and nothing else", 0, (uint64_t)root.count);
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
	gallery_row("a switch inside every kind of call", allowed, yield_by_all());
	gallery_value("SS takes the flat 32-bit data segments and no other", 0, other_stacks());
	gallery_row("a switch keeps odd selectors and bases", allowed,
	            yield_with(RS_SEL_READ_ONLY, RS_SEL_USER_CODE, RS_SEL_BASED, 0));
	gallery_row("... conforming code, RPL 0, a based GS", allowed,
	            yield_with(RS_SEL_CONFORMING, RS_SEL_USER_DATA & ~3, 0, RS_SEL_BASED));
	neighbour_end(); /* it has them loaded, too */
	way_fill(&ways[0]);
	way_in.gpr[RAX] = RS_SYS_GALLERY;
	way_in.gpr[RDI] = 0;
	way_in.ds = RS_SEL_READ_ONLY;
	way_in.es = RS_SEL_BASED;
	way_cross(ways[0].code);
	raw_syscall(RS_SYS_GALLERY, 1L);
	set_state(RS_STATE_SILENT, 1);
	neighbour_begin();
	gallery_value("descriptors removed while loaded: null", 0,
	              (uint64_t)(way_out.ds & ~3) | (uint64_t)(way_out.es & ~3));
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static void read_null(uint64_t unused)
{
	(void)unused;
	*(volatile const char *)0;
}

static void frame(const char *name, void (*act)(uint64_t), uint64_t rip)
{
	try(act, 0);
	gallery_value(name, rip, try_fault.rip);
}

/* Of the last fault. */
static uint64_t fault_rf(void)
{
	struct rs_info now;

	raw_syscall(RS_SYS_INFO, (long)&now);
	return now.fault_rflags & RFLAGS_RF;
}

static void faults(void)
{
	struct outcome got;

	gallery_group("Faults and frames");
	recursions = 0;
	raw_syscall(RS_SYS_FAULT_HANDLER, (long)recursive_handler);
	got = try(read_null, 0);
	try_handle();
	gallery_row("a fault handler that faults, 1000 deep", (struct outcome){VECTOR_PF, PF_U, 0},
	            recursions == 1000 ? got : outcome_wrong(recursions));
	frame("int 14: RIP at the instruction", frame_int14, (uint64_t)frame_int14);
	gallery_value("... and RF in the saved flags", RFLAGS_RF, fault_rf());
	frame("int3: RIP behind it", frame_int3, (uint64_t)frame_int3_after);
	gallery_value("... and no RF", 0, fault_rf());
	frame("int3 with a prefix: RIP behind it", frame_rex_int3, (uint64_t)frame_rex_int3_after);
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
		gallery_value(name, info.ram_size, copy.ram_size);
		join(name, sizeof(name), "AC set, SMAP stays on in ring 0: ", ways_in[i]);
		if (!(info.features & RS_FEATURE_SMAP)) {
			gallery_skip(name, "this CPU lacks it");
			continue;
		}
		fault = (struct rs_fault){0};
		call_with_flags(i, RFLAGS_AC, RS_SYS_RING0, RS_RING0_READ_USER, (long)&watched_ss,
		                (long)&fault);
		gallery_row(name, smap, outcome_of_fault(&fault));
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
    {HOST_INTERPRETER, "NT, then a call gate", {VECTOR_UD, 0, 0}, "no call gates there"},
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
    {HOST_TCG, "watched POP SS*", {NOT_TRIED, 0, 0}, WATCH},
    {HOST_TCG, "... and RF in the saved flags", {WRONG, 0, 0}, "RF is saved as it was"},
    {HOST_TCG, "to SS not present", {VECTOR_NP, RS_SEL_ABSENT_DATA & ~3, 0}, "#NP for #SS"},
    {HOST_COUNTER, "to SS not present", {VECTOR_NP, RS_SEL_ABSENT_DATA & ~3, 0}, "#NP for #SS"},
    {0, NULL, {0, 0, 0}, NULL},
};

int hostile_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gallery_begin("hostile", departures);
	stacks();
	flags_and_registers();
	gallery_run("Trap flag, nested task, resume flag", traps, ARRAY_SIZE(traps));
	gallery_run("MOV SS shadows", shadows, ARRAY_SIZE(shadows));
	gallery_run("Faults inside IRETQ", returns, ARRAY_SIZE(returns));
	gallery_value(
	    "CS with RPL 0 is refused", (uint64_t)-EPERM,
	    (uint64_t)raw_syscall(RS_SYS_RETURN, RS_SEL_KERNEL_CODE + 0L, RS_SEL_KERNEL_DATA + 0L));
	numbers();
	hole();
	user_root();
	segments();
	kernel_flags();
	faults();
	return gallery_end();
}
