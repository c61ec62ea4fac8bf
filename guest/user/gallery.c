#include "guest/user/gallery.h"

#include "guest/user/lib.h"
#include "guest/user/neighbour.h"
#include "guest/user/ways.h"
#include "shared/x86.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

bool gallery_brief;
uint32_t gallery_mode;

static const struct departure *departures;
static struct rs_escape last; /* row */
static uint64_t totals[4];    /* by verdict */
static bool each_mode;        /* groups tell the KPTI mode */
static uint64_t untold;       /* rows that the VMM refused */

void join(char *name, size_t size, const char *a, const char *b)
{
	for (; size > 1 && *a; size--)
		*name++ = *a++;
	set_text(name, size, b);
}

long set_state(long state, uint64_t value)
{
	return raw_syscall(RS_SYS_STATE, state, (long)value);
}

long map_page(uint64_t va, long rights)
{
	return raw_syscall(SYS_mmap, (long)va, (long)PAGE_SIZE, rights,
	                   MAP_PRIVATE + MAP_ANONYMOUS + MAP_FIXED + 0L, -1L, 0L);
}

/* ---- Words ----------------------------------------------------------------------------------- */

static bool has_error(struct outcome o)
{
	return o.vector < 32 && ((VECTORS_WITH_ERROR_CODE >> o.vector) & 1);
}

/* The error code, or what is wrong. */
static uint64_t error_of(struct outcome o)
{
	return o.vector == WRONG ? o.detail : has_error(o) ? o.error : 0;
}

