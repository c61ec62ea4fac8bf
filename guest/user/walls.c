/*
 * The escape gallery: every wall of the boundary, tried.  A row is an attempt and the answer that
 * the manuals promise (SDM volume 3, chapters 4 to 6; APM volume 2, chapters 4, 5, 8).
 */
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "guest/user/walls_attempts.h"
#include "shared/x86.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Addresses ------------------------------------------------------------------------------- */

static struct {
	char bytes[PAGE_SIZE];
} page __attribute__((aligned(PAGE_SIZE)));
static const char constant[16] = "read only";

#define DATA   ((uint64_t)&page) /* this program's own */
#define RODATA ((uint64_t)constant)
#define STACKS (RS_STACKS_BASE + 0x3000) /* the first kernel stack */

/* Where nothing is mapped in any root; not canonical, with five levels either. */
#define NOWHERE      0x10000000
#define NONCANONICAL (UINT64_C(1) << 62)

/* Bits of a page-table entry: above every address width but the largest; protection key 1. */
#define RESERVED_BIT (UINT64_C(1) << 51)
#define KEY_1        (UINT64_C(1) << 59)

/* ---- The table ------------------------------------------------------------------------------- */

/* The kernel half: KPTI hides it. */
#define TRY_HIDDEN(text, attempt, what, meets)                                                     \
	{                                                                                          \
		.name = text, .act = attempt, .arg = what, meets, .traits = ROW_HIDDEN             \
	}
#define TRY_PORT(text, attempt, port, meets)                                                       \
	{                                                                                          \
		.name = text, .act = attempt, .arg = port, meets, .state = ROW_STATE_MARK_PORT,    \
		.value = 1                                                                         \
	}
/* Last in their tables: these bring their own commas. */
#define PLAIN_ROW(function, text, insn) TRY(text, function, DATA, GP(0)),
#define UMIP_ROW(function, text, insn)                                                             \
	TRY_IF(text ", CR4.UMIP", function, DATA, GP(0), RS_FEATURE_UMIP, 0),

static const struct row privileged[] = {
    TRY("xsetbv, CR4.OSXSAVE clear", try_xsetbv, 0, FAULT(VECTOR_UD)),
    TRY_IF("invpcid", try_invpcid, DATA, GP(0), RS_FEATURE_INVPCID, 0),
    TRY_IF("sysexit", try_sysexit, 0, GP(0), 0, RS_FEATURE_AMD),
    TRY_IF("sysexit on AMD", try_sysexit, 0, FAULT(VECTOR_UD), RS_FEATURE_AMD, 0),
    PRIVILEGED(PLAIN_ROW)};

static const struct row ports[] = {
    TRY("popf that changes IF", pop_flags, RFLAGS_IF, PASSES),
    TRY("popf that changes IOPL", pop_flags, RFLAGS_IOPL, PASSES),
    TRY("out to the open port, bitmap beyond the limit", out_mark, RS_PORT_MARK, GP(0)),
    TRY_PORT("out to a port that the bitmap opens", out_mark, RS_PORT_MARK, PASSES),
    TRY_PORT("out to its neighbour, bit set", out_mark, RS_PORT_MARK + 1, GP(0)),
    TRY_PORT("two bytes, the second bit set", out_mark16, RS_PORT_MARK, GP(0)),
    TRY_PORT("out to a port beyond the bitmap", out_mark, 0xffff, GP(0)),
    PORTS(PLAIN_ROW)};

static const struct row control[] = {
    TRY_WITH("rdtsc, CR4.TSD", try_rdtsc, 0, GP(0), RS_STATE_TSD, 1, 0), UMIP(UMIP_ROW)};

