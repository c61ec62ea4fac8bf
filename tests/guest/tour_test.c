/*
 * Judges what tests/guest/collect kept of each host: the tour's words, its figures, the statistics.
 *
 *     tour_test NAME=DIRECTORY...            each host by itself
 *     tour_test --compare NAME=DIRECTORY...  the same guest must count the same on all of them
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <jansson.h>

#define MAX_HOSTS 4

static struct {
	const char *name, *directory;
} hosts[MAX_HOSTS];
static int host_count;

/* ---- Reading
 * ------------------------------------------------------------------------------------- */

static const char *path_of(int host, const char *name, const char *suffix)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s.%s", hosts[host].directory, name, suffix);
	return path;
}

/* The whole file, terminated; the caller frees it.  Fails the test when it is not there. */
static char *read_text(int host, const char *name, const char *suffix)
{
	const char *path = path_of(host, name, suffix);
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 20);
	size_t length;

	ck_assert_msg(file, "%s: cannot be read", path);
	ck_assert_ptr_nonnull(text);
	length = fread(text, 1, (1 << 20) - 1, file);
	ck_assert_msg(length < (1 << 20) - 1, "%s: larger than a megabyte", path);
	fclose(file);
	return text;
}

static int status_of(int host, const char *name)
{
	char *text = read_text(host, name, "status");
	int status = atoi(text);

	free(text);
	return status;
}

static json_t *read_json(int host, const char *name, const char *suffix)
{
	json_error_t error;
	json_t *json = json_load_file(path_of(host, name, suffix), 0, &error);

	ck_assert_msg(json, "%s: %s", path_of(host, name, suffix), error.text);
	return json;
}

static json_int_t number_at(const json_t *json, const char *object, const char *key)
{
	const json_t *value = json_object_get(json_object_get(json, object), key);

	ck_assert_msg(json_is_integer(value), "no number %s.%s", object, key);
	return json_integer_value(value);
}

static bool has_feature(const json_t *json, const char *feature)
{
	const json_t *features = json_object_get(json_object_get(json, "guest"), "features"),
	             *value;
	size_t i;

	json_array_foreach(features, i, value)
	{
		if (!strcasecmp(json_string_value(value), feature))
			return true;
	}
	return false;
}

static void must_say(int host, const char *name, const char *suffix, const char *words)
{
	char *text = read_text(host, name, suffix);

	ck_assert_msg(strstr(text, words), "%s: %s.%s does not say '%s'; it says:\n%.2000s",
	              hosts[host].name, name, suffix, words, text);
	free(text);
}

/* ---- The statistics
 * ------------------------------------------------------------------------------- */

static const char *const runs[] = {"tour",    "tour_off",  "tour_on", "tour_nopcid", "walls",
                                   "hostile", "crossings", "memory",  "check_cpus2"};
#define RUNS ((int)(sizeof(runs) / sizeof(runs[0])))

START_TEST(run_succeeds_and_exits_add_up)
{
	const int host = _i / RUNS;
	const char *name = runs[_i % RUNS];
	json_t *json, *reason, *exits;
	json_int_t sum = 0, vmm = 0;
	const char *key;

	ck_assert_msg(status_of(host, name) == 0, "%s: %s: status %d", hosts[host].name, name,
	              status_of(host, name));
	json = read_json(host, name, "json");
	exits = json_object_get(json, "exits");
	json_object_foreach(json_object_get(exits, "by_reason"), key, reason)
	{
		const json_int_t count = json_integer_value(json_object_get(reason, "count"));
		const json_int_t min = json_integer_value(json_object_get(reason, "min"));
		const json_int_t p50 = json_integer_value(json_object_get(reason, "p50"));
		const json_int_t p99 = json_integer_value(json_object_get(reason, "p99"));
		const json_int_t max = json_integer_value(json_object_get(reason, "max"));

		ck_assert_int_gt(count, 0);
		ck_assert_msg(min <= p50 && p50 <= p99 && p99 <= max,
		              "%s: min %lld p50 %lld p99 %lld max %lld", key, (long long)min,
		              (long long)p50, (long long)p99, (long long)max);
		sum += count;
		vmm += json_integer_value(json_object_get(reason, "total"));
	}
	ck_assert_int_eq(number_at(json, "exits", "total"), sum);
	ck_assert_int_gt(sum, 0);
	ck_assert_int_eq(number_at(json, "time", "run"),
	                 number_at(json, "time", "guest") + number_at(json, "time", "vmm"));
	ck_assert_int_le(vmm, number_at(json, "time", "vmm"));
	ck_assert_int_eq(number_at(json, "guest", "status"), 0);
	json_decref(json);
}
END_TEST

