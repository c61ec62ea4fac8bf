/*
 * Every way in and out, in every KPTI mode: each preserves what the ABI promises.  And rings 1 and
 * 2, which have a place too: privileged for paging, not for instructions.
 */
#include "guest/errno.h"
#include "guest/user/gallery.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "guest/user/ways.h"
#include "shared/x86.h"

#define BIT(n)        (UINT64_C(1) << (n))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* One row for what is true of a host's ring 3 whatever the way. */
static void keep_selectors(void)
{
	bool changed;

	way_fill(&ways[0]);
	way_cross(ways[0].code);
	changed = way_in.ds != way_out.ds || way_in.es != way_out.es || way_in.fs != way_out.fs ||
	          way_in.gs != way_out.gs;
	gallery_row("selectors of ring 3 stay its own", outcome_of(0),
	            outcome_of(changed ? BIT(WAY_SELECTORS) : 0));
}

/* With everything set, and with its complement. */
static struct outcome go_twice(const struct way *way)
{
	struct outcome got;

	way_fill(way);
	got = way_go(way);
	if (got.vector != way->want.vector)
		return got;
	way_fill(way);
	way_complement(way);
	return way_go(way);
}

static void cross_without_handler(uint64_t way)
{
	way_fill((const struct way *)way);
	way_cross(((const struct way *)way)->code);
}

static void cross_all(void)
{
	char name[64];

	gallery_group("Ways in and out");
	keep_selectors();
	for (size_t i = 0; i < way_count; i++) {
		if (!way_exists(&ways[i])) {
			gallery_skip(ways[i].name, "this CPU lacks it");
			continue;
		}
		if (ways[i].kind == WAY_TIMER && !way_has_timer()) {
			gallery_skip(ways[i].name, "no timer works here");
			continue;
		}
		if (gallery_harmful(ways[i].name, ways[i].want))
			continue;
		gallery_row(ways[i].name, ways[i].want, go_twice(&ways[i]));
		if (ways[i].kind != WAY_FAULT && ways[i].kind != WAY_FAULT32)
			continue;
		join(name, sizeof(name), ways[i].name, ", no handler");
		gallery_row(name, (struct outcome){.vector = ENDED},
		            try_fate(cross_without_handler, (uint64_t)&ways[i]));
	}
}

/* ---- Rings 1 and 2 --------------------------------------------------------------------------- */

static char own_page[64] = {(char)0xc3};

/* Answers for an address: the same as `plain`, or a page. */
enum target { PLAIN, USER_PAGE, ENTRY_TEXT, KERNEL_TEXT, ENTRY_WORDS };

static const struct ring_row {
	const char *name;
	uint32_t attempt;
	enum target target;
	uint64_t plain;
	uint16_t vector;
	uint32_t error;
	bool hidden;    /* KPTI unmaps it */
	uint64_t needs; /* RS_FEATURE_* */
} ring_rows[] = {
    {"arrives, and falls back to ring 3", RS_RING_NOTHING, PLAIN, 0, VECTOR_UD, 0, false, 0},
    {"hlt", RS_RING_HLT, PLAIN, 0, VECTOR_GP, 0, false, 0},
    {"cli, IOPL 0", RS_RING_CLI, PLAIN, 0, VECTOR_GP, 0, false, 0},
    {"in, IOPL 0", RS_RING_IN, PLAIN, 0, VECTOR_GP, 0, false, 0},
    {"mov from cr3", RS_RING_READ_CR3, PLAIN, 0, VECTOR_GP, 0, false, 0},
    {"ds: kernel data", RS_RING_LOAD_SELECTOR, PLAIN, RS_SEL_KERNEL_DATA, VECTOR_GP,
     RS_SEL_KERNEL_DATA, false, 0},
    {"ds: user data", RS_RING_LOAD_SELECTOR, PLAIN, RS_SEL_USER_DATA, VECTOR_UD, 0, false, 0},
    {"ss: kernel data", RS_RING_LOAD_STACK, PLAIN, RS_SEL_KERNEL_DATA, VECTOR_GP,
     RS_SEL_KERNEL_DATA, false, 0},
    {"ss: user data", RS_RING_LOAD_STACK, PLAIN, RS_SEL_USER_DATA, VECTOR_GP, RS_SEL_USER_DATA & ~3,
     false, 0},
    {"paging: reads entry text as a supervisor", RS_RING_READ, ENTRY_TEXT, 0, VECTOR_UD, 0, false,
     0},
    {"paging: writes the entry words as a supervisor", RS_RING_WRITE, ENTRY_WORDS, 0, VECTOR_UD, 0,
     false, 0},
    {"paging: writes entry text, read-only", RS_RING_WRITE, ENTRY_TEXT, 0, VECTOR_PF, PF_P | PF_W,
     false, 0},
    {"paging: reads kernel text", RS_RING_READ, KERNEL_TEXT, 0, VECTOR_PF, 0, true, 0},
    {"SMAP: reads a user page", RS_RING_READ, USER_PAGE, 0, VECTOR_PF, PF_P, false,
     RS_FEATURE_SMAP},
    {"SMEP: fetches a user page", RS_RING_JUMP, USER_PAGE, 0, VECTOR_PF, PF_P | PF_ID, false,
     RS_FEATURE_SMEP},
    {"int 0x80", RS_RING_INT80, PLAIN, 0, VECTOR_UD, 0, false, 0},
};

