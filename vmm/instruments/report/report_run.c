#include "vmm/instruments/report/report_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/message.h"
#include "vmm/base/output.h"
#include "vmm/instruments/report/report.h"
#include "vmm/instruments/report/report_html.h"
#include "vmm/look/roots.h"

/* ---- Where it goes ------------------------------------------------------------------------- */

static bool write_report(FILE *out, enum stats_format form, const struct report_input *in,
                         bool color)
{
	if (form == STATS_JSON)
		return report_json(out, in);
	report_text(out, in, color);
	return true;
}

static bool no_memory(void)
{
	return message_error("no memory for the report");
}

static bool report_to_file(struct report *report, const struct report_input *in, bool color)
{
	struct outfile *out = &report->stats_file;

	if (write_report(out->stream, report->stats, in, color) || out->output.error)
		return outfile_commit(out);
	outfile_abandon(out);
	return no_memory();
}

static bool report_to_stdout(const struct report *report, const struct report_input *in, bool color)
{
	if (!write_report(stdout, report->stats, in, color) && !output_stdout.error)
		return no_memory();
	return output_finish("the report");
}

/* False after a message. */
static bool report_stats(struct report *report, const struct machine *machine,
                         const struct manner *manner, const struct report_input *in)
{
	const bool color = manner_colors_file(manner, &report->stats_file, STDOUT_FILENO);

	if (report->stats == STATS_NONE)
		return true;
	if (report->stats_file.stream)
		return report_to_file(report, in, color);
	/* Where the guest's output could not go, the report cannot either: that was said. */
	return machine->console.failed || report_to_stdout(report, in, color);
}

/* ---- The page ------------------------------------------------------------------------------ */

/* Ring 3's root, and of the same kernel: they have the entry area's first page of words in common.
 * One that a guest freed since, or invented, does not have it. */
static bool is_user_root_of(const struct pt *kernel, const struct pt *user)
{
	struct pt_walk ours, theirs;

	if (roots_kind(user) != ROOT_USER)
		return false;
	pt_walk(kernel, RS_ENTRY_CPU(0), &ours);
	pt_walk(user, RS_ENTRY_CPU(0), &theirs);
	return ours.mapped && theirs.mapped && ours.pa == theirs.pa;
}

/* The user root: the one in force, else the one that ring 3 was last seen on.  Returns in words
 * when that was; NULL: none is known. */
static const char *find_user_root(const struct machine *machine, const struct pt *kernel,
                                  struct pt *user)
{
	for (unsigned cpu = 0; cpu < machine->boot.cpus; cpu++) {
		*user = pt_attach(kernel->geo, kernel->mem, machine->boot.call[cpu]->user_cr3);
		if (is_user_root_of(kernel, user))
			return "in force at the end";
	}
	for (unsigned i = 0; i < machine->boot.cpus * RS_MARKS; i++) {
		const struct rs_mark *mark = &machine->boot.call[i / RS_MARKS]->marks[i % RS_MARKS];

		if (!mark->count || mark->cpl != 3)
			continue;
		*user = pt_attach(kernel->geo, kernel->mem, mark->cr3);
		if (is_user_root_of(kernel, user))
			return "that ring 3 ran on at its last mark, KPTI being off at the end";
	}
	return NULL;
}

static const char *collect_spaces(const struct machine *machine, struct space_rows *spaces)
{
	const struct pt *boot = &machine->boot.kernel;

	/* Regions with names are those of Ringscope's own address space. */
	if (!machine->boot.call[0]) {
		*spaces = (struct space_rows){0};
		return NULL;
	}

	const uint64_t cr3 = machine->boot.call[machine->outcome.cpu]->kernel_cr3;
	const struct pt kernel = cr3 ? pt_attach(boot->geo, boot->mem, cr3) : *boot;
	struct pt user;
	const char *from = find_user_root(machine, &kernel, &user);

	space_rows_collect(spaces, &kernel, from ? &user : NULL);
	return from;
}

/* False after a message. */
static bool report_page(struct report *report, const struct machine *machine,
                        const struct report_input *input)
{
	struct space_rows *spaces = malloc(sizeof(*spaces));
	bool good;

	if (!spaces)
		return no_memory();

	const struct report_html_input in = {
	    .report = input,
	    .timeline = &report->timeline,
	    .user_root_from = collect_spaces(machine, spaces),
	    .spaces = spaces,
	};

	report_html(report->page.stream, &in);
	good = outfile_commit(&report->page);
	free(spaces);
	return good;
}

/* ---- What is known ------------------------------------------------------------------------- */

/* The facts of a machine and what they point to. */
struct facts {
	struct stats sum; /* of several CPUs */
	struct rs_stats counts, cpu_counts[RS_MAX_CPUS];
	struct report_cpu cpus[RS_MAX_CPUS];
	struct report_input input;
};

