#include "guest/user/ways.h"

#include "guest/user/host.h"
#include "guest/user/lib.h"
#include "shared/x86.h"

#define ARITHMETIC_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

extern uint32_t way_bases;
extern const char way_syscall[], way_int80[], way_sysenter[], way_callgate[], way_trap_gate[],
    way_ud[], way_pf[], way_gp[], way_de[], way_bp[], way_of[], way_db[], way_np[], way_iretq[],
    way_lretq[], way_timer[], way_ud_32[], way_int80_32[], way_syscall_32[], way_sysenter_32[],
    way_sysenter_32_return[], way_after_syscall[];

#define BIT(n) (UINT32_C(1) << (n))
/* What the fault handler is told; of the flags it gets the arithmetic ones. */
#define TOLD (BIT(RDI) | BIT(RSI) | BIT(RDX) | BIT(RCX))

#define WAY_OF_FAULT(text, label, hosts, ...)                                                      \
	{                                                                                          \
		.name = text, .code = label, .kind = WAY_FAULT, .changed = TOLD,                   \
		.want = {__VA_ARGS__}, .unfit = hosts                                              \
	}
#define WAY_OF_FAULT32(text, label, without, ...)                                                  \
	{                                                                                          \
		.name = text, .code = label, .kind = WAY_FAULT32, .changed = TOLD,                 \
		.want = {__VA_ARGS__}, .lacks = without                                            \
	}

const struct way ways[] = {
    {"SYSCALL",
     way_syscall,
     WAY_CALL,
     SYS_getpid,
     BIT(RAX) | BIT(RCX) | BIT(R11),
     {ALLOWED, 0, 0},
     0,
     0,
     false,
     0},
    {"INT 0x80", way_int80, WAY_CALL, SYS32_getpid, BIT(RAX), {ALLOWED, 0, 0}, 0, 0, false, 0},
    {"SYSENTER, SYSEXIT",
     way_sysenter,
     WAY_CALL,
     SYS_getpid,
     BIT(RAX),
     {ALLOWED, 0, 0},
     0,
     RS_FEATURE_AMD,
     true,
     0},
    {"call gate, far RET",
     way_callgate,
     WAY_CALL,
     SYS_getpid,
     BIT(RAX),
     {ALLOWED, 0, 0},
     0,
     0,
     false,
     BIT(HOST_INTERPRETER)},
    {"INT 0x80 from 32-bit code",
     way_int80_32,
     WAY_CALL32,
     SYS32_getpid,
     BIT(RAX),
     {ALLOWED, 0, 0},
     0,
     0,
     false,
     0},
    {"SYSCALL from 32-bit code",
     way_syscall_32,
     WAY_CALL32,
     SYS32_getpid,
     BIT(RAX) | BIT(RCX) | BIT(R11),
     {ALLOWED, 0, 0},
     RS_FEATURE_AMD,
     0,
     false,
     BIT(HOST_INTERPRETER)},
    {"SYSENTER from 32-bit code",
     way_sysenter_32,
     WAY_CALL32,
     SYS32_getpid,
     BIT(RAX) | BIT(RCX) | BIT(RDX),
     {ALLOWED, 0, 0},
     0,
     RS_FEATURE_AMD,
     true,
     0},
    WAY_OF_FAULT("trap gate", way_trap_gate, 0, RS_VECTOR_TRAP, 0, 0),
    WAY_OF_FAULT("#DE", way_de, 0, VECTOR_DE, 0, 0),
    WAY_OF_FAULT("#DB by INT1", way_db, BIT(HOST_TCG), VECTOR_DB, 0, 0),
    WAY_OF_FAULT("#BP", way_bp, 0, VECTOR_BP, 0, 0),
    WAY_OF_FAULT("#OF", way_of, 0, VECTOR_OF, 0, 0),
    WAY_OF_FAULT("#UD", way_ud, 0, VECTOR_UD, 0, 0),
    WAY_OF_FAULT("#NP", way_np, BIT(HOST_TCG), VECTOR_NP, RS_VECTOR_ABSENT * 8 + 2, 0),
    WAY_OF_FAULT("#GP", way_gp, 0, VECTOR_GP, 0, 0),
    WAY_OF_FAULT("#PF", way_pf, 0, VECTOR_PF, PF_U, 0x10000000),
    {"IRETQ", way_iretq, WAY_RETURN, 0, BIT(RSP), {ALLOWED, 0, 0}, 0, 0, false, BIT(HOST_TCG)},
    {"far RET", way_lretq, WAY_RETURN, 0, BIT(RSP), {ALLOWED, 0, 0}, 0, 0, false, BIT(HOST_TCG)},
    WAY_OF_FAULT32("#UD from 32-bit code", way_ud_32, 0, VECTOR_UD, 0, 0),
    WAY_OF_FAULT32("SYSCALL from 32-bit code on Intel: #UD", way_syscall_32, RS_FEATURE_AMD,
                   VECTOR_UD, 0, 0),
    {"timer interrupts", way_timer, WAY_TIMER, 0, BIT(RCX), {ALLOWED, 0, 0}, 0, 0, false, 0},
};
const size_t way_count = sizeof(ways) / sizeof(ways[0]);