static const struct row paging[] = {
    TRY("U/S: read entry text", read_at, RS_ENTRY_BASE + 64, PF(PF_U | PF_P)),
    TRY("U/S: write entry text", write_at, RS_ENTRY_BASE + 64, PF(PF_U | PF_W | PF_P)),
    TRY("U/S: fetch entry text", call_at, RS_ENTRY_BASE + 64, PF(PF_U | PF_ID | PF_P)),
    TRY("U/S: jump to LSTAR", call_at, RS_ENTRY_BASE, PF(PF_U | PF_ID | PF_P)),
    TRY("U/S: read the IDT", read_at, RS_ENTRY_IDT, PF(PF_U | PF_P)),
    TRY("U/S: write the GDT", write_at, RS_ENTRY_CPU_BASE + RS_ENTRY_GDT, PF(PF_U | PF_W | PF_P)),
    TRY("U/S: write the TSS", write_at, RS_ENTRY_CPU_BASE + RS_ENTRY_TSS, PF(PF_U | PF_W | PF_P)),
    TRY_HIDDEN("KPTI: read kernel text", read_at, RS_KERNEL_TEXT, PF(PF_U | PF_P)),
    TRY_HIDDEN("KPTI: write kernel text", write_at, RS_KERNEL_TEXT, PF(PF_U | PF_W | PF_P)),
    TRY_HIDDEN("KPTI: fetch kernel text", call_at, RS_KERNEL_TEXT, PF(PF_U | PF_ID | PF_P)),
    TRY_HIDDEN("KPTI: read the direct map", read_at, RS_DIRECT_BASE, PF(PF_U | PF_P)),
    TRY_HIDDEN("KPTI: write the direct map", write_at, RS_DIRECT_BASE, PF(PF_U | PF_W | PF_P)),
    TRY_HIDDEN("KPTI: read a kernel stack", read_at, STACKS, PF(PF_U | PF_P)),
    TRY_HIDDEN("KPTI: read the boot page", read_at, RS_BOOT_PAGE, PF(PF_U | PF_P)),
    TRY("not mapped: read", read_at, NOWHERE, PF(PF_U)),
    TRY("not mapped: write", write_at, NOWHERE, PF(PF_U | PF_W)),
    TRY("not mapped: fetch", call_at, NOWHERE, PF(PF_U | PF_ID)),
    TRY("not mapped: read address 0", read_at, 0, PF(PF_U)),
    TRY("not mapped: read a kernel stack's guard", read_at, RS_STACKS_BASE, PF(PF_U)),
    TRY("not mapped: read the last page below the hole", read_at, 0x7ffffffff000, PF(PF_U)),
    TRY("R/W: write own read-only data", write_at, RODATA, PF(PF_U | PF_W | PF_P)),
    TRY("R/W: write own text", write_at, 0x400000, PF(PF_U | PF_W | PF_P)),
    TRY_IF("NX: fetch own data", call_at, DATA, PF(PF_U | PF_ID | PF_P), RS_FEATURE_NX, 0),
    TRY_WITH("reserved bit: read", read_at, DATA, PF(PF_U | PF_P | PF_RSVD), RS_STATE_LEAF_BITS,
             RESERVED_BIT, 0),
    TRY_WITH("reserved bit: write", write_at, DATA, PF(PF_U | PF_W | PF_P | PF_RSVD),
             RS_STATE_LEAF_BITS, RESERVED_BIT, 0),
    TRY("canonical: read", read_at, NONCANONICAL, GP(0)),
    TRY("canonical: write", write_at, NONCANONICAL, GP(0)),
    TRY("canonical: push", push_at, NONCANONICAL, FAULT(VECTOR_SS)),
    TRY("canonical: read by RBP, the stack segment", read_by_rbp, NONCANONICAL, FAULT(VECTOR_SS)),
    TRY("canonical: call", call_at, NONCANONICAL, GP(0)),
    TRY("canonical: ret", ret_to, NONCANONICAL, GP(0)),
    TRY("alignment: CR0.AM and RFLAGS.AC", read_unaligned, DATA, FAULT(VECTOR_AC)),
};

static const struct row with_osxsave[] = {TRY("xsetbv", try_xsetbv, 0, GP(0))};

static const struct row keys[] = {
    TRY_WITH("key with AD: read", read_keyed, DATA, PF(PF_U | PF_P | PF_PK), RS_STATE_LEAF_BITS,
             KEY_1, 0),
    TRY_WITH("key with WD: write", write_keyed, DATA, PF(PF_U | PF_W | PF_P | PF_PK),
             RS_STATE_LEAF_BITS, KEY_1, 0),
};

/* SDM 6.13: the error code names the gate. */
#define GATE(function, text, v) TRY(text, function, 0, GP((v)*8 + 2))