/* With several CPUs the wall clock; with one its time in the guest and in the VMM, which is all
 * there is. */
static uint64_t elapsed_ns(const struct machine *machine)
{
	const struct stats *first = &machine->cpus[0].stats;
	struct stats_times times;
	uint64_t end = 0;

	if (machine->boot.cpus == 1) {
		stats_times(first, &times);
		return times.run_ns;
	}
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		const struct stats *stats = &machine->cpus[i].stats;

		if (stats->nanosecond0 + stats->nanoseconds > end)
			end = stats->nanosecond0 + stats->nanoseconds;
	}
	return end - first->nanosecond0;
}

static void collect_cpu(struct facts *facts, const struct cpu *cpu)
{
	const struct machine *machine = cpu->machine;
	struct rs_stats *counts = &facts->cpu_counts[cpu->number];

	if (machine->boot.stats[cpu->number])
		*counts = *machine->boot.stats[cpu->number];
	facts->cpus[cpu->number] = (struct report_cpu){
	    .started = cpu->started,
	    .halted = cpu->halted,
	    .stats = &cpu->stats,
	    .counts = machine->image.noted ? counts : NULL,
	};
}

/* False after a message. */
static bool collect(struct facts *facts, struct machine *machine)
{
	const unsigned cpus = machine->boot.cpus;

	for (unsigned i = 0; i < cpus; i++) {
		collect_cpu(facts, &machine->cpus[i]);
		if (cpus > 1 && machine->cpus[i].started &&
		    !stats_add(&facts->sum, &machine->cpus[i].stats))
			return message_error("no memory for the report: %s", strerror(errno));
	}
	host_describe(&machine->kvm.host);
	if (machine->image.noted)
		facts->counts = boot_counts(&machine->boot);
	facts->input = (struct report_input){
	    .stats = cpus > 1 ? &facts->sum : &machine->cpus[0].stats,
	    .elapsed_ns = elapsed_ns(machine),
	    .cpus = facts->cpus,
	    .cpu_count = cpus,
	    .outcome = &machine->outcome,
	    .plan = machine->plan,
	    .host = &machine->kvm.host,
	    .counts = machine->image.noted ? &facts->counts : NULL,
	    .features = machine->kvm.host.features,
	    .quirks = machine->quirks,
	    .pti_mode = machine->pti_mode,
	    .levels = machine->boot.kernel.geo.levels,
	    .noted = machine->image.noted,
	    .protocol = machine->image.protocol->name,
	    .booted_as = machine->image.protocol->is_pc ? machine->image.protocol->title : NULL,
	    .records = machine->figures.list,
	    .record_count = machine->figures.count,
	    .escapes = machine->attempts.list,
	    .escape_count = machine->attempts.count,
	};
	return true;
}

/* ---- The instrument ------------------------------------------------------------------------ */

/* Collecting alone would touch each page of the statistics. */
static bool wanted(const void *mine)
{
	const struct report *report = mine;

	return report->stats != STATS_NONE || report->page.path;
}

static void see_exit(struct observer *observer, struct cpu *cpu, uint64_t entered)
{
	struct report *report = (struct report *)observer;

	(void)entered;
	timeline_add(&report->timeline, cpu->stats.last, stats_serving(&cpu->stats));
}

static bool begin(void *mine, struct machine *machine, struct manner *manner)
{
	struct report *report = mine;

	(void)manner;
	if (!report->page.path)
		return true;
	timeline_start(&report->timeline, stats_now());
	report->observer = (struct observer){.served = see_exit};
	machine_observe(machine, &report->observer);
	return true;
}

static bool write_page(struct report *report, struct machine *machine,
                       const struct report_input *in)
{
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		if (machine->cpus[i].started)
			timeline_reach(&report->timeline, machine->cpus[i].stats.last);
	}
	return report_page(report, machine, in);
}

static enum instrument_result end(void *mine, struct machine *machine, struct manner *manner)
{
	struct report *report = mine;
	/* Not zeroed as a whole: most of its 40 KiB is for CPUs that are not there. */
	struct facts facts;
	bool good;

	facts.sum = (struct stats){0};
	good = collect(&facts, machine);
	if (good) {
		facts.input.quiet = manner->quiet;
		facts.input.trace = *report->trace;
		good = !report->page.path || write_page(report, machine, &facts.input);
		good = report_stats(report, machine, manner, &facts.input) && good;
	}
	stats_free(&facts.sum);
	return good ? INSTRUMENT_DONE : INSTRUMENT_LOST;
}

const struct instrument report_instrument = {
    .option = "report", .wanted = wanted, .begin = begin, .end = end};