static uint64_t resolve(const struct ring_row *row)
{
	switch (row->target) {
	case USER_PAGE:
		return (uint64_t)own_page;
	case ENTRY_TEXT:
		return RS_ENTRY_BASE;
	case KERNEL_TEXT:
		return RS_KERNEL_TEXT;
	case ENTRY_WORDS:
		return RS_ENTRY_CPU(0) + 0xff8; /* the page's last word, in nobody's use */
	default:
		return row->plain;
	}
}

struct ring_attempt {
	long ring, attempt, address;
};

/* Does not return: a fault brings the process back. */
static void go_to_ring(uint64_t arg)
{
	const struct ring_attempt *a = (const struct ring_attempt *)arg;

	raw_syscall(RS_SYS_RING, a->ring, a->attempt, a->address);
}

static struct outcome try_ring(long ring, const struct ring_row *row)
{
	const struct ring_attempt a = {ring, (long)row->attempt, (long)resolve(row)};
	struct outcome got = try(go_to_ring, (uint64_t)&a);

	/* What came by INT 0x80 must be this process's number. */
	if (row->attempt == RS_RING_INT80 && got.vector == VECTOR_UD &&
	    try_rax != (uint64_t)raw_syscall(SYS_getpid))
		return outcome_wrong(try_rax);
	return got;
}

static void try_rings(void)
{
	static const char *const prefixes[] = {NULL, "ring 1 ", "ring 2 "};
	char name[64];

	gallery_group("Rings 1 and 2");
	for (long ring = 1; ring <= 2; ring++)
		for (size_t i = 0; i < ARRAY_SIZE(ring_rows); i++) {
			const struct ring_row *row = &ring_rows[i];
			struct outcome want = {row->vector, row->error, resolve(row)};

			join(name, sizeof(name), prefixes[ring], row->name);
			/* Without KPTI the kernel is there, and this ring reads it. */
			if (row->hidden && gallery_mode == RS_PTI_OFF)
				want.vector = VECTOR_UD;
			if ((info.features & row->needs) != row->needs)
				gallery_skip(name, "this CPU lacks it");
			else if (!gallery_harmful(name, want))
				gallery_row(name, want, try_ring(ring, row));
		}
}

/* ---- Departures ------------------------------------------------------------------------------ */

#define NO_INT         "its interpreter knows no INT n: the run ends there"
#define SUPERVISOR_POP "IRET and far RET read the stack as a supervisor, which SMAP stops"

static const struct departure departures[] = {
    {HOST_INTERPRETER,
     "selectors of ring 3 stay its own",
     {WRONG, 0, BIT(WAY_SELECTORS)},
     "ring 3 has the host's; not compared in the rows below"},
    {HOST_INTERPRETER, "call gate, far RET", {VECTOR_UD, 0, 0}, "no call gates there"},
    {HOST_INTERPRETER,
     "SYSCALL from 32-bit code",
     {NOT_TRIED, 0, 0},
     "it arrives at CPL 0 with RIP = CSTAR cut to 32 bits, which ends the run"},
    {HOST_INTERPRETER, "ring 1 int 0x80", {NOT_TRIED, 0, 0}, NO_INT},
    {HOST_INTERPRETER, "ring 2 int 0x80", {NOT_TRIED, 0, 0}, NO_INT},
    {HOST_TCG, "#DB by INT1", {VECTOR_UD, 0, 0}, "ICEBP is #UD"},
    {HOST_TCG,
     "#NP",
     {VECTOR_NP, RS_VECTOR_ABSENT * 16 + 2, 0},
     "the error code names the gate by vector * 16"},
    {HOST_TCG, "IRETQ", {VECTOR_PF, PF_P, 0}, SUPERVISOR_POP},
    {HOST_TCG, "far RET", {VECTOR_PF, PF_P, 0}, SUPERVISOR_POP},
    {0, NULL, {0, 0, 0}, NULL},
};

static void all(void)
{
	cross_all();
	try_rings();
}

int crossings_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	gallery_begin("crossings", departures);
	gallery_in_each_mode(all);
	return gallery_end();
}