static void print_outcome(struct outcome o)
{
	static const char vectors[22][4] = {
	    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
	    "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	};
	static const char others[4][16] = {"allowed", "process ended", "wrong", "not tried"};

	if (o.vector >= ALLOWED)
		printf("%s", others[o.vector - ALLOWED]);
	else if (o.vector < ARRAY_SIZE(vectors))
		printf("%s", vectors[o.vector]);
	else
		printf("vector 0x%x", (uint64_t)o.vector);
	if (has_error(o) || o.vector == WRONG)
		printf("(0x%x)", error_of(o));
	if (o.vector == VECTOR_PF)
		printf(" at 0x%x", o.detail);
}

static bool same_outcome(struct outcome a, struct outcome b)
{
	return a.vector == b.vector && error_of(a) == error_of(b) &&
	       (a.vector != VECTOR_PF || a.detail == b.detail);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void tell(struct rs_outcome *told, struct outcome o)
{
	told->kind = o.vector;
	told->error = error_of(o);
	told->cr2 = o.vector == VECTOR_PF ? o.detail : 0;
}

static bool names_row(const char *pattern, const char *name)
{
	while (*pattern && *pattern != '*' && *pattern == *name) {
		pattern++;
		name++;
	}
	return *pattern == '*' || *pattern == *name;
}

/* The declaration that covers this answer.  A #PF's address is the row's in any case. */
static const struct departure *find_departure(const char *name, struct outcome got)
{
	for (const struct departure *d = departures; d->name; d++) {
		struct outcome declared = d->got;

		if (got.vector == VECTOR_PF)
			declared.detail = got.detail;
		if (d->host == host && names_row(d->name, name) && same_outcome(declared, got))
			return d;
	}
	return NULL;
}

static void show(uint32_t verdict, const char *name, struct outcome want, struct outcome got,
                 const char *why)
{
	static const char words[4][8] = {"ok", "departs", "DIFFERS", "skipped"};

	totals[verdict]++;
	last.verdict = verdict;
	last.mode = gallery_mode;
	tell(&last.want, want);
	tell(&last.got, got);
	set_text(last.name, sizeof(last.name), name);
	set_text(last.why, sizeof(last.why), why);
	untold += raw_syscall(RS_SYS_ESCAPE, (long)&last, 1L) != 1;
	if (gallery_brief && verdict != RS_ESCAPE_DIFFERS)
		return;
	printf("  %-8s  %-46s ", words[verdict], name);
	print_outcome(got);
	if (!same_outcome(want, got)) {
		printf("; the manuals: ");
		print_outcome(want);
	}
	printf("%s%s\n", *why ? ": " : "", why);
}

bool gallery_harmful(const char *name, struct outcome want)
{
	const struct outcome got = {.vector = NOT_TRIED};

	return find_departure(name, got) && gallery_row(name, want, got);
}

bool gallery_row(const char *name, struct outcome want, struct outcome got)
{
	const struct departure *departure = NULL;
	bool good;

	if (!neighbour_is_well())
		got = outcome_wrong(NEIGHBOUR_HARMED);
	good = same_outcome(want, got);
	if (!good)
		departure = find_departure(name, got);
	show(good        ? RS_ESCAPE_OK
	     : departure ? RS_ESCAPE_DEPARTS
	                 : RS_ESCAPE_DIFFERS,
	     name, want, got, departure ? departure->why : "");
	return good || departure;
}

void gallery_value(const char *name, uint64_t want, uint64_t got)
{
	gallery_row(name, outcome_of(0), want == got ? outcome_of(0) : outcome_wrong(got));
}

void gallery_values(const char *title, const struct gallery_values *rows, size_t count)
{
	gallery_group(title);
	for (const struct gallery_values *row = rows; row < rows + count; row++)
		gallery_value(row->name, row->want, row->get(row->arg));
}

static void set_up(const struct row *row, uint64_t value)
{
	switch (row->state) {
	case ROW_STATE_NONE:
		break;
	case ROW_STATE_MARK_PORT:
		raw_syscall(RS_SYS_MARK_SLOT, value ? 3L : -1L);
		break;
	case ROW_STATE(RS_STATE_LEAF_BITS):
		/* Wider than the i386 convention's arguments. */
		set_state(RS_STATE_LEAF, row->arg);
		set_state(RS_STATE_LEAF_BITS, value);
		break;
	case ROW_STATE(RS_STATE_SCE):
		/* What it takes away is SYSCALL. */
		raw_int80(RS_SYS_STATE, RS_STATE_SCE + 0L, (long)value);
		break;
	default:
		raw_syscall(RS_SYS_STATE, row->state - ROW_STATE(0L), (long)value);
	}
}

static struct outcome attempt(const struct row *row)
{
	const uint64_t pid = (uint64_t)raw_syscall(SYS_getpid);
	struct outcome got;

	set_up(row, row->value);
	got = try(row->act, row->arg);
	set_up(row, row->after);
	if (row->traits & ROW_GETPID && got.vector == row->vector && try_rax != pid)
		return outcome_wrong(try_rax);
	return got;
}

/* Why the row cannot be tried on this CPU; NULL: it can. */
static const char *reason_to_skip(const struct row *row)
{
	if ((info.features & row->needs) != row->needs)
		return "this CPU lacks it";
	if (info.features & row->lacks)
		return "this CPU has another rule";
	if (row->state == ROW_STATE(RS_STATE_LEAF_BITS) && row->value >> info.maxphyaddr == 0)
		return "no bit of an entry is reserved with 52 address bits";
	return NULL;
}

void gallery_run(const char *title, const struct row *rows, size_t count)
{
	char name[64];

	gallery_group(title);
	for (const struct row *row = rows; row < rows + count; row++) {
		struct outcome want = {row->vector, row->error, row->arg}, got;
		const char *why_not = reason_to_skip(row);

		if (row->traits & ROW_POINTER)
			want.detail = *(const uint64_t *)row->arg;
		if (row->traits & ROW_HIDDEN && gallery_mode != RS_PTI_OFF)
			want.error &= ~(uint32_t)PF_P;
		if (why_not) {
			gallery_skip(row->name, why_not);
			continue;
		}
		if (gallery_harmful(row->name, want))
			continue;
		got = attempt(row);
		gallery_row(row->name, want, got);
		if (!(row->traits & ROW_FATE) || got.vector == ALLOWED)
			continue;
		join(name, sizeof(name), row->name, ", no handler");
		gallery_row(name, (struct outcome){.vector = ENDED}, try_fate(row->act, row->arg));
	}
}

void gallery_skip(const char *name, const char *why)
{
	const struct outcome none = {.vector = NOT_TRIED};

	show(RS_ESCAPE_SKIPPED, name, none, none, why);
}

void gallery_group(const char *title)
{
	static const char suffixes[3][20] = {
	    [RS_PTI_OFF] = ", KPTI off",
	    [RS_PTI_PCID] = ", KPTI with PCID",
	    [RS_PTI_NOPCID] = ", KPTI without PCID",
	};

	set_text(last.group, sizeof(last.group), title);
	if (!gallery_brief)
		printf("\n%s%s\n", title, each_mode ? suffixes[gallery_mode] : "");
}

void gallery_in_each_mode(void (*body)(void))
{
	each_mode = true;
	for (gallery_mode = RS_PTI_OFF; gallery_mode <= RS_PTI_NOPCID; gallery_mode++) {
		if (raw_syscall(RS_SYS_PTI_MODE, (long)gallery_mode) >= 0) {
			body();
			continue;
		}
		gallery_group("All of it");
		gallery_skip("every row", "this CPU has no PCID");
	}
	raw_syscall(RS_SYS_PTI_MODE, (long)info.pti_mode);
	gallery_mode = info.pti_mode;
	each_mode = false;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

void gallery_enter(void)
{
	volatile uint64_t *based;

	raw_syscall(RS_SYS_GALLERY, 1L);
	based = (uint64_t *)map_page(RS_BASED, PROT_READ + PROT_WRITE);
	based[0] = WAY_BASED_WORD0;
	based[1] = WAY_BASED_WORD1;
	try_handle();
	host_find();
}

void gallery_begin(const char *program, const struct departure *declared)
{
	departures = declared;
	gallery_enter();
	set_state(RS_STATE_SILENT, 1);
	neighbour_begin();
	gallery_mode = info.pti_mode;
	set_text(last.program, sizeof(last.program), program);
	set_text(last.host, sizeof(last.host), host_name());
	for (int i = 0; i < 4; i++)
		totals[i] = 0;
	if (!gallery_brief)
		printf("%s\nThis host: %s\n", program, host_symptom());
}

int gallery_end(void)
{
	neighbour_end();
	raw_syscall(RS_SYS_FAULT_HANDLER, 0L);
	raw_syscall(RS_SYS_GALLERY, 0L);
	printf(gallery_brief ? "  %-10s" : "\n", last.program);
	printf("%u as the manuals say, departures of this host: %u, declared; %u differ%s, %u "
	       "skipped\n",
	       totals[RS_ESCAPE_OK], totals[RS_ESCAPE_DEPARTS], totals[RS_ESCAPE_DIFFERS],
	       totals[RS_ESCAPE_DIFFERS] == 1 ? "s" : "", totals[RS_ESCAPE_SKIPPED]);
	if (untold)
		printf("%u row%s that the VMM did not take\n", untold, untold == 1 ? "" : "s");
	flush();
	return totals[RS_ESCAPE_DIFFERS] || untold;
}