/* Each way into the kernel under KPTI writes CR3 once, and each way out. */
START_TEST(cr3_writes_pair)
{
	json_t *json = read_json(_i, "tour_on", "json");
	const json_int_t entry = number_at(json, "cr3", "entry"),
	                 exit = number_at(json, "cr3", "exit");

	ck_assert_int_gt(entry, 1000);
	/* Mode changes happen inside a call: it enters under one mode and leaves under the other.
	 */
	ck_assert_msg(llabs((long long)(entry - exit)) <= 16, "%lld in, %lld out", (long long)entry,
	              (long long)exit);
	json_decref(json);
}
END_TEST

START_TEST(pcid_keeps_translations)
{
	json_t *pcid = read_json(_i, "tour_on", "json"),
	       *none = read_json(_i, "tour_nopcid", "json");

	if (has_feature(pcid, "pcid")) {
		ck_assert_str_eq(
		    json_string_value(json_object_get(json_object_get(pcid, "guest"), "pti")),
		    "pcid");
		ck_assert_int_lt(number_at(pcid, "cr3", "flush"), number_at(none, "cr3", "flush"));
	} else {
		ck_assert_str_eq(
		    json_string_value(json_object_get(json_object_get(pcid, "guest"), "pti")),
		    "nopcid");
	}
	json_decref(pcid);
	json_decref(none);
}
END_TEST

/* A KVM that behaves as the manuals say needs nothing completed. */
START_TEST(faithful_kvm_needs_no_quirk)
{
	json_t *json = read_json(_i, "tour", "json");

	if (strcmp(hosts[_i].name, "local")) {
		ck_assert_int_eq(number_at(json, "quirks", "syscall"), 0);
		ck_assert_int_eq(number_at(json, "quirks", "int_n"), 0);
		ck_assert_int_eq(number_at(json, "quirks", "stac"), 0);
		ck_assert_int_eq(number_at(json, "quirks", "ud_injected"), 0);
	}
	json_decref(json);
}
END_TEST

/* ---- The tour's words
 * ------------------------------------------------------------------------------ */

struct values {
	unsigned long long before, inside, after;
};

/* The row `name` of the block `title` in the tour's anatomy. */
static struct values row_of(const char *tour, const char *title, const char *name, bool hex)
{
	char wanted[64];
	const char *at;
	struct values v;

	snprintf(wanted, sizeof(wanted), "\n  %-10s", title);
	at = strstr(tour, wanted);
	ck_assert_msg(at, "the tour has no block '%s'", title);
	snprintf(wanted, sizeof(wanted), "\n    %-8s", name);
	at = strstr(at, wanted);
	ck_assert_msg(at, "block '%s' has no row '%s'", title, name);
	ck_assert_int_eq(sscanf(at + strlen(wanted), hex ? "%llx %llx %llx" : "%llu %llu %llu",
	                        &v.before, &v.inside, &v.after),
	                 3);
	return v;
}

static const char *const blocks[] = {"SYSCALL", "INT 0x80", "#PF", "#UD", "#GP", "CR3 switch"};
#define BLOCKS ((int)(sizeof(blocks) / sizeof(blocks[0])))

START_TEST(crossing_changes_what_it_must)
{
	const char *title = blocks[_i % BLOCKS];
	const bool is_switch = !strcmp(title, "CR3 switch");
	char *tour = read_text(_i / BLOCKS, "tour", "out");
	struct values cpl = row_of(tour, title, "CPL", false), cs = row_of(tour, title, "CS", true);
	struct values ss = row_of(tour, title, "SS", true), rsp = row_of(tour, title, "RSP", true);
	struct values cr3 = row_of(tour, title, "CR3", true);
	struct values flags = row_of(tour, title, "RFLAGS", true);

	ck_assert(cpl.before == 3 && cpl.inside == 0 && cpl.after == 3);
	ck_assert(cs.before == 0x2b && cs.inside == 0x08 && cs.after == 0x2b);
	ck_assert(ss.before == 0x23 && ss.inside != 0x23 && ss.after == 0x23);
	ck_assert(rsp.before < 0x800000000000 && rsp.after == rsp.before);
	ck_assert(rsp.inside >> 40 == 0xffffc9);
	/* Two roots: another table inside; back to the same one, or to another process's. */
	ck_assert_uint_ne(cr3.before, cr3.inside);
	ck_assert(is_switch ? cr3.after != cr3.before && cr3.after != cr3.inside
	                    : cr3.after == cr3.before);
	ck_assert(flags.before & 0x200 && !(flags.inside & 0x200) && flags.after & 0x200);
	free(tour);
}
END_TEST