bool way_has_bases(void)
{
	/* The interpreter's ring 3 has the host's CR4. */
	return (info.features & RS_FEATURE_FSGSBASE) || host == HOST_INTERPRETER;
}

bool way_exists(const struct way *way)
{
	return (info.features & way->needs) == way->needs && !(info.features & way->lacks);
}

bool way_is_fit(const struct way *way, uint32_t kinds)
{
	return way_exists(way) && !(way->unfit & 1 << host) && kinds & 1 << way->kind;
}

/* ---- Filling --------------------------------------------------------------------------------- */

/* All that POPF changes at CPL 3 but TF, which traps, and NT, which rows of hostile.c are about. */
#define ALL_FLAGS (ARITHMETIC_FLAGS | RFLAGS_DF | RFLAGS_AC | RFLAGS_ID | RFLAGS_FIXED | RFLAGS_IF)

#define TIMER_TURNS 4000000 /* some milliseconds */
#define SPINS_MAX   1000    /* seconds: the timer of a busy host can be late */
#define SLICE_US    200L

#define STACK_SIZE 512
#define STACK_USED 384 /* RSP: what lies below is nobody's to change */
static uint64_t stack[STACK_SIZE / 8] __attribute__((aligned(16)));

/* Control, status, tag; MXCSR; eight times ten bytes of x87 and MMX registers; XMM registers. */
bool way_is_fpu_state(unsigned byte)
{
	return byte < 5 || (byte >= 24 && byte < 28) ||
	       (byte >= 32 && byte < 160 && byte % 16 < 10) || (byte >= 160 && byte < 416);
}

static void fill_fpu(void)
{
	for (unsigned i = 0; i < sizeof(way_in.fpu); i++)
		way_in.fpu[i] = (uint8_t)(i * 7 + 1);
	/* Every exception masked and none pending, all else unusual. */
	*(uint16_t *)&way_in.fpu[0] = 0x0c7f;
	*(uint32_t *)&way_in.fpu[2] = 0xff6d00;
	*(uint32_t *)&way_in.fpu[24] = 0xffbf;
}

static void fill_segments(void)
{
	way_bases = way_has_bases();
	way_in.ds = RS_SEL_USER_DATA;
	way_in.es = RS_SEL_USER_DATA & ~3;
	way_in.fs = way_bases ? RS_SEL_READ_ONLY : RS_SEL_BASED;
	way_in.gs = way_bases ? RS_SEL_USER_DATA2 : RS_SEL_BASED;
	/* Without way_has_bases these are words that lie at RS_BASED. */
	way_in.fs_base = WAY_BASED_WORD0;
	way_in.gs_base = WAY_BASED_WORD1;
}

static bool is_32bit(const struct way *way)
{
	return way->kind == WAY_CALL32 || way->kind == WAY_FAULT32;
}

void way_fill(const struct way *way)
{
	const uint64_t mask = is_32bit(way) ? UINT32_MAX : UINT64_MAX;
	uint64_t *frame = &stack[STACK_USED / 8];

	for (int i = 0; i < REGISTERS; i++)
		way_in.gpr[i] = UINT64_C(0x1111111111111111) * (uint64_t)i ^ 0xfedcba9876543210;
	for (int i = RAX; i <= RDI; i++)
		way_in.gpr[i] &= mask;
	for (uint64_t i = 0; i < STACK_SIZE / 8; i++)
		stack[i] = i * UINT64_C(0x0123456789abcdef);
	way_in.gpr[RAX] = way->number;
	way_in.gpr[RSP] = (uint64_t)frame;
	way_in.gpr[R15] = 0x10000000; /* mapped nowhere */
	way_in.rflags = ALL_FLAGS;
	fill_segments();
	fill_fpu();
	if (way->stack_in_rcx) {
		way_in.gpr[RCX] = way_in.gpr[RSP];
		way_in.gpr[RDX] = (uint64_t)way_resume;
	}
	if (way->code == way_sysenter_32) {
		way_in.gpr[RAX] |= RS_SYSENTER_COMPAT;
		way_in.gpr[RDX] = (uint64_t)way_sysenter_32_return;
	}
	if (way->kind == WAY_TIMER)
		way_in.gpr[RCX] = TIMER_TURNS;
	if (way->kind == WAY_RETURN) {
		frame[0] = (uint64_t)way_resume;
		frame[1] = RS_SEL_USER_CODE;
		frame[2] = way_in.rflags;
		frame[3] = 0x2220;
		frame[4] = RS_SEL_USER_DATA;
	}
}

