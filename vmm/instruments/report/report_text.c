#include "vmm/instruments/report/report.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/base/color.h"
#include "vmm/base/names.h"
#include "vmm/base/printable.h"
#include "vmm/base/units.h"
#include "vmm/devices/counters.h"

/* A number and what it counts: a line of a list. */
struct row {
	uint64_t count;
	const char *text;
};

/* Rows whose count is not 0, numbers aligned to the widest. */
static void print_rows(FILE *out, const struct row *rows, size_t count)
{
	char buf[UNITS_SIZE];
	int width = 0;

	for (size_t i = 0; i < count; i++) {
		int length = (int)strlen(units_count(buf, rows[i].count));

		if (length > width)
			width = length;
	}
	for (size_t i = 0; i < count; i++) {
		if (rows[i].count)
			fprintf(out, "  %*s  %s\n", width, units_count(buf, rows[i].count),
			        rows[i].text);
	}
}

static bool any(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].count)
			return true;
	}
	return false;
}

/* A headed list, unless all is 0. */
static void print_list(FILE *out, const struct style *style, const char *head,
                       const struct row *rows, size_t count)
{
	if (!any(rows, count))
		return;
	fprintf(out, "\n%s%s%s\n", style->head, head, style->end);
	print_rows(out, rows, count);
}

enum { ROWS_MAX = 16 }; /* of one group of counters */

#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])

/* ---- The run ----------------------------------------------------------------------------- */

static void print_run(FILE *out, const struct report_input *in, const struct style *style)
{
	struct stats_times times;
	char name[256], end[96], run[UNITS_SIZE], guest[UNITS_SIZE], vmm[UNITS_SIZE];
	char guest_share[UNITS_SIZE], vmm_share[UNITS_SIZE], mem[UNITS_SIZE];
	const char *path = in->plan->guest ? in->plan->guest : "";

	stats_times(in->stats, &times);
	outcome_words(in->outcome, end, sizeof(end));
	fprintf(out, "\n%sRun%s  %s %s", style->head, style->end,
	        printable(name, sizeof(name), path, strlen(path)), end);
	if (in->cpu_count > 1 && outcome_is_of_cpu(in->outcome))
		fprintf(out, " on CPU %u", in->outcome->cpu);
	fprintf(out, " after %s\n", units_time(run, in->elapsed_ns));
	fprintf(out, "     %s in the guest (%s), %s in the VMM (%s)%s\n",
	        units_time(guest, times.guest_ns),
	        units_share(guest_share, times.guest_ns, times.run_ns),
	        units_time(vmm, times.vmm_ns), units_share(vmm_share, times.vmm_ns, times.run_ns),
	        in->cpu_count > 1 ? ", of all CPUs" : "");
	fputs("     ", out);
	if (in->cpu_count > 1)
		fprintf(out, "%u CPUs, ", in->cpu_count);
	if (in->booted_as) {
		fprintf(out, "%s of RAM; booted by %s\n", units_bytes(mem, in->plan->mem),
		        in->booted_as);
		return;
	}
	fprintf(out, "%s of RAM, %" PRIu32 "-level paging, KPTI %s at the start\n",
	        units_bytes(mem, in->plan->mem), in->levels,
	        in->pti_mode == RS_PTI_OFF      ? "off"
	        : in->pti_mode == RS_PTI_PCID   ? "on with PCID"
	        : in->pti_mode == RS_PTI_NOPCID ? "on without PCID"
	                                        : "unknown");
}

/* ---- Exits ------------------------------------------------------------------------------- */

/* The reasons that were counted, the most frequent first. */
static size_t sort_reasons(const struct stats_summary summary[STATS_REASONS],
                           uint32_t order[STATS_REASONS])
{
	size_t count = 0;

	for (uint32_t i = 0; i < STATS_REASONS; i++) {
		size_t at = count;

		if (!summary[i].count)
			continue;
		for (; at > 0 && summary[order[at - 1]].count < summary[i].count; at--)
			order[at] = order[at - 1];
		order[at] = i;
		count++;
	}
	return count;
}