START_TEST(tour_proves_isolation)
{
	char *tour = read_text(_i, "tour", "out");
	const char *off = strstr(tour, "  KPTI off: ring 3 runs on the kernel root");
	const char *on = off ? strstr(off, "  KPTI on") : NULL;
	const char *fault;
	char *end;
	long kernel_pages, user_pages;

	ck_assert_msg(off && on, "no section on isolation");
	fault = strstr(off, "ring 3 reads kernel text");
	ck_assert(fault && fault < on && strstr(fault, "#PF error code 5") < on);
	fault = strstr(on, "ring 3 reads kernel text");
	ck_assert(fault && !strncmp(strstr(fault, "#PF"), "#PF error code 4", 16));
	fault = strstr(on, "ring 3 reads entry text");
	ck_assert(fault && !strncmp(strstr(fault, "#PF"), "#PF error code 5", 16));
	ck_assert(!strstr(tour, "ALLOWED"));
	kernel_pages =
	    strtol(strstr(off, "maps ") + 5, &end, 10) * 1000 + strtol(end + 1, NULL, 10);
	user_pages = strtol(strstr(on, "maps ") + 5, NULL, 10);
	/* 64 MiB of direct map and the image; entry text (2), IDT, words, GDT, TSS, entry stack, 7
	 * ISTs. */
	ck_assert_int_gt(kernel_pages, 16384);
	ck_assert_int_eq(user_pages, 2 + 1 + 3 + 1 + 14);
	free(tour);
}
END_TEST

START_TEST(tour_runs_processes)
{
	must_say(_i, "tour", "out", "(forked by SYSCALL 57)");
	must_say(_i, "tour", "out", "(forked by INT 0x80 number 2)");
	must_say(_i, "tour", "out", "exited with 7; here the variable is still 1");
	must_say(_i, "tour", "out", "was ended by signal 11");
	must_say(_i, "tour", "out", "syscall(999) = -1, errno 38");
	must_say(_i, "tour", "out", " passed, 0 failed, ");
}
END_TEST

/* "1,234.5" is 1234. */
static long grouped_number(const char *at)
{
	long value = 0;

	for (at += strspn(at, " "); *at == ',' || (*at >= '0' && *at <= '9'); at++)
		if (*at != ',')
			value = value * 10 + (*at - '0');
	return value;
}

START_TEST(tour_prints_costs)
{
	static const char *const rows[] = {"SYSCALL getpid",          "INT 0x80 getpid",
	                                   "#PF to a ring 3 handler", "#UD to a ring 3 handler",
	                                   "#GP to a ring 3 handler", "CR3 switch by sched_yield"};
	char *tour = read_text(_i, "tour", "out"), *table = strstr(tour, "\nCycles per crossing");

	ck_assert_ptr_nonnull(table);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *row = strstr(table, rows[i]);

		ck_assert_msg(row, "no row '%s'", rows[i]);
		ck_assert_msg(grouped_number(row + strlen(rows[i])) > 10, "row '%s' costs nothing",
		              rows[i]);
	}
	free(tour);
}
END_TEST

START_TEST(pti_option_is_obeyed)
{
	must_say(_i, "tour_off", "out", "KPTI off\n");
	must_say(_i, "tour_nopcid", "out", "KPTI on, without PCID\n");
	must_say(_i, "tour_on", "out", "KPTI on, with");
}
END_TEST

/* ---- The other programs
 * -------------------------------------------------------------------------------- */

/* What prints TAP, and how many checks it makes at least: two KPTI modes' where there are no PCIDs.
 */
static const struct {
	const char *name;
	int checks;
} tap_runs[] = {
    {"processes", 60},
    {"processes_cpus2", 58},
    {"processes_noapic", 56},
};
#define TAP_RUNS ((int)(sizeof(tap_runs) / sizeof(tap_runs[0])))

