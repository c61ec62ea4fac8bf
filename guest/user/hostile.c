/*
 * States and sequences that ring 3 can make and the kernel's boundary must survive.  Each row says
 * what must come of it.
 */
#include "guest/errno.h"
#include "guest/user/gallery.h"
#include "guest/user/hostile_calls.h"
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
    frame_rex_int3(uint64_t), frame_rex_int14(uint64_t), flags_int14(uint64_t);
extern const char frame_int3_after[], frame_rex_int3_after[], flags_int3_go_behind[],
    flags_int14_go_behind[];
extern uint64_t recursions;
extern uint16_t watched_ss;

/* ---- All ways at once ------------------------------------------------------------------------ */

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

/* All but what says where to go. */
static void spoil_all(const struct way *way, uint64_t value)
{
	const uint64_t mask = way->kind == WAY_CALL32 ? UINT32_MAX : UINT64_MAX;

	for (int i = RAX; i < R15; i++) {
		if (i == RAX || (way->stack_in_rcx && (i == RCX || i == RDX || i == RSP)))
			continue;
		way_in.gpr[i] = i <= RDI ? value & mask : value;
	}
}

static const struct spoiled {
	const char *name;
	void (*spoil)(const struct way *way, uint64_t value);
	uint64_t value;
} spoiled[] = {
    {"RSP 0", spoil_rsp, 0},
    {"RSP 8", spoil_rsp, 8},
    {"RSP all ones", spoil_rsp, UINT64_MAX},
    {"RSP just below the hole", spoil_rsp, 0x7ffffffffff8},
    {"RSP at the hole", spoil_rsp, 0x800000000000},
    {"RSP just below the kernel half", spoil_rsp, 0xffff7ffffffffff8},
    {"RSP unmapped", spoil_rsp, 0x10000000},
    {"RSP in read-only text", spoil_rsp, 0x400000},
    {"RSP at a page's first byte", spoil_rsp, 0x7ffffffef000},
    {"RSP unaligned", spoil_rsp, 0x7ffffffef001},
    {"RSP in kernel text", spoil_rsp, RS_KERNEL_TEXT},
    {"RSP in the direct map", spoil_rsp, RS_DIRECT_BASE + 0x1000},
    {"RSP one byte below a guard page", spoil_rsp, RS_STACKS_BASE - 1},
    {"RSP in a guard page", spoil_rsp, RS_STACKS_BASE + 0x1ff8},
    {"RSP at the top of the own kernel stack", spoil_rsp, RS_STACKS_BASE + 0x4000},
    {"RSP in the entry words", spoil_rsp, RS_ENTRY_CPU(0) + 0x800},
    {"RSP at the top of the entry stack", spoil_rsp, RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP},
    {"RSP at the #DF stack", spoil_rsp, RS_ENTRY_CPU(0) + RS_IST_TOP(1)},
    {"RSP at the NMI stack", spoil_rsp, RS_ENTRY_CPU(0) + RS_IST_TOP(2)},
    {"RSP at the #DB stack", spoil_rsp, RS_ENTRY_CPU(0) + RS_IST_TOP(3)},
    {"NT set", spoil_flags, RFLAGS_NT},
    {"all registers -1", spoil_all, UINT64_MAX},
    {"all registers 0", spoil_all, 0},
    {"all registers in the hole", spoil_all, 0x800000000000},
    {"FS and GS base 0", spoil_bases, 0},
    {"FS and GS base the kernel's own GS base", spoil_bases, RS_ENTRY_CPU(0)},
    {"FS and GS base another CPU's", spoil_bases, RS_ENTRY_CPU(1)},
    {"FS and GS base in kernel text", spoil_bases, RS_KERNEL_TEXT},
    {"FS and GS base all ones", spoil_bases, UINT64_MAX},
};

/* Every way in; a bit for each that failed. */
static uint64_t go_all(const struct spoiled *s)
{
	uint64_t failed = 0;

	for (size_t i = 0; i < way_count; i++) {
		struct outcome got;

		if (!way_is_fit(&ways[i], WAY_CALLS | 1 << WAY_FAULT))
			continue;
		way_fill(&ways[i]);
		s->spoil(&ways[i], s->value);
		got = way_go(&ways[i]);
		if (got.vector != ways[i].want.vector || got.error != ways[i].want.error)
			failed |= UINT64_C(1) << i;
	}
	return failed;
}