static const struct row ways_in[] = {
    GATE(try_int2, "int 2, the NMI's gate", 2),
    GATE(try_int8, "int 8, the #DF's gate", 8),
    GATE(try_int13, "int 13, the #GP's gate", 13),
    GATE(try_int14, "int 14, the #PF's gate", 14),
    GATE(try_int33, "int 0x21, gate DPL 0", 0x21),
    GATE(try_int255, "int 0xff, gate DPL 0", 0xff),
    TRY("int 0x81, gate not present", try_int129, 0, NP(0x81 * 8 + 2)),
    TRY_WITH("int 0x90 beyond the IDT's limit", try_int144, 0, GP(0x90 * 8 + 2), RS_STATE_IDT_LIMIT,
             0x88, 256),
    TRY("int3, gate DPL 3", try_int3, 0, FAULT(VECTOR_BP)),
    TRY("int 3 in two bytes, gate DPL 3", try_cd03, 0, FAULT(VECTOR_BP)),
    TRY_WITH("int3, gate DPL 0", try_int3, 0, GP(VECTOR_BP * 8 + 2), RS_STATE_BP_DPL, 0, 3),
    TRY_WITH("int 0x80, gate DPL 0", try_int80, 0, GP(0x80 * 8 + 2), RS_STATE_INT80_DPL, 0, 3),
    TRY("int 4, gate DPL 3", try_int4, 0, FAULT(VECTOR_OF)),
    TRY("int 0x82, a trap gate, DPL 3", try_int130, 0, FAULT(RS_VECTOR_TRAP)),
    TRY("int1 (icebp), which asks for no DPL", try_icebp, 0, FAULT(VECTOR_DB)),
    /* EXT, and no selector (SDM volume 2, INT n): the #DB was delivered because of no INT n. */
    TRY_WITH("#DB, its IST no address", pop_flags, RFLAGS_TF, SS(1), RS_STATE_BAD_IST, 1, 0),
    TRY("into in 64-bit code", try_into, 0, FAULT(VECTOR_UD)),
    TRY("ud2", try_ud2, 0, FAULT(VECTOR_UD)),
    TRY_WITH("syscall, EFER.SCE clear", try_syscall, 0, FAULT(VECTOR_UD), RS_STATE_SCE, 0, 1),
    {.name = "sysenter, SYSENTER_CS 0",
     .act = try_sysenter,
     GP(0),
     .lacks = RS_FEATURE_AMD,
     .state = ROW_STATE(RS_STATE_SYSENTER_CS),
     .after = 1},
    TRY_IF("sysenter on AMD", try_sysenter, 0, FAULT(VECTOR_UD), RS_FEATURE_AMD, 0),
    TRY("far call, gate DPL 3", far_call, RS_SEL_GATE, PASSES),
    TRY("far call, gate DPL 0", far_call, RS_SEL_GATE_DPL0, GP(RS_SEL_GATE_DPL0 & ~3)),
    TRY("far call, gate not present", far_call, RS_SEL_GATE_ABSENT, NP(RS_SEL_GATE_ABSENT & ~3)),
    TRY("far jump through the gate to ring 0", far_jump, RS_SEL_GATE, GP(RS_SEL_KERNEL_CODE)),
    TRY("far call to the kernel's CS", far_call, RS_SEL_KERNEL_CODE, GP(RS_SEL_KERNEL_CODE)),
    TRY("far jump to the kernel's CS", far_jump, RS_SEL_KERNEL_CODE, GP(RS_SEL_KERNEL_CODE)),
    TRY("far jump to conforming ring 0 code: CPL stays 3", jump_conforming, 0, PASSES),
    TRY("hlt in conforming ring 0 code", jump_conforming, 1, GP(0)),
    TRY("far jump to a TSS", far_jump, RS_SEL_TSS, GP(RS_SEL_TSS)),
    TRY("far call to a TSS", far_call, RS_SEL_TSS, GP(RS_SEL_TSS)),
    TRY("far jump through a task gate", far_jump, RS_SEL_TASK_GATE, GP(RS_SEL_TASK_GATE & ~3)),
    TRY("far call through a task gate", far_call, RS_SEL_TASK_GATE, GP(RS_SEL_TASK_GATE & ~3)),
    TRY("far jump to ring 1 code", far_jump, RS_SEL_RING1_CODE, GP(RS_SEL_RING1_CODE & ~3)),
    TRY("far jump to code that is not present", far_jump, RS_SEL_ABSENT_CODE,
        NP(RS_SEL_ABSENT_CODE & ~3)),
    TRY("far jump to a data segment", far_jump, RS_SEL_USER_DATA, GP(RS_SEL_USER_DATA & ~3)),
    TRY("far jump to null", far_jump, 0, GP(0)),
};