START_TEST(guest_checks_pass)
{
	const int host = _i / TAP_RUNS;
	const char *name = tap_runs[_i % TAP_RUNS].name;
	char *out = read_text(host, name, "out");
	int passed = 0;

	for (const char *at = out; (at = strstr(at, "\nok ")); at++)
		passed++;
	ck_assert_msg(!strstr(out, "\nnot ok"), "%s: %s: %.3000s", hosts[host].name, name,
	              strstr(out, "\nnot ok"));
	ck_assert_msg(status_of(host, name) == 0, "%s: %s: status %d", hosts[host].name, name,
	              status_of(host, name));
	ck_assert_int_ge(passed, tap_runs[_i % TAP_RUNS].checks);
	must_say(host, name, "out", " 0 failed");
	free(out);
}
END_TEST

/* ---- Processes ------------------------------------------------------------------------------- */

/* The sum of the numbers with commas that stand before `word`. */
static long sum_before(const char *text, const char *word)
{
	long sum = 0;

	for (const char *at = text; (at = strstr(at, word)); at++) {
		long value = 0, scale = 1;

		for (const char *digit = at - 1; digit >= text && strchr("0123456789,", *digit);
		     digit--)
			if (*digit != ',') {
				value += (*digit - '0') * scale;
				scale *= 10;
			}
		sum += value;
	}
	return sum;
}

START_TEST(a_million_crossings_add_up)
{
	char *out = read_text(_i, "processes", "out");
	json_t *json = read_json(_i, "processes", "json");

	/* Declared: the AMD box's emulator delivers an interrupt a second time where its own timer
	 * gets in between, a few in ten thousand. */
	if (strcmp(hosts[_i].name, "amd") != 0)
		ck_assert_int_eq(number_at(json, "crossings", "if_clear"), 0);
	json_decref(json);
	ck_assert_msg(strstr(out, "scheduling is preemptive"), "%s: %.200s", hosts[_i].name, out);
	ck_assert_int_ge(sum_before(out, " crossings, "), 999900);
	/* In the AMD box that counts instructions each is a nanosecond: a million crossings take a
	 * tenth of a second there, and slices are some milliseconds long. */
	ck_assert_int_ge(sum_before(out, " slices ended"), 50);
	free(out);
}
END_TEST

START_TEST(without_a_timer_scheduling_is_cooperative)
{
	must_say(_i, "processes_noapic", "out",
	         "scheduling is cooperative: this machine has no timer");
	must_say(_i, "processes_noapic", "out",
	         "time slices end in ring 3 # SKIP no timer works here");
}
END_TEST

START_TEST(two_cpus_share_the_work)
{
	must_say(_i, "processes_cpus2", "out", "# 2 CPUs, scheduling is preemptive");
}
END_TEST

/* ---- The galleries: walls, hostile, crossings, memory
 * -------------------------------------------------------- */

/* On a host whose departures are known, as many rows as the manuals and the host agree on; fewer
 * mean that something was skipped or declared away. */
static const struct gallery {
	const char *name;
	struct {
		const char *host;
		int ok, departures;
	} wanted[3];
} galleries[] = {
    {"walls", {{"local", 433, 38}, {"amd", 421, 56}, {"intel", 710, 6}}},
    {"hostile", {{"local", 354, 22}, {"amd", 366, 22}, {"intel", 585, 3}}},
    {"crossings", {{"local", 104, 10}, {"amd", 114, 8}, {"intel", 192, 0}}},
    {"memory", {{"local", 174, 0}, {"amd", 174, 0}, {"intel", 260, 0}}},
    /* All of them. */
    {"tour", {{"local", 1065, 70}, {"amd", 1075, 86}, {"intel", 1747, 9}}},
    {"check_cpus2", {{"local", 1065, 70}, {"amd", 1075, 86}, {"intel", 1747, 9}}},
};
#define GALLERIES ((int)(sizeof(galleries) / sizeof(galleries[0])))

static int member(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	ck_assert_msg(json_is_integer(value), "no number '%s'", key);
	return (int)json_integer_value(value);
}

static const char *words(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	ck_assert_msg(text, "no text '%s'", key);
	return text;
}

static json_t *rows_of(const json_t *json)
{
	return json_object_get(json_object_get(json, "escapes"), "rows");
}

/* What the gallery took the host for. */
static const char *host_of(const json_t *json)
{
	return words(json_array_get(rows_of(json), 0), "host");
}