static void print_exits(FILE *out, const struct report_input *in, const struct style *style)
{
	struct stats_summary summary[STATS_REASONS];
	uint32_t order[STATS_REASONS];
	struct stats_times times;
	char count[UNITS_SIZE], time[6][UNITS_SIZE];

	stats_times(in->stats, &times);
	stats_summarize(in->stats, summary);

	size_t reasons = sort_reasons(summary, order);

	fprintf(out, "\n%sExits%s  %s returns from KVM_RUN\n", style->head, style->end,
	        units_count(count, times.exits));
	if (!reasons)
		return;
	fprintf(out, "%s  %-16s%12s%12s%9s%9s%9s%9s%13s%s\n", style->faint, "", "", "time in VMM",
	        "min", "p50", "p99", "max", "guest before", style->end);
	for (size_t i = 0; i < reasons; i++) {
		const struct stats_summary *s = &summary[order[i]];

		fprintf(out, "  %-16s%12s%12s%9s%9s%9s%9s%13s\n", stats_reason_name(order[i]),
		        units_count(count, s->count), units_time(time[0], s->total_ns),
		        units_time(time[1], s->min_ns), units_time(time[2], s->p50_ns),
		        units_time(time[3], s->p99_ns), units_time(time[4], s->max_ns),
		        units_time(time[5], s->guest_ns));
	}
}

/* ---- The CPUs ---------------------------------------------------------------------------- */

enum { CPU_REASONS = 5 }; /* columns for exit reasons: the most frequent */

static void print_cell(FILE *out, uint64_t count)
{
	char buf[UNITS_SIZE];

	fprintf(out, "%12s", count ? units_count(buf, count) : "-");
}

static void print_cpu_exits(FILE *out, const struct report_cpu *cpu, const uint32_t *reasons,
                            size_t count)
{
	struct stats_times times;
	char buf[UNITS_SIZE];

	stats_times(cpu->stats, &times);
	fprintf(out, "%12s", units_time(buf, times.guest_ns));
	fprintf(out, "%12s", units_time(buf, times.vmm_ns));
	for (size_t i = 0; i < count; i++)
		print_cell(out, cpu->stats->reasons[reasons[i]].count);
	fputs(cpu->halted ? "  halted\n" : "\n", out);
}

static uint64_t faults(const struct rs_stats *counts)
{
	uint64_t sum = 0;

	for (unsigned v = 0; v < 32; v++)
		sum += counts->vectors[v];
	return sum;
}

static void print_cpu_counts(FILE *out, const struct rs_stats *counts)
{
	print_cell(out, counts->syscall64 + counts->syscall32 + counts->sysenter);
	print_cell(out, counts->int80);
	print_cell(out, faults(counts));
	print_cell(out, counts->context_switches);
	print_cell(out, counts->preempt_ring3 + counts->preempt_ring0);
	print_cell(out, counts->idle);
	print_cell(out, counts->shootdowns);
	fputc('\n', out);
}

/* Who did what: the times and the exits of each CPU, then what the guest counted on it. */
static void print_cpus(FILE *out, const struct report_input *in, const struct style *style)
{
	struct stats_summary summary[STATS_REASONS];
	uint32_t order[STATS_REASONS];
	size_t reasons;

	if (in->cpu_count <= 1)
		return;
	stats_summarize(in->stats, summary);
	reasons = sort_reasons(summary, order);
	if (reasons > CPU_REASONS)
		reasons = CPU_REASONS;
	fprintf(out, "\n%sCPUs%s    %s%12s%12s", style->head, style->end, style->faint, "guest",
	        "VMM");
	for (size_t i = 0; i < reasons; i++)
		fprintf(out, "%12.12s", stats_reason_name(order[i]));
	fprintf(out, "%s\n", style->end);
	for (unsigned i = 0; i < in->cpu_count; i++) {
		fprintf(out, "  CPU %u ", i);
		if (in->cpus[i].started)
			print_cpu_exits(out, &in->cpus[i], order, reasons);
		else
			fputs("      was not started\n", out);
	}
	if (!in->counts)
		return;
	fprintf(out, "%s        %12s%12s%12s%12s%12s%12s%12s%s\n", style->faint, "SYSCALL",
	        "INT 0x80", "exceptions", "switches", "slices", "idle", "shootdowns", style->end);
	for (unsigned i = 0; i < in->cpu_count; i++) {
		if (!in->cpus[i].started)
			continue;
		fprintf(out, "  CPU %u ", i);
		print_cpu_counts(out, in->cpus[i].counts);
	}
}

static void print_services(FILE *out, const struct stats *stats, const struct style *style)
{
	const struct row rows[] = {
	    {stats->console_bytes, "bytes to the console"},
	    {stats->input_bytes, "bytes of standard input"},
	    {stats->hypercalls, "hypercalls"},
	    {stats->bad_hypercalls, "of them refused: an unknown function or a bad argument"},
	    {stats->unknown_io, "accesses to ports that nothing answers"},
	    {stats->unknown_mmio, "accesses to memory that nothing answers"},
	};

	print_list(out, style, "Services", ROWS(rows));
}

/* ---- What the guest counted -------------------------------------------------------------- */