static const struct row ways_out[] = {
    TRY("iretq to the own CS", iret_to, RS_SEL_USER_CODE, PASSES),
    TRY("iretq to CS with RPL 0", iret_to, RS_SEL_KERNEL_CODE, GP(RS_SEL_KERNEL_CODE)),
    TRY("iretq to a null CS", iret_to, 0, GP(0)),
    TRY("iretq to ring 1", iret_to, RS_SEL_RING1_CODE, GP(RS_SEL_RING1_CODE & ~3)),
    TRY("far ret to the own CS", far_return_to, RS_SEL_USER_CODE, PASSES),
    TRY("far ret to CS with RPL 0", far_return_to, RS_SEL_KERNEL_CODE, GP(RS_SEL_KERNEL_CODE)),
    TRY("far ret to a null CS", far_return_to, 0, GP(0)),
};

/* selector, name, what DS meets, what SS meets */
#define SELECTORS(X)                                                                               \
	X(RS_SEL_KERNEL_DATA, "kernel data, RPL 0", GP(0x10), GP(0x10))                            \
	X(RS_SEL_KERNEL_DATA | 3, "kernel data, RPL 3", GP(0x10), GP(0x10))                        \
	X(RS_SEL_USER_DATA & ~3, "user data, RPL 0", PASSES, GP(0x20))                             \
	X(RS_SEL_USER_DATA, "user data, RPL 3", PASSES, PASSES)                                    \
	X(0, "null, RPL 0", PASSES, GP(0))                                                         \
	X(3, "null, RPL 3", PASSES, GP(0))                                                         \
	X(RS_SEL_BEYOND, "beyond the GDT's limit", GP(0x100), GP(0x100))                           \
	X(RS_SEL_LDT, "LDT selector, null LDT", GP(0x4), GP(0x4))                                  \
	X(RS_SEL_ABSENT_DATA, "user data, not present", NP(0x50), SS(0x50))                        \
	X(RS_SEL_USER_CODE, "readable user code", PASSES, GP(0x28))                                \
	X(RS_SEL_KERNEL_CODE, "readable kernel code", GP(0x8), GP(0x8))                            \
	X(RS_SEL_CONFORMING, "conforming ring 0 code", PASSES, GP(0x58))                           \
	X(RS_SEL_EXECUTE_ONLY, "execute-only user code", GP(0x60), GP(0x60))                       \
	X(RS_SEL_READ_ONLY, "read-only user data", PASSES, GP(0x68))                               \
	X(RS_SEL_RING1_DATA, "ring 1 data, RPL 1", GP(0x78), GP(0x78))                             \
	X(RS_SEL_TSS, "TSS descriptor", GP(0x40), GP(0x40))                                        \
	X(RS_SEL_GATE, "call gate", GP(0x90), GP(0x90))                                            \
	X(RS_SEL_TASK_GATE, "task gate", GP(0xd0), GP(0xd0))

/* ES, FS and GS have DS's rules. */
#define SELECTOR_ROWS(selector, text, ds, ss)                                                      \
	TRY("ds: " text, load_ds, selector, ds), TRY("es: " text, load_es, selector, ds),          \
	    TRY("fs: " text, load_fs, selector, ds), TRY("gs: " text, load_gs, selector, ds),      \
	    TRY("ss: " text, load_ss, selector, ss),

static const struct row segments[] = {
    TRY("mov to cs", try_mov_cs, 0, FAULT(VECTOR_UD)),
    TRY("push es in 64-bit code", try_push_es, 0, FAULT(VECTOR_UD)), SELECTORS(SELECTOR_ROWS)};

/* ---- Ring 0's own walls ---------------------------------------------------------------------- */