/* The row of that name in a table; NULL: it has none. */
static const json_t *same_row(const json_t *rows, const json_t *row)
{
	const json_t *other;
	size_t i;

	json_array_foreach(rows, i, other)
	{
		if (!strcmp(words(other, "name"), words(row, "name")) &&
		    !strcmp(words(other, "group"), words(row, "group")) &&
		    !strcmp(words(other, "program"), words(row, "program")) &&
		    !strcmp(words(other, "mode"), words(row, "mode")))
			return other;
	}
	return NULL;
}

/* Ring 3 of the interpreter's guests runs on this machine's own CR4: where its kernel has
 * protection keys off, the rows that need them depart, and the numbers of `galleries` are of a
 * machine that has them on. */
static int departures_of_keys(const json_t *rows)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	bool on = false;
	char word[64];
	size_t i;
	json_t *row;
	int count = 0;

	while (file && !on && fscanf(file, "%63s", word) == 1)
		on = !strcmp(word, "ospke");
	if (file)
		fclose(file);
	json_array_foreach(rows, i, row)
	{
		count += !on && !strcmp(words(row, "group"), "Protection keys") &&
		         !strcmp(words(row, "verdict"), "departs");
	}
	return count;
}

/* The guest declares what it expects of a host; the test knows how much of it that may be. */
START_TEST(gallery_holds)
{
	const struct gallery *gallery = &galleries[_i % GALLERIES];
	const int host = _i / GALLERIES;
	json_t *json = read_json(host, gallery->name, "json"), *row;
	const json_t *escapes = json_object_get(json, "escapes");
	size_t i;

	json_array_foreach(json_object_get(escapes, "rows"), i, row)
	{
		ck_assert_msg(strcmp(words(row, "verdict"), "differs"), "%s: %s: %s, %s",
		              hosts[host].name, gallery->name, words(row, "group"),
		              words(row, "name"));
		ck_assert_msg(same_row(json_object_get(escapes, "rows"), row) == row,
		              "%s: two rows are called %s, %s", gallery->name, words(row, "group"),
		              words(row, "name"));
	}
	ck_assert_int_eq(status_of(host, gallery->name), 0);
	ck_assert_int_eq(member(escapes, "differs"), 0);
	ck_assert_uint_eq(i, (unsigned)(member(escapes, "ok") + member(escapes, "departs") +
	                                member(escapes, "skipped")));
	for (int w = 0; w < 3; w++) {
		/* Another local KVM than the one these numbers are of is judged by its rows alone.
		 */
		if (strcmp(gallery->wanted[w].host, hosts[host].name) ||
		    (w == 0 && strcmp(host_of(json), "interpreter")))
			continue;
		int keys = w == 0 ? departures_of_keys(json_object_get(escapes, "rows")) : 0;

		ck_assert_int_ge(member(escapes, "ok") + keys, gallery->wanted[w].ok);
		ck_assert_int_le(member(escapes, "departs") - keys, gallery->wanted[w].departures);
	}
	json_decref(json);
}
END_TEST

START_TEST(boxes_are_recognised)
{
	json_t *json = read_json(_i, "walls", "json");

	if (!strcmp(hosts[_i].name, "amd"))
		ck_assert_str_eq(host_of(json), "tcg");
	if (!strcmp(hosts[_i].name, "intel"))
		ck_assert_str_eq(host_of(json), "counter");
	json_decref(json);
}
END_TEST

START_TEST(death_is_explained)
{
	ck_assert_int_eq(status_of(_i, "crash_stack"), 126);
	must_say(_i, "crash_stack", "err", "#DF double fault");
	must_say(_i, "crash_stack", "err", "overflowed into its guard");
	ck_assert_int_eq(status_of(_i, "crash_fault"), 126);
	must_say(_i, "crash_fault", "err", "#PF page fault in ring 0");
	must_say(_i, "crash_fault", "err", "mov qword ptr [0x10], 0");
	ck_assert_int_eq(status_of(_i, "crash_rsp0"), 126);
	must_say(_i, "crash_rsp0", "err", "#DF double fault in ring 3");
	must_say(_i, "crash_rsp0", "err", "there is no stack where TSS.RSP0 points");
	ck_assert_int_eq(status_of(_i, "crash_triple"), 126);
	must_say(_i, "crash_triple", "err", "riple fault");
}
END_TEST

/* A process that faults and faults again keeps nobody from stopping it. */
START_TEST(storm_is_stopped)
{
	ck_assert_int_eq(status_of(_i, "crash_storm"), 124);
	must_say(_i, "crash_storm", "out", "faults of ring 3");
}
END_TEST

