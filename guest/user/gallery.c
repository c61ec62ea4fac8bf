#include "guest/user/gallery.h"

#include "guest/user/cross.h"
#include "guest/user/lib.h"
#include "shared/x86.h"

/* try.S */
bool try_enter(void (*act)(uint64_t arg), uint64_t arg);
extern const char try_caught[];

struct rs_info info;
enum host_kind host;

static const struct departure *departures;
static const char *group_title;
static bool json;
static struct {
	uint64_t passed, declared, differ, skipped;
} totals;

void join(char *name, size_t size, const char *a, const char *b)
{
	while (size > 1 && *a) {
		*name++ = *a++;
		size--;
	}
	while (size > 1 && *b) {
		*name++ = *b++;
		size--;
	}
	*name = 0;
}

long set_state(long state, uint64_t value)
{
	return raw_syscall(RS_SYS_STATE, state, (long)value);
}

/* ---- Attempts -------------------------------------------------------------------------------- */

void try_handle(void)
{
	raw_syscall(RS_SYS_FAULT_HANDLER, (long)try_caught);
}

struct outcome outcome_of_fault(const struct rs_fault *fault)
{
	return (struct outcome){(uint16_t)fault->vector, (uint32_t)fault->error, fault->cr2};
}

struct outcome try(void (*act)(uint64_t arg), uint64_t arg)
{
	if (!try_enter(act, arg))
		return (struct outcome){.vector = ALLOWED};
	return outcome_of_fault(&try_fault);
}

/* ---- The host -------------------------------------------------------------------------------- */

static const struct {
	const char *name, *symptom;
} hosts[HOST_KINDS] = {
    [HOST_MANUAL] = {"manual", "no symptom of a host that is known to depart from the manuals"},
    [HOST_INTERPRETER] = {"interpreter", "SYSCALL arrives as a page fault: ring 0 is interpreted"},
    [HOST_TCG] = {"tcg", "a fault at a gate of the IDT has the error code vector * 16 + 2"},
    [HOST_COUNTER] = {"counter", "the TSC counts instructions: an emulated CPU"},
};

static void closed_gate(uint64_t unused)
{
	(void)unused;
	__asm__ volatile("int $14");
}

/* Two instructions a turn; the shortest of some, since the host's own interrupts cost ticks. */
static bool tsc_counts_instructions(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 10; i++) {
		uint64_t start = rdtsc(), ticks;

		loop_nothing(10000);
		ticks = rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	return best >= 20000 && best < 20100;
}

static enum host_kind find_host(void)
{
	struct outcome gate;

	if (info.quirk_syscall)
		return HOST_INTERPRETER;
	gate = try(closed_gate, 0);
	if (gate.vector == VECTOR_GP && gate.error == 14 * 16 + 2)
		return HOST_TCG;
	return tsc_counts_instructions() ? HOST_COUNTER : HOST_MANUAL;
}

/* ---- Words ----------------------------------------------------------------------------------- */

static const char *const vector_names[32] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,  "#TS",
    "#NP", "#SS", "#GP", "#PF", NULL,  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

static const char *name_of(struct outcome o)
{
	static const char *const others[] = {"allowed", "process ended", "wrong", "not tried"};

	if (o.vector >= ALLOWED)
		return others[o.vector - ALLOWED];
	return o.vector < 32 && vector_names[o.vector] ? vector_names[o.vector] : "vector";
}

static bool has_error(struct outcome o)
{
	return o.vector < 32 && ((VECTORS_WITH_ERROR_CODE >> o.vector) & 1);
}

/* The error code, or what is wrong. */
static uint64_t error_of(struct outcome o)
{
	return o.vector == WRONG ? o.detail : has_error(o) ? o.error : 0;
}

static void print_outcome(struct outcome o, const char *label)
{
	if (json) {
		printf("\"%s\":{\"outcome\":\"%s\",\"vector\":%d,\"error\":%u", label, name_of(o),
		       o.vector < ALLOWED ? (long)o.vector : -1L, error_of(o));
		if (o.vector == VECTOR_PF)
			printf(",\"cr2\":\"0x%x\"", o.detail);
		printf("}");
		return;
	}
	printf("%s", name_of(o));
	if (o.vector < ALLOWED && (o.vector >= 32 || !vector_names[o.vector]))
		printf(" 0x%x", (uint64_t)o.vector);
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

static void show(const char *verdict, const char *name, struct outcome want, struct outcome got,
                 const char *why)
{
	if (json) {
		printf("%s\n {\"group\":\"%s\",\"row\":\"%s\",\"verdict\":\"%s\",",
		       totals.passed + totals.declared + totals.differ + totals.skipped == 1 ? ""
		                                                                             : ",",
		       group_title, name, verdict);
		print_outcome(want, "want");
		printf(",");
		print_outcome(got, "got");
		printf(",\"why\":\"%s\"}", why ? why : "");
		return;
	}
	printf("  %-8s  %-46s ", verdict, name);
	print_outcome(got, "got");
	if (!same_outcome(want, got)) {
		printf("; the manuals: ");
		print_outcome(want, "want");
	}
	printf("%s%s\n", why ? ": " : "", why ? why : "");
}

bool gallery_harmful(const char *name, struct outcome want)
{
	const struct outcome got = {.vector = NOT_TRIED};

	return find_departure(name, got) && gallery_row(name, want, got);
}

bool gallery_row(const char *name, struct outcome want, struct outcome got)
{
	const struct departure *departure;

	if (same_outcome(want, got)) {
		totals.passed++;
		show("ok", name, want, got, NULL);
		return true;
	}
	departure = find_departure(name, got);
	if (departure) {
		totals.declared++;
		show("departs", name, want, got, departure->why);
		return true;
	}
	totals.differ++;
	show("DIFFERS", name, want, got, NULL);
	return false;
}

void gallery_skip(const char *name, const char *why)
{
	const struct outcome none = {.vector = NOT_TRIED};

	totals.skipped++;
	show("skipped", name, none, none, why);
}

void gallery_group(const char *title)
{
	group_title = title;
	if (!json)
		printf("\n%s\n", title);
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

void gallery_begin(const char *program, int argc, char **argv, const struct departure *declared)
{
	static const char *const modes[] = {"off", "pcid", "nopcid"};

	json = argc > 1 && same(argv[1], "json");
	departures = declared;
	raw_syscall(RS_SYS_INFO, (long)&info);
	raw_syscall(RS_SYS_INFO, (long)&info); /* the first one was counted by now */
	raw_syscall(RS_SYS_GALLERY, 1L);
	try_handle();
	host = find_host();
	if (json)
		printf("{\"program\":\"%s\",\"pti\":\"%s\",\"host\":\"%s\",\"symptom\":\"%s\","
		       "\"rows\":[",
		       program, modes[info.pti_mode], hosts[host].name, hosts[host].symptom);
	else
		printf("%s, KPTI %s\nThis host: %s\n", program, modes[info.pti_mode],
		       hosts[host].symptom);
}

int gallery_end(void)
{
	raw_syscall(RS_SYS_FAULT_HANDLER, 0L);
	raw_syscall(RS_SYS_GALLERY, 0L);
	if (json)
		printf("\n],\"ok\":%u,\"departures\":%u,\"differ\":%u,\"skipped\":%u}\n",
		       totals.passed, totals.declared, totals.differ, totals.skipped);
	else
		printf(
		    "\n%u as the manuals say, departures of this host: %u, declared; %u differ, %u "
		    "skipped\n",
		    totals.passed, totals.declared, totals.differ, totals.skipped);
	flush();
	return totals.differ != 0;
}