static const struct ring0_wall {
	const char *name;
	uint32_t kind;
	uint64_t address; /* that ring 3 chooses */
	uint16_t vector;
	uint32_t error;
	uint64_t cr2; /* where the kernel chose the address; 1: its own business */
	uint64_t needs;
	bool pti; /* the wall stands under KPTI only */
} ring0[] = {
    {"SMEP: fetch a user page", RS_RING0_FETCH_USER, DATA, VECTOR_PF, PF_P | PF_ID, 0,
     RS_FEATURE_SMEP, false},
    {"KPTI: fetch a user page", RS_RING0_FETCH_USER, DATA, VECTOR_PF, PF_P | PF_ID, 0,
     RS_FEATURE_NX, true},
    {"SMAP: read a user page, AC clear", RS_RING0_READ_USER, DATA, VECTOR_PF, PF_P, 0,
     RS_FEATURE_SMAP, false},
    {"SMAP: write a user page, AC clear", RS_RING0_WRITE_USER, DATA, VECTOR_PF, PF_P | PF_W, 0,
     RS_FEATURE_SMAP, false},
    {"WP: write a user's read-only page", RS_RING0_WRITE_USER, RODATA, VECTOR_PF, PF_P | PF_W, 0, 0,
     false},
    {"WP: write kernel text", RS_RING0_WRITE_TEXT, 0, VECTOR_PF, PF_P | PF_W, 1, 0, false},
    {"WP clear: write kernel text", RS_RING0_WRITE_TEXT_NO_WP, 0, ALLOWED, 0, 0, 0, false},
    {"NX: fetch kernel data", RS_RING0_FETCH_DATA, 0, VECTOR_PF, PF_P | PF_ID, 1, RS_FEATURE_NX,
     false},
    {"not mapped: read", RS_RING0_READ_NOTHING, 0, VECTOR_PF, 0, RS_STACKS_BASE, 0, false},
    {"not mapped: write", RS_RING0_WRITE_NOTHING, 0, VECTOR_PF, PF_W, RS_STACKS_BASE, 0, false},
    {"not mapped: fetch", RS_RING0_FETCH_NOTHING, 0, VECTOR_PF, PF_ID, RS_STACKS_BASE,
     RS_FEATURE_NX, false},
    {"not mapped: read a user address", RS_RING0_READ_USER, NOWHERE, VECTOR_PF, 0, 0, 0, false},
    {"canonical: read", RS_RING0_READ_NONCANONICAL, 0, VECTOR_GP, 0, 0, 0, false},
    {"canonical: read by RBP, the stack segment", RS_RING0_STACK_NONCANONICAL, 0, VECTOR_SS, 0, 0,
     0, false},
    {"canonical: jump", RS_RING0_JUMP_NONCANONICAL, 0, VECTOR_GP, 0, 0, 0, false},
    {"canonical: wrmsr LSTAR", RS_RING0_LSTAR_NONCANONICAL, 0, VECTOR_GP, 0, 0, 0, false},
    {"a reserved bit into CR4", RS_RING0_CR4_RESERVED, 0, VECTOR_GP, 0, 0, 0, false},
    {"CR0.PG without PE", RS_RING0_CR0_PG_WITHOUT_PE, 0, VECTOR_GP, 0, 0, 0, false},
    {"ltr of the busy TSS", RS_RING0_LTR_BUSY, 0, VECTOR_GP, RS_SEL_TSS, 0, 0, false},
    {"ss: user data, RPL 3", RS_RING0_SS_RPL3, 0, VECTOR_GP, RS_SEL_USER_DATA & ~3, 0, 0, false},
    {"division by zero", RS_RING0_DIVIDE, 0, VECTOR_DE, 0, 0, 0, false},
    {"ud2", RS_RING0_UNDEFINED, 0, VECTOR_UD, 0, 0, 0, false},
    {"canonical: sysret on Intel, still in ring 0", RS_RING0_SYSRET, 0, VECTOR_GP, 0, 0,
     RS_FEATURE_INTEL, false},
    {"canonical: sysexit on Intel, still in ring 0", RS_RING0_SYSEXIT, 0, VECTOR_GP, 0, 0,
     RS_FEATURE_INTEL, false},
};

static struct outcome ask_ring0(const struct ring0_wall *wall, uint64_t address)
{
	struct rs_fault fault = {0};
	long result = raw_syscall(RS_SYS_RING0, (long)wall->kind, (long)address, (long)&fault);

	if (result == 0)
		return (struct outcome){.vector = ALLOWED};
	if (result < 0)
		return outcome_wrong((uint64_t)-result);
	return outcome_of_fault(&fault);
}