/* ---- Looking: the same answers on every KVM
 * ---------------------------------------------------------- */

START_TEST(audit_and_walk_hold)
{
	ck_assert_int_eq(status_of(_i, "look"), 0);
	must_say(_i, "look", "out", "27 rules kept, 0 broken");
	must_say(_i, "look", "out", "ring 3 read of 0xffffffff80");
	must_say(_i, "look", "out", ": #PF 0x4 at the PDPT entry: not present");
	must_say(_i, "look", "out", "direct map of RAM");
}
END_TEST

/* With RAM beyond 4 GiB, where the guest's frames then are: on Intel KVM has a page of its own
 * below it. */
START_TEST(much_ram_is_used)
{
	ck_assert_int_eq(status_of(_i, "high"), 0);
	ck_assert_int_eq(status_of(_i, "high_memory"), 0);
	must_say(_i, "high", "out", "27 rules kept, 0 broken");
	must_say(_i, "high", "out", "ffff888000000000 - ffff8880bfffffff      3 GiB  rw--g   .");
	must_say(_i, "high", "out", "ffff888100000000 - ffff88823fffffff      5 GiB  rw--g   .");
}
END_TEST

/* Some crossings cannot be made on some hosts, and vmm says why; "local" may be any machine. */
static const struct {
	const char *name;
	const char *never_on, *perhaps_not_on, *why;
} anatomies[] = {
    {.name = "anatomy_syscall"},
    {.name = "anatomy_int80"},
    {.name = "anatomy_pagefault"},
    {.name = "anatomy_irq"},
    {.name = "anatomy_fork"},
    {.name = "anatomy_context-switch"},
    {"anatomy_sysenter", "amd", "local", "which has no SYSENTER in long mode"},
    {"anatomy_callgate", "", "local", "the far CALL was tried and ended as #UD"},
};
#define ANATOMIES ((int)(sizeof(anatomies) / sizeof(anatomies[0])))

static bool is_host(int host, const char *name)
{
	return name && !strcmp(hosts[host].name, name);
}

START_TEST(anatomy_follows_the_crossing)
{
	const int host = _i / ANATOMIES;
	const int which = _i % ANATOMIES;
	const char *name = anatomies[which].name;

	if (is_host(host, anatomies[which].never_on) ||
	    (is_host(host, anatomies[which].perhaps_not_on) && status_of(host, name) != 0)) {
		ck_assert_int_eq(status_of(host, name), 125);
		must_say(host, name, "err", anatomies[which].why);
		return;
	}
	ck_assert_int_eq(status_of(host, name), 0);
	must_say(host, name, "out", "\n3 user   user   user   IF "); /* the last of ring 3 */
	must_say(host, name, "out", "\n0 kernel kernel kernel -  "); /* behind both switches */
	must_say(host, name, "out", "swapgs");
	must_say(host, name, "out", " cr3, ");
	must_say(host, name, "out", " instructions in ring 0");
}
END_TEST

START_TEST(inspection_stops_at_the_vector)
{
	json_error_t error;
	char *text = read_text(_i, "inspect", "err");
	json_t *json = json_loads(text, JSON_DISABLE_EOF_CHECK, &error);

	ck_assert_msg(json, "%s: %s: %.500s", hosts[_i].name, error.text, text);
	ck_assert_str_eq(json_string_value(json_object_get(json, "kind")), "vector");
	ck_assert(strstr(json_string_value(json_object_get(json, "why")), "#PF"));
	json_decref(json);
	free(text);
}
END_TEST

/* Recording changes nothing that the guest counts, and what it leaves is whole. */
START_TEST(trace_and_page_are_whole)
{
	json_t *trace = read_json(_i, "trace", "json"), *traced = read_json(_i, "traced", "json");
	json_t *untraced = read_json(_i, "untraced", "json");
	char *page = read_text(_i, "trace", "html");

	ck_assert_int_eq(status_of(_i, "trace"), 0);
	ck_assert_uint_gt(json_array_size(json_object_get(trace, "traceEvents")), 100);
	ck_assert(json_equal(json_object_get(traced, "crossings"),
	                     json_object_get(untraced, "crossings")));
	ck_assert(strstr(page, "</html>") && strstr(page, "entry area"));
	free(page);
	json_decref(trace);
	json_decref(traced);
	json_decref(untraced);
}
END_TEST

