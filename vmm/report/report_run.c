#include "vmm/report/report_run.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/message.h"
#include "vmm/output.h"
#include "vmm/report/report.h"
#include "vmm/report/report_page.h"
#include "vmm/trace/recorder.h"

/* ---- Where it goes ------------------------------------------------------------------------- */

static bool write_report(FILE *out, const struct report_input *in, bool color)
{
	if (in->options->stats == STATS_JSON)
		return report_json(out, in);
	report_text(out, in, color);
	return true;
}

static bool no_memory(void)
{
	return message_error("no memory for the report");
}

static bool report_to_file(struct outfile *out, const struct report_input *in)
{
	if (write_report(out->stream, in, in->options->color == COLOR_ALWAYS) || out->output.error)
		return outfile_commit(out);
	outfile_abandon(out);
	return no_memory();
}

static bool report_to_stdout(const struct report_input *in)
{
	if (!write_report(stdout, in, options_color(in->options, STDOUT_FILENO)) &&
	    !output_stdout.error)
		return no_memory();
	return output_finish("the report");
}

/* False after a message. */
static bool report_stats(struct machine *machine, const struct report_input *in)
{
	if (in->options->stats == STATS_NONE)
		return true;
	if (in->options->stats_file)
		return report_to_file(&machine->outputs.stats, in);
	/* Where the guest's output could not go, the report cannot either: that was said. */
	return machine->console.failed || report_to_stdout(in);
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

	*counts = *machine->boot.stats[cpu->number];
	facts->cpus[cpu->number] = (struct report_cpu){
	    .started = cpu->started,
	    .halted = cpu->halted,
	    .stats = &cpu->stats,
	    .counts = machine->image.noted ? counts : NULL,
	};
}

static void collect_trace(struct report_input *in, const struct recorder *recorder)
{
	const struct trace *trace = &recorder->trace;

	in->trace_file = in->options->trace_file;
	in->trace_events = trace->file.events;
	in->trace_dropped = trace->file.dropped;
	in->trace_lost = trace->lost;
}

/* False after a message. */
static bool collect(struct facts *facts, struct machine *machine, const struct recorder *recorder)
{
	const unsigned cpus = machine->boot.cpus;

	for (unsigned i = 0; i < cpus; i++) {
		collect_cpu(facts, &machine->cpus[i]);
		if (cpus > 1 && machine->cpus[i].started &&
		    !stats_add(&facts->sum, &machine->cpus[i].stats))
			return message_error("no memory for the report: %s", strerror(errno));
	}
	host_describe(&machine->kvm.host);
	facts->counts = boot_counts(&machine->boot);
	facts->input = (struct report_input){
	    .stats = cpus > 1 ? &facts->sum : &machine->cpus[0].stats,
	    .elapsed_ns = elapsed_ns(machine),
	    .cpus = facts->cpus,
	    .cpu_count = cpus,
	    .outcome = &machine->outcome,
	    .options = machine->options,
	    .host = &machine->kvm.host,
	    .counts = machine->image.noted ? &facts->counts : NULL,
	    .features = machine->kvm.host.features,
	    .quirks = machine->quirks,
	    .pti_mode = machine->pti_mode,
	    .levels = machine->boot.kernel.geo.levels,
	    .noted = machine->image.noted,
	    .records = machine->records.list,
	    .record_count = machine->records.count,
	    .escapes = machine->escapes.list,
	    .escape_count = machine->escapes.count,
	};
	if (machine->options->trace_file)
		collect_trace(&facts->input, recorder);
	return true;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static bool write_all(struct machine *machine, const struct recorder *recorder)
{
	/* Not zeroed as a whole: most of its 40 KiB is for CPUs that are not there. */
	struct facts facts;
	bool good;

	facts.sum = (struct stats){0};
	good = collect(&facts, machine, recorder);

	if (good) {
		const bool page =
		    !machine->options->report_file || report_page(machine, recorder, &facts.input);

		good = report_stats(machine, &facts.input) && page;
	}
	stats_free(&facts.sum);
	return good;
}

bool report_run(struct machine *machine, const struct recorder *recorder)
{
	/* Collecting alone would touch each page of the statistics. */
	if (machine->options->stats == STATS_NONE && !machine->options->report_file)
		return true;
	return write_all(machine, recorder);
}