static void go_spoiled(void)
{
	gallery_group("Odd stacks, flags, registers, every way in");
	for (const struct spoiled *s = spoiled; s < spoiled + ARRAY_SIZE(spoiled); s++) {
		if (s->spoil == spoil_bases && !way_has_bases())
			gallery_skip(s->name, "ring 3 cannot set bases here");
		else
			gallery_value(s->name, 0, go_all(s));
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
    TRY_IF("TF, then SYSENTER on AMD: #UD", flags_sysenter, RFLAGS_TF, FAULT(VECTOR_UD),
           RS_FEATURE_AMD, 0),
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

#define AT_HOLE 12

static struct place {
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
    [AT_HOLE] = {0x800000000000, RS_SEL_USER_CODE, RS_SEL_USER_DATA},
    {0x10000000, RS_SEL_USER_CODE, RS_SEL_USER_DATA},
    {0, RS_SEL_LDT, RS_SEL_USER_DATA},
    {0, RS_SEL_TSS | 3, RS_SEL_USER_DATA},
    {0, RS_SEL_GATE, RS_SEL_USER_DATA},
    {0, RS_SEL_EXECUTE_ONLY, RS_SEL_USER_DATA},
    {0, RS_SEL_CONFORMING | 3, RS_SEL_USER_DATA},
    {0, RS_SEL_USER_CODE, RS_SEL_LDT},
    {0, RS_SEL_USER_CODE, RS_SEL_TSS | 3},
    {0, RS_SEL_USER_CODE, RS_SEL_BEYOND},
    {0, RS_SEL_USER_CODE, 0},
    {0, RS_SEL_USER_CODE, RS_SEL_USER_DATA & ~3},
    {0, RS_SEL_USER_CODE, RS_SEL_BASED},
    {0, RS_SEL_USER_CODE, RS_SEL_EXECUTE_ONLY},
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
    RETURN("to RIP at the hole", AT_HOLE, GP(0)),
    RETURN("to RIP unmapped", 13, PF(PF_U | PF_ID)),
    RETURN("to CS an LDT selector, null LDT", 14, GP(RS_SEL_LDT & ~3)),
    RETURN("to CS the TSS", 15, GP(RS_SEL_TSS)),
    RETURN("to CS a call gate", 16, GP(RS_SEL_GATE & ~3)),
    RETURN("to CS execute-only", 17, PASSES),
    RETURN("to CS conforming, of ring 0", 18, PASSES),
    RETURN("to SS an LDT selector, null LDT", 19, GP(RS_SEL_LDT & ~3)),
    RETURN("to SS the TSS", 20, GP(RS_SEL_TSS)),
    RETURN("to SS beyond the GDT's limit", 21, GP(RS_SEL_BEYOND & ~3)),
    RETURN("to SS null, RPL 0", 22, GP(0)),
    RETURN("to SS with RPL 0", 23, GP(RS_SEL_USER_DATA & ~3)),
    RETURN("to SS with a base, which is ignored", 24, PASSES),
    RETURN("to SS execute-only code", 25, GP(RS_SEL_EXECUTE_ONLY & ~3)),
};

/* ---- What a user root maps ------------------------------------------------------------------- */

/* What lies at an offset in each CPU's part: words, GDT, TSS; entry stack; exception stacks. */
static const struct rs_range cpu_ranges[] = {
#define STACK(top, size)                                                                           \
	{                                                                                          \
		(top) - (size), size, PT_WRITE                                                     \
	}
    {0, 3 * PAGE_SIZE, PT_WRITE},      STACK(RS_ENTRY_STACK_TOP, RS_ENTRY_STACK_SIZE),
    STACK(RS_IST_TOP(1), RS_IST_SIZE), STACK(RS_IST_TOP(2), RS_IST_SIZE),
    STACK(RS_IST_TOP(3), RS_IST_SIZE), STACK(RS_IST_TOP(4), RS_IST_SIZE),
    STACK(RS_IST_TOP(5), RS_IST_SIZE), STACK(RS_IST_TOP(6), RS_IST_SIZE),
    STACK(RS_IST_TOP(7), RS_IST_SIZE),
};

/* Page by page the entry area as it is declared, and nothing else. */
static void user_root(void)
{
	const struct rs_range common[] = {
	    {RS_ENTRY_BASE, (info.entry_text_size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1),
	     PT_EXEC},
	    {RS_ENTRY_IDT, PAGE_SIZE, 0},
	};
	struct rs_range ranges[RS_MAX_RANGES];
	const uint64_t count =
	    (uint64_t)raw_syscall(RS_SYS_USER_ROOT, (long)ranges, (long)RS_MAX_RANGES);
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t n = i - ARRAY_SIZE(common), cpu = n / ARRAY_SIZE(cpu_ranges);
		struct rs_range want =
		    i < ARRAY_SIZE(common) ? common[i] : cpu_ranges[n % ARRAY_SIZE(cpu_ranges)];

		if (i >= ARRAY_SIZE(common))
			want.va += RS_ENTRY_CPU(cpu);
		wrong += ranges[i].va != want.va || ranges[i].len != want.len ||
		         ranges[i].rights != want.rights;
	}
	gallery_group("What a user root maps of the kernel half");
	gallery_value("the entry area, as declared, for supervisors", 0, wrong);
	gallery_value("nothing else", ARRAY_SIZE(common) + ARRAY_SIZE(cpu_ranges) * info.cpus,
	              count);
}

/* ---- Segments -------------------------------------------------------------------------------- */

static void load_ss(uint64_t selector)
{
	__asm__ volatile("mov %0, %%ss\n mov %1, %%ss" : : "r"(selector), "r"(RS_SEL_USER_DATA));
}

/* A 16-bit stack segment would let IRETQ leak half of the kernel's RSP: there is none to load. */
static uint64_t other_stacks(uint64_t unused)
{
	uint64_t others = 0;

	(void)unused;
	for (uint64_t selector = 3; selector < RS_GDT_ENTRIES * 8; selector += 4) {
		const bool good = selector == RS_SEL_USER_DATA || selector == RS_SEL_USER_DATA2 ||
		                  selector == RS_SEL_BASED;

		others += (try(load_ss, selector).vector == ALLOWED) != good;
	}
	return others;
}

/* Another process runs, and comes back.  DS, ES, FS, GS, 16 bits each. */
static uint64_t yield_with(uint64_t selectors)
{
	way_fill(&ways[0]);
	way_in.gpr[RAX] = SYS_sched_yield;
	__builtin_memcpy(&way_in.ds, &selectors, sizeof(selectors));
	way_cross(ways[0].code);
	return way_differences(ways[0].changed);
}

/* The neighbour runs inside each kind of call: those that leave fast must leave slowly. */
static uint64_t yield_by_all(uint64_t unused)
{
	uint64_t failed = 0;

	(void)unused;
	for (size_t i = 0; i < way_count; i++) {
		const struct way *way = &ways[i];

		if (!way_is_fit(way, WAY_CALLS))
			continue;
		way_fill(way);
		/* SYSENTER's has a bit of its own beside the number. */
		way_in.gpr[RAX] ^= way->number;
		way_in.gpr[RAX] |= way->number == SYS_getpid ? SYS_sched_yield : 158;
		if (way_cross(way->code) || way_out.gpr[RAX] || way_differences(way->changed))
			failed |= UINT64_C(1) << i;
	}
	return failed;
}

#define SELECTORS(ds, es, fs, gs) ((ds) | (es) << 16 | (uint64_t)(fs) << 32 | (uint64_t)(gs) << 48)

static const struct gallery_values segment_rows[] = {
    {"a switch inside every kind of call", yield_by_all, 0, 0},
    {"SS takes the flat 32-bit data segments and no other", other_stacks, 0, 0},
    {"a switch keeps odd selectors and bases", yield_with,
     SELECTORS(RS_SEL_READ_ONLY, RS_SEL_USER_CODE, RS_SEL_BASED, 0), 0},
    {"a switch keeps conforming code, RPL 0, a based GS", yield_with,
     SELECTORS(RS_SEL_CONFORMING, RS_SEL_USER_DATA & ~3, 0, RS_SEL_BASED), 0},
};

static void segments(void)
{
	gallery_values("Switches and segments", segment_rows, ARRAY_SIZE(segment_rows));
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

/* Where RIP must be in the frame of a fault (at the instruction) or a trap (behind it). */
static const struct frame {
	const char *rip_row, *rf_row;
	void (*act)(uint64_t flags);
	uint64_t flags;
	uint64_t rip, rf; /* as saved */
} frames[] = {
#define FAULT_FRAME(text, attempt, flags, at)                                                      \
	{                                                                                          \
		text ": RIP at it", text ": RF is saved as 1", attempt, flags, (uint64_t)(at),     \
		    RFLAGS_RF                                                                      \
	}
#define TRAP_FRAME(text, attempt, flags, behind)                                                   \
	{                                                                                          \
		text ": RIP behind it", text ": RF is saved as 0", attempt, flags,                 \
		    (uint64_t)(behind), 0                                                          \
	}
    FAULT_FRAME("int 14", frame_int14, 0, frame_int14),
    FAULT_FRAME("int 14 with a prefix", frame_rex_int14, 0, frame_rex_int14),
    FAULT_FRAME("int 14 with TF", flags_int14, RFLAGS_TF, flags_int14_go_behind - 2),
    TRAP_FRAME("int3", frame_int3, 0, frame_int3_after),
    TRAP_FRAME("int3 with a prefix", frame_rex_int3, 0, frame_rex_int3_after),
    TRAP_FRAME("int3 with TF", flags_int3, RFLAGS_TF, flags_int3_go_behind),
};

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
	for (const struct frame *f = frames; f < frames + ARRAY_SIZE(frames); f++) {
		try(f->act, f->flags);
		gallery_value(f->rip_row, f->rip, try_fault.rip);
		gallery_value(f->rf_row, f->rf, fault_rf());
	}
}

/* ---- Flags that the kernel must not work with ------------------------------------------------ */

/* A call of three arguments with every flag set, by SYSCALL (0) or INT 0x80 (1). */
static void call_with_flags(int way, long number, uint64_t a, const void *b, const void *c)
{
	way_fill(&ways[way]);
	way_in.gpr[RAX] = (uint64_t)number;
	way_in.gpr[RDI] = way_in.gpr[RBX] = a;
	way_in.gpr[RSI] = way_in.gpr[RCX] = (uint64_t)b;
	way_in.gpr[RDX] = (uint64_t)c;
	way_cross(ways[way].code);
}

static void kernel_flags(void)
{
	static struct rs_fault fault;
	static struct rs_info copy;
	const struct outcome smap = {VECTOR_PF, PF_P, (uint64_t)&watched_ss};
	char name[64];

	gallery_group("Flags that the kernel must not keep");
	for (int i = 0; i < 2; i++) {
		join(name, sizeof(name), "DF set, the kernel copies: ", ways[i].name);
		copy.ram_size = 0;
		call_with_flags(i, RS_SYS_INFO, (uint64_t)&copy, NULL, NULL);
		gallery_value(name, info.ram_size, copy.ram_size);
		join(name, sizeof(name), "AC set, SMAP stays on in ring 0: ", ways[i].name);
		if (!(info.features & RS_FEATURE_SMAP)) {
			gallery_skip(name, "this CPU lacks it");
			continue;
		}
		call_with_flags(i, RS_SYS_RING0, RS_RING0_READ_USER, &watched_ss, &fault);
		gallery_row(name, smap, outcome_of_fault(&fault));
		fault.vector = 0;
	}
}

/* ---- Departures ------------------------------------------------------------------------------ */

#define HOST_GDT "ring 3 loads from the host's GDT first"
#define NO_CHECK "IRETQ takes it"
#define SAVED_RF "RF is saved as it was"
#define WATCH    "the #DB comes before the next instruction, and some runs crash the emulator"

static const struct departure departures[] = {
    {HOST_INTERPRETER, "NT set", {WRONG, 0, 0x13}, "IRETQ drops NT: SYSCALL, INT 0x80 lose it"},
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
    {HOST_INTERPRETER, "to SS execute-only code", {ALLOWED, 0, 0}, NO_CHECK},
    {HOST_INTERPRETER, "to CS a call gate", {VECTOR_GP, 0, 0}, "the error code names no selector"},
    {HOST_INTERPRETER,
     "to CS conforming, of ring 0",
     {VECTOR_GP, RS_SEL_CONFORMING, 0},
     "IRETQ wants its DPL to be 3"},
    {HOST_INTERPRETER, "SS takes the flat*", {WRONG, 0, 1}, HOST_GDT},
    {HOST_TCG,
     "RF by IRETQ, then SYSCALL",
     {VECTOR_PF, PF_P, 0},
     "IRET reads the stack as a supervisor, which SMAP stops"},
    {HOST_TCG, "watched MOV SS*", {NOT_TRIED, 0, 0}, WATCH},
    {HOST_TCG, "watched POP SS*", {NOT_TRIED, 0, 0}, WATCH},
    {HOST_TCG, "int 14: RF is*", {WRONG, 0, 0}, SAVED_RF},
    {HOST_TCG, "int 14 with a prefix: RF is*", {WRONG, 0, 0}, SAVED_RF},
    {HOST_TCG, "int 14 with TF: RF is*", {WRONG, 0, 0}, SAVED_RF},
    {HOST_TCG, "to SS not present", {VECTOR_NP, RS_SEL_ABSENT_DATA & ~3, 0}, "#NP for #SS"},
    {HOST_COUNTER, "to SS not present", {VECTOR_NP, RS_SEL_ABSENT_DATA & ~3, 0}, "#NP for #SS"},
    {0, NULL, {0, 0, 0}, NULL},
};

static void all(void)
{
	go_spoiled();
	gallery_run("Trap flag, nested task, resume flag", traps, ARRAY_SIZE(traps));
	gallery_run("MOV SS shadows", shadows, ARRAY_SIZE(shadows));
	if (info.levels == 5)
		places[AT_HOLE].rip = UINT64_C(1) << 56;
	gallery_run("Faults inside IRETQ", returns, ARRAY_SIZE(returns));
	gallery_value(
	    "CS with RPL 0 is refused", (uint64_t)-EPERM,
	    (uint64_t)raw_syscall(RS_SYS_RETURN, RS_SEL_KERNEL_CODE + 0L, RS_SEL_KERNEL_DATA + 0L));
	hostile_numbers();
	hostile_hole();
	user_root();
	segments();
	kernel_flags();
	faults();
}

int hostile_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gallery_begin("hostile", departures);
	gallery_in_each_mode(all);
	return gallery_end();
}