/* Those of a group as rows; returns how many. */
static size_t group_rows(struct row *rows, enum counter_group group, const struct rs_stats *counts)
{
	size_t count = 0;

	for (const struct counter *c = counters; c->key; c++) {
		if (c->group == group)
			rows[count++] = (struct row){counter_value(c, counts), c->text};
	}
	return count;
}

static void print_group(FILE *out, const struct style *style, const char *name,
                        enum counter_group group, const struct rs_stats *counts)
{
	struct row rows[ROWS_MAX] = {{0}};
	const size_t count = group_rows(rows, group, counts);

	print_list(out, style, name, rows, count);
}

static void print_crossings(FILE *out, const struct rs_stats *counts, const struct style *style)
{
	struct row rows[256 + 2 * ROWS_MAX];
	char text[256][48];
	size_t count = group_rows(rows, COUNTERS_ENTRIES, counts);

	for (unsigned v = 0; v < 256; v++) {
		/* INT 0x80 has its own line; vector 0x80 only when it says something else. */
		if (!counts->vectors[v] ||
		    (v == 0x80 && counts->vectors[v] == counts->int80 + counts->external80))
			continue;
		snprintf(text[v], sizeof(text[v]), "%s, %s", vector_name(v), vector_text(v));
		rows[count++] = (struct row){counts->vectors[v], text[v]};
	}
	count += group_rows(rows + count, COUNTERS_EVENTS, counts);
	print_list(out, style, "Crossings, as the guest counted them", rows, count);
}

static void print_quirks(FILE *out, const struct report_input *in, const struct style *style)
{
	const struct rs_stats *counts = in->counts;
	const struct row rows[] = {
	    {counts ? counts->quirk_syscall : 0,
	     "SYSCALL entries completed after a fault; this KVM does not raise CPL"},
	    {counts ? counts->quirk_intn : 0,
	     "INT n completed after #UD; this KVM does not let ring 3 use it"},
	    {in->stats->quirk_stac,
	     "STAC and CLAC skipped by the VMM; this KVM cannot run them in ring 0"},
	    {in->stats->quirk_ud_injected,
	     "#UD given to ring 3 by the VMM; this KVM stops where a processor faults"},
	};

	print_list(out, style, "Completed for this KVM", ROWS(rows));
}

/* Only what is missing: that there is a trace the user knows. */
static void print_trace(FILE *out, const struct report_input *in, const struct style *style)
{
	const struct row rows[] = {
	    {in->trace.dropped, "events dropped: the file had reached --trace-limit"},
	    {in->trace.lost, "events lost: between two exits the guest's ring was full"},
	};

	print_list(out, style, "Missing in the trace", ROWS(rows));
}

/* ---- The host ---------------------------------------------------------------------------- */

static void print_host(FILE *out, const struct report_input *in, const struct style *style)
{
	const uint64_t vendors = RS_FEATURE_AMD | RS_FEATURE_INTEL;
	const struct host *host = in->host;
	char features[160];

	fprintf(out, "\n%sHost%s  %s, family %" PRIu32 " model %" PRIu32 " stepping %" PRIu32,
	        style->head, style->end, *host->brand ? host->brand : host->vendor, host->family,
	        host->model, host->stepping);
	if (host->tsc_khz)
		fprintf(out, ", TSC %" PRIu64 " MHz", host->tsc_khz / 1000);
	fprintf(out, "\n      Linux %s, KVM API %d, %" PRIu32 "-bit physical addresses\n",
	        *host->kernel ? host->kernel : "(unknown)", host->kvm_api, host->maxphyaddr);
	fprintf(out, "      the guest may use %s\n",
	        bits_text(features, sizeof(features), feature_names, in->features & ~vendors));
	if (host->cpuid_features & ~in->features & ~vendors)
		fprintf(out, "      KVM offers and it may not use %s\n",
		        bits_text(features, sizeof(features), feature_names,
		                  host->cpuid_features & ~in->features & ~vendors));
}

void report_text(FILE *out, const struct report_input *in, bool color)
{
	const struct style style = style_get(color);

	print_run(out, in, &style);
	print_exits(out, in, &style);
	print_cpus(out, in, &style);
	print_services(out, in->stats, &style);
	if (in->counts) {
		print_crossings(out, in->counts, &style);
		print_group(out, &style, "Scheduling", COUNTERS_SCHEDULING, in->counts);
		print_group(out, &style, "CR3 writes", COUNTERS_CR3, in->counts);
	}
	print_quirks(out, in, &style);
	print_trace(out, in, &style);
	print_host(out, in, &style);
}