static void run_ring0(void)
{
	gallery_group("Walls in ring 0");
	for (size_t i = 0; i < ARRAY_SIZE(ring0); i++) {
		const struct ring0_wall *wall = &ring0[i];
		struct outcome want = {wall->vector, wall->error,
		                       wall->cr2 ? wall->cr2 : wall->address};
		struct outcome got;

		if ((info.features & wall->needs) != wall->needs) {
			gallery_skip(wall->name, "this CPU lacks it");
			continue;
		}
		if (wall->pti && gallery_mode == RS_PTI_OFF) {
			gallery_skip(wall->name, "KPTI is off");
			continue;
		}
		if (gallery_harmful(wall->name, want))
			continue;
		got = ask_ring0(wall, wall->address);
		if (wall->cr2 == 1)
			want.detail = got.detail; /* the kernel's own business */
		gallery_row(wall->name, want, got);
	}
}

/* ---- Departures ------------------------------------------------------------------------------ */

/* Why: one sentence a cause. */
#define NATIVE         "ring 3 runs natively, on the host's own control registers"
#define HOST_GDT       "ring 3 loads from the host's GDT first"
#define NO_FAR         "the interpreter knows no far transfer through a system descriptor"
#define AMD_CPL        "this CPU looks at CPL before it looks at the mode"
#define IDT_ERROR      "the error code names the gate by vector * 16"
#define NO_P           "the P bit is missing"
#define NO_SS          "a stack access faults as #GP"
#define SUPERVISOR_POP "IRET and far RET read the stack as a supervisor, which SMAP stops"