void way_complement(const struct way *way)
{
	for (int i = RBX; i < R15; i++)
		if (i != RSP && !(way->stack_in_rcx && i == RDX))
			way_in.gpr[i] ^= is_32bit(way) && i <= RDI ? UINT32_MAX : UINT64_MAX;
	for (unsigned i = 32; i < sizeof(way_in.fpu); i++)
		way_in.fpu[i] ^= 0xff;
	way_in.rflags = RFLAGS_FIXED | RFLAGS_IF;
	if (way->kind == WAY_RETURN)
		stack[STACK_USED / 8 + 2] = way_in.rflags;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

uint64_t way_differences(uint64_t changed)
{
	uint64_t wrong = 0;

	for (int i = 0; i < REGISTERS; i++)
		wrong |= way_in.gpr[i] != way_out.gpr[i] ? UINT64_C(1) << i : 0;
	if (way_in.rflags != way_out.rflags)
		wrong |= BIT(WAY_RFLAGS);
	if (way_in.fs_base != way_out.fs_base)
		wrong |= BIT(WAY_FS_BASE);
	if (way_in.gs_base != way_out.gs_base)
		wrong |= BIT(WAY_GS_BASE);
	/* The interpreter's ring 3 has the host's selectors. */
	if (host != HOST_INTERPRETER && (way_in.ds != way_out.ds || way_in.es != way_out.es ||
	                                 way_in.fs != way_out.fs || way_in.gs != way_out.gs))
		wrong |= BIT(WAY_SELECTORS);
	for (unsigned i = 0; i < sizeof(way_in.fpu); i++)
		if (way_is_fpu_state(i) && way_in.fpu[i] != way_out.fpu[i])
			wrong |= BIT(WAY_FPU);
	for (uint64_t i = 0; i < STACK_USED / 8; i++)
		if (stack[i] != i * UINT64_C(0x0123456789abcdef))
			wrong |= BIT(WAY_RED_ZONE);
	return wrong & ~changed;
}

static uint64_t flags_of_handler(uint64_t rflags)
{
	return (rflags & ARITHMETIC_FLAGS) | RFLAGS_FIXED | RFLAGS_IF;
}

bool way_has_timer(void)
{
	const bool has = raw_syscall(RS_SYS_SLICES, SLICE_US, SLICE_US) == 0;

	raw_syscall(RS_SYS_SLICES, 0L, 0L);
	return has;
}

static uint64_t slices_ended(void)
{
	struct rs_stats stats;

	raw_syscall(RS_SYS_STATS, (long)&stats);
	return stats.preempt_ring3;
}

/* Until a slice has ended in ring 3.  False: none did. */
static bool spin_until_preempted(const struct way *way)
{
	const uint64_t before = slices_ended();

	for (int i = 0; i < SPINS_MAX; i++) {
		raw_syscall(RS_SYS_SLICES, SLICE_US, SLICE_US);
		way_cross(way->code);
		raw_syscall(RS_SYS_SLICES, 0L, 0L);
		if (slices_ended() != before)
			return true;
	}
	return false;
}

static uint64_t wrong_result(const struct way *way, uint64_t pid)
{
	if (way->kind != WAY_CALL && way->kind != WAY_CALL32)
		return 0;
	if (way->code == way_syscall &&
	    (way_out.gpr[RCX] != (uint64_t)way_after_syscall || way_out.gpr[R11] != way_in.rflags))
		return BIT(WAY_RESULT);
	return way_out.gpr[RAX] != pid ? BIT(WAY_RESULT) : 0;
}

struct outcome way_go(const struct way *way)
{
	const uint64_t pid = (uint64_t)raw_syscall(SYS_getpid);
	const uint64_t rflags = way_in.rflags;
	struct outcome got = {.vector = ALLOWED};
	uint64_t wrong;
	bool faulted;

	if (way->kind == WAY_TIMER)
		return outcome_of((spin_until_preempted(way) ? 0 : BIT(WAY_RESULT)) |
		                  way_differences(way->changed));
	raw_syscall(RS_SYS_FAULT_HANDLER, (long)way_caught);
	faulted = way_cross(way->code);
	try_handle();
	if (faulted) {
		got = (struct outcome){(uint16_t)way_out.gpr[RDI], (uint32_t)way_out.gpr[RSI],
		                       way_out.gpr[RDX]};
		if (got.vector != way->want.vector)
			return got;
		way_in.rflags = flags_of_handler(rflags);
	}
	wrong = way_differences(way->changed);
	if (!faulted)
		wrong |= wrong_result(way, pid);
	way_in.rflags = rflags;
	return wrong ? outcome_wrong(wrong) : got;
}