START_TEST(core_can_be_inspected)
{
	ck_assert_int_eq(status_of(_i, "core"), 126);
	ck_assert_int_eq(status_of(_i, "inspect_core"), 0);
	must_say(_i, "inspect_core", "out", "PANIC");
	must_say(_i, "inspect_core", "out", " 0 broken");
	must_say(_i, "inspect_core", "out", "kernel text");
}
END_TEST

START_TEST(plain_guest_runs)
{
	ck_assert_int_eq(status_of(_i, "hello"), 7);
	must_say(_i, "hello", "out", "Hello from ring 0.");
}
END_TEST

START_TEST(probe_answers)
{
	json_t *json = read_json(_i, "probe", "out");

	ck_assert_int_eq(status_of(_i, "probe"), 0);
	ck_assert(json_is_object(json));
	json_decref(json);
}
END_TEST

/* A program of tests/kvm ran there, and all of its tests passed. */
static void check_program_passes(int host, const char *name)
{
	char *out = read_text(host, name, "out");

	ck_assert_msg(status_of(host, name) == 0, "%s: %s", hosts[host].name, out);
	ck_assert_msg(strstr(out, "100%: Checks: "), "%s", out);
	free(out);
}

START_TEST(interrupts_are_no_system_calls)
{
	check_program_passes(_i, "external80");
}
END_TEST

START_TEST(debugger_bears_signals)
{
	check_program_passes(_i, "arrival");
}
END_TEST

START_TEST(walk_agrees_with_kvm)
{
	check_program_passes(_i, "translate");
}
END_TEST

START_TEST(cpus_work_together)
{
	char *out = read_text(_i, "cpus", "out");

	ck_assert_msg(status_of(_i, "cpus") == 0, "%s: %s", hosts[_i].name, out);
	ck_assert_msg(strstr(out, "\n1..23") && !strstr(out, "not ok"), "%s", out);
	free(out);
}
END_TEST

/* ---- Between hosts
 * ---------------------------------------------------------------------------------------- */

static const char *const compared[] = {"tour_off", "tour_on", "tour_nopcid"};
#define COMPARED ((int)(sizeof(compared) / sizeof(compared[0])))

START_TEST(hosts_count_the_same)
{
	const char *name = compared[_i % COMPARED];
	const int host = 1 + _i / COMPARED;
	json_t *a = read_json(0, name, "json"), *b = read_json(host, name, "json");
	json_t *ca = json_object_get(a, "crossings"), *cb = json_object_get(b, "crossings");

	ck_assert(json_is_object(ca) && json_is_object(cb));
	if (!json_equal(ca, cb))
		ck_abort_msg("%s: %s counts %s,\nbut %s counts %s", name, hosts[0].name,
		             json_dumps(ca, JSON_COMPACT), hosts[host].name,
		             json_dumps(cb, JSON_COMPACT));
	json_decref(a);
	json_decref(b);
}
END_TEST

/* What is expected is the manuals' on every host; what came is the same where none departs. */
START_TEST(galleries_agree)
{
	const char *name = galleries[_i % GALLERIES].name;
	const int host = 1 + _i / GALLERIES;
	json_t *a = read_json(0, name, "json"), *b = read_json(host, name, "json"), *row;
	size_t i, same = 0;

	json_array_foreach(rows_of(a), i, row)
	{
		const json_t *other = same_row(rows_of(b), row);

		if (!other || !strcmp(words(row, "verdict"), "skipped") ||
		    !strcmp(words(other, "verdict"), "skipped"))
			continue;
		ck_assert_msg(
		    json_equal(json_object_get(row, "want"), json_object_get(other, "want")),
		    "%s: '%s' is not expected to be the same", name, words(row, "name"));
		if (strcmp(words(row, "verdict"), "ok") || strcmp(words(other, "verdict"), "ok"))
			continue;
		ck_assert_msg(
		    json_equal(json_object_get(row, "got"), json_object_get(other, "got")),
		    "%s: '%s' is not the same", name, words(row, "name"));
		same++;
	}
	ck_assert_uint_ge(same, 50);
	json_decref(a);
	json_decref(b);
}
END_TEST

/* "GROUP: WHAT" of the check that this line prints, up to its end; false: the line prints none. */
static bool check_name(const char *line, char *name, size_t size)
{
	unsigned number;
	int begin = 0;

	if (sscanf(line, "ok %u - %n", &number, &begin) != 1 || !begin)
		return false;
	snprintf(name, size, " - %.*s\n", (int)strcspn(line + begin, "\n"), line + begin);
	return true;
}