static const struct departure departures[] = {
    {HOST_INTERPRETER, "xsetbv, CR4.OSXSAVE clear", {VECTOR_GP, 0, 0}, NATIVE},
    {HOST_INTERPRETER, "sysexit on AMD", {VECTOR_GP, 0, 0}, AMD_CPL},
    {HOST_INTERPRETER, "rdtsc, CR4.TSD", {ALLOWED, 0, 0}, NATIVE},
    {HOST_INTERPRETER, "key with *", {VECTOR_UD, 0, 0}, NATIVE ", and WRPKRU is off there"},
    {HOST_INTERPRETER, "int3, gate DPL 0", {VECTOR_BP, 0, 0}, "INT3 ignores the gate's DPL"},
    {HOST_INTERPRETER, "#DB, its IST no address", {VECTOR_DF, 0, 0}, "it makes a #DF of it"},
    {HOST_INTERPRETER, "syscall, EFER.SCE clear", {ALLOWED, 0, 0}, NATIVE},
    {HOST_INTERPRETER, "far call, gate *", {VECTOR_UD, 0, 0}, NO_FAR},
    {HOST_INTERPRETER, "far jump through the gate to ring 0", {VECTOR_UD, 0, 0}, NO_FAR},
    {HOST_INTERPRETER, "far jump to a TSS", {VECTOR_UD, 0, 0}, NO_FAR},
    {HOST_INTERPRETER, "far call to a TSS", {VECTOR_UD, 0, 0}, NO_FAR},
    {HOST_INTERPRETER, "far jump through a task gate", {VECTOR_UD, 0, 0}, NO_FAR},
    {HOST_INTERPRETER, "far call through a task gate", {VECTOR_UD, 0, 0}, NO_FAR},
    {HOST_INTERPRETER, "ss: readable user code", {ALLOWED, 0, 0}, HOST_GDT},
    {HOST_INTERPRETER, "ds: ring 1 data, RPL 1", {ALLOWED, 0, 0}, HOST_GDT},
    {HOST_INTERPRETER, "es: ring 1 data, RPL 1", {ALLOWED, 0, 0}, HOST_GDT},
    {HOST_INTERPRETER, "fs: ring 1 data, RPL 1", {ALLOWED, 0, 0}, HOST_GDT},
    {HOST_INTERPRETER, "gs: ring 1 data, RPL 1", {ALLOWED, 0, 0}, HOST_GDT},

    {HOST_TCG,
     "xsetbv, CR4.OSXSAVE clear",
     {VECTOR_GP, 0, 0},
     "the intercept comes before the check of CR4.OSXSAVE, and KVM looks at CPL"},
    {HOST_TCG, "sysexit on AMD", {VECTOR_GP, 0, 0}, AMD_CPL},
    {HOST_TCG, "reserved bit: read", {VECTOR_PF, PF_U | PF_RSVD, 0}, NO_P},
    {HOST_TCG, "reserved bit: write", {VECTOR_PF, PF_U | PF_W | PF_RSVD, 0}, NO_P},
    {HOST_TCG, "canonical: push", {VECTOR_GP, 0, 0}, NO_SS},
    {HOST_TCG, "canonical: read by RBP, the stack segment", {VECTOR_GP, 0, 0}, NO_SS},
    {HOST_TCG, "alignment: CR0.AM and RFLAGS.AC", {ALLOWED, 0, 0}, "#AC is never raised"},
    {HOST_TCG, "int 2, the NMI's gate", {VECTOR_GP, 2 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 8, the #DF's gate", {VECTOR_GP, 8 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 13, the #GP's gate", {VECTOR_GP, 13 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 14, the #PF's gate", {VECTOR_GP, 14 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 0x21, gate DPL 0", {VECTOR_GP, 0x21 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 0x80, gate DPL 0", {VECTOR_GP, 0x80 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 0xff, gate DPL 0", {VECTOR_GP, 0xff * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 0x81, gate not present", {VECTOR_NP, 0x81 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int 0x90 beyond the IDT's limit", {VECTOR_GP, 0x90 * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int3, gate DPL 0", {VECTOR_GP, VECTOR_BP * 16 + 2, 0}, IDT_ERROR},
    {HOST_TCG, "int1 (icebp), which asks for no DPL", {VECTOR_UD, 0, 0}, "ICEBP is #UD"},
    {HOST_TCG, "#DB, its IST no address", {VECTOR_SS, 0, 0}, "EXT is not set"},
    {HOST_TCG, "iretq to *", {VECTOR_PF, PF_P, 0}, SUPERVISOR_POP},
    {HOST_TCG, "far ret to *", {VECTOR_PF, PF_P, 0}, SUPERVISOR_POP},
    {HOST_TCG, "canonical: wrmsr LSTAR", {ALLOWED, 0, 0}, "the MSR takes any value"},

    {HOST_COUNTER,
     "#DB, its IST no address",
     {VECTOR_SS, (RS_SEL_USER_DATA & ~3) + 1, 0},
     "the error code names ring 3's SS beside EXT"},
    {HOST_COUNTER,
     "smsw, CR4.UMIP",
     {ALLOWED, 0, 0},
     "KVM stands in for a UMIP that the CPU lacks, and cannot intercept SMSW"},
    {0, NULL, {0, 0, 0}, NULL},
};

/* Rows that want a bit of CR4, which not every CPU has. */
static void run_with(long state, const char *title, const struct row *rows, size_t count)
{
	const bool has = set_state(state, 1) >= 0;

	if (has)
		gallery_run(title, rows, count);
	else
		gallery_group(title);
	for (size_t i = 0; !has && i < count; i++)
		gallery_skip(rows[i].name, "this CPU lacks it");
	if (has && state == RS_STATE_PKE)
		try(allow_all_keys, 0);
	set_state(state, 0);
}

static void all(void)
{
	gallery_run("Privileged instructions", privileged, ARRAY_SIZE(privileged));
	gallery_run("IOPL and the I/O permission bitmap", ports, ARRAY_SIZE(ports));
	gallery_run("CR4.TSD and CR4.UMIP", control, ARRAY_SIZE(control));
	gallery_run("Paging, canonical addresses, alignment", paging, ARRAY_SIZE(paging));
	run_with(RS_STATE_PKE, "Protection keys", keys, ARRAY_SIZE(keys));
	run_with(RS_STATE_OSXSAVE, "CR4.OSXSAVE", with_osxsave, ARRAY_SIZE(with_osxsave));
	gallery_run("Ways in, abused", ways_in, ARRAY_SIZE(ways_in));
	gallery_run("Ways out, abused", ways_out, ARRAY_SIZE(ways_out));
	gallery_run("Segment loads at CPL 3", segments, ARRAY_SIZE(segments));
	run_ring0();
}

int walls_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gallery_begin("walls", departures);
	page.bytes[0] = (char)0xc3; /* RET, should anything be allowed to run it */
	gallery_in_each_mode(all);
	return gallery_end();
}