/* Each check of one host is made, and passes, on the other: but for PCIDs, which not all have. */
START_TEST(processes_agree)
{
	const int host = 1 + _i;
	char *a = read_text(0, "processes", "out"), *b = read_text(host, "processes", "out");
	char name[200];
	int same = 0;

	for (const char *line = a; line && *line;
	     line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (!check_name(line, name, sizeof(name)) || !strncmp(name, " - pcid:", 8))
			continue;
		ck_assert_msg(strstr(b, name), "%s has no '%s'", hosts[host].name, name);
		same++;
	}
	ck_assert_int_ge(same, 56);
	free(a);
	free(b);
}
END_TEST

static Suite *suite(bool compare)
{
	Suite *s = suite_create(compare ? "hosts compared" : hosts[0].name);
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	if (compare) {
		tcase_add_loop_test(tc, hosts_count_the_same, 0, (host_count - 1) * COMPARED);
		tcase_add_loop_test(tc, galleries_agree, 0, (host_count - 1) * GALLERIES);
		tcase_add_loop_test(tc, processes_agree, 0, host_count - 1);
	} else {
		tcase_add_loop_test(tc, run_succeeds_and_exits_add_up, 0, host_count * RUNS);
		tcase_add_loop_test(tc, cr3_writes_pair, 0, host_count);
		tcase_add_loop_test(tc, pcid_keeps_translations, 0, host_count);
		tcase_add_loop_test(tc, faithful_kvm_needs_no_quirk, 0, host_count);
		tcase_add_loop_test(tc, crossing_changes_what_it_must, 0, host_count * BLOCKS);
		tcase_add_loop_test(tc, tour_proves_isolation, 0, host_count);
		tcase_add_loop_test(tc, tour_runs_processes, 0, host_count);
		tcase_add_loop_test(tc, tour_prints_costs, 0, host_count);
		tcase_add_loop_test(tc, pti_option_is_obeyed, 0, host_count);
		tcase_add_loop_test(tc, guest_checks_pass, 0, host_count * TAP_RUNS);
		tcase_add_loop_test(tc, a_million_crossings_add_up, 0, host_count);
		tcase_add_loop_test(tc, without_a_timer_scheduling_is_cooperative, 0, host_count);
		tcase_add_loop_test(tc, two_cpus_share_the_work, 0, host_count);
		tcase_add_loop_test(tc, gallery_holds, 0, host_count * GALLERIES);
		tcase_add_loop_test(tc, boxes_are_recognised, 0, host_count);
		tcase_add_loop_test(tc, death_is_explained, 0, host_count);
		tcase_add_loop_test(tc, storm_is_stopped, 0, host_count);
		tcase_add_loop_test(tc, audit_and_walk_hold, 0, host_count);
		tcase_add_loop_test(tc, much_ram_is_used, 0, host_count);
		tcase_add_loop_test(tc, anatomy_follows_the_crossing, 0, host_count * ANATOMIES);
		tcase_add_loop_test(tc, inspection_stops_at_the_vector, 0, host_count);
		tcase_add_loop_test(tc, trace_and_page_are_whole, 0, host_count);
		tcase_add_loop_test(tc, core_can_be_inspected, 0, host_count);
		tcase_add_loop_test(tc, plain_guest_runs, 0, host_count);
		tcase_add_loop_test(tc, probe_answers, 0, host_count);
		tcase_add_loop_test(tc, walk_agrees_with_kvm, 0, host_count);
		tcase_add_loop_test(tc, interrupts_are_no_system_calls, 0, host_count);
		tcase_add_loop_test(tc, debugger_bears_signals, 0, host_count);
		tcase_add_loop_test(tc, cpus_work_together, 0, host_count);
	}
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	const bool compare = argc > 1 && !strcmp(argv[1], "--compare");
	SRunner *runner;
	int failed;

	for (int i = 1 + compare; i < argc && host_count < MAX_HOSTS; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals)
			break;
		*equals = '\0';
		hosts[host_count].name = argv[i];
		hosts[host_count++].directory = equals + 1;
	}
	if (host_count < 1 + compare || host_count != argc - 1 - compare) {
		fprintf(stderr, "usage: tour_test [--compare] NAME=DIRECTORY...\n");
		return 2;
	}
	runner = srunner_create(suite(compare));
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
