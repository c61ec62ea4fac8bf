#include "vmm/instruments/report/report_html.h"

#include <inttypes.h>

#include "vmm/base/names.h"
#include "vmm/base/units.h"
#include "vmm/devices/counters.h"
#include "vmm/instruments/report/html.h"
#include "vmm/instruments/report/report_charts.h"
#include "vmm/instruments/report/report_costs.h"
#include "vmm/instruments/report/report_escapes.h"

/* page.css as text, from report_style.S. */
extern const char report_style[];

/* ---- In words -------------------------------------------------------------------------------- */

static const char *pti_words(uint32_t mode)
{
	switch (mode) {
	case RS_PTI_OFF:
		return "off";
	case RS_PTI_PCID:
		return "on, with PCID";
	case RS_PTI_NOPCID:
		return "on, without PCID";
	default:
		return "unknown";
	}
}

static uint64_t exceptions(const struct rs_stats *counts)
{
	uint64_t sum = 0;

	for (unsigned v = 0; v < 32; v++)
		sum += counts->vectors[v];
	return sum;
}

/* Ways into ring 0.  Sums of a hostile guest's counters may wrap, and are shown as they are. */
static uint64_t crossings(const struct rs_stats *counts)
{
	return counts->syscall64 + counts->syscall32 + counts->sysenter + counts->int80 +
	       exceptions(counts);
}

static void say_spaces(FILE *out, const struct report_html_input *in)
{
	const struct space_rows *spaces = in->spaces;
	char kernel[UNITS_SIZE], user[UNITS_SIZE];

	if (!in->report->noted)
		html_format(out, "The guest has one root, which maps %s page%s of the kernel half.",
		            units_count(kernel, spaces->kernel_half[SPACE_KERNEL]),
		            units_s(spaces->kernel_half[SPACE_KERNEL]));
	else if (!spaces->known[SPACE_USER])
		html_format(
		    out,
		    "One root served both rings at the end: ring 3's tables map %s page%s of "
		    "the kernel half, guarded by the U/S bit alone.",
		    units_count(kernel, spaces->kernel_half[SPACE_KERNEL]),
		    units_s(spaces->kernel_half[SPACE_KERNEL]));
	else
		html_format(
		    out,
		    "With KPTI on, ring 3 runs on tables that map %s of the %s page%s of the "
		    "kernel half; the rest is not there to be read, whatever a CPU leaks.",
		    units_count(user, spaces->kernel_half[SPACE_USER]),
		    units_count(kernel, spaces->kernel_half[SPACE_KERNEL]),
		    units_s(spaces->kernel_half[SPACE_KERNEL]));
}

static void write_words(FILE *out, const struct report_html_input *in)
{
	const struct report_input *r = in->report;
	const struct rs_stats *counts = r->counts;
	char buf[4][UNITS_SIZE];
	struct stats_times times;

	stats_times(r->stats, &times);
	fputs("<ul class=\"words\">\n<li>", out);
	html_format(out, "%s of the time was the guest's; the VMM took %s to serve %s exit%s.",
	            units_share(buf[0], times.guest_ns, times.run_ns),
	            units_time(buf[1], times.vmm_ns), units_count(buf[2], times.exits),
	            units_s(times.exits));
	fputs("</li>\n<li>", out);
	if (counts) {
		html_format(out,
		            "Ring 3 went into ring 0 %s time%s: %s by SYSCALL, %s by INT 0x80, ",
		            units_count(buf[0], crossings(counts)), units_s(crossings(counts)),
		            units_count(buf[1], counts->syscall64 + counts->syscall32),
		            units_count(buf[2], counts->int80));
		html_format(out, "%s by exception%s, without leaving the guest for it.",
		            units_count(buf[3], exceptions(counts)), units_s(exceptions(counts)));
		fputs("</li>\n<li>", out);
	}
	report_costs_words(out, r);
	say_spaces(out, in);
	fputs("</li>\n", out);
	if (r->escape_count) {
		fputs("<li>", out);
		report_escapes_words(out, r->escapes, r->escape_count);
		fputs("</li>\n", out);
	}
	if (in->report->trace.dropped || in->report->trace.lost) {
		fputs("<li>", out);
		html_format(out,
		            "The trace %s is not complete: %s event%s dropped at its limit, %s "
		            "did not get into the guest's ring.",
		            in->report->trace.file, units_count(buf[0], in->report->trace.dropped),
		            in->report->trace.dropped == 1 ? " was" : "s were",
		            units_count(buf[1], in->report->trace.lost));
		fputs("</li>\n", out);
	}
	fputs("</ul>\n", out);
}

/* ---- The head -----------------------------------------------------------------------------------
 */

static void write_tile(FILE *out, const char *value, const char *label)
{
	fputs("<div class=\"tile\"><b>", out);
	html_text(out, value);
	fputs("</b><span>", out);
	html_text(out, label);
	fputs("</span></div>\n", out);
}

static void write_head(FILE *out, const struct report_html_input *in)
{
	const struct report_input *r = in->report;
	struct stats_times times;
	char buf[UNITS_SIZE], end[96];

	stats_times(r->stats, &times);
	outcome_words(r->outcome, end, sizeof(end));
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
	      "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>Ringscope: ",
	      out);
	html_text(out, r->plan->guest);
	fputs("</title>\n<style>\n", out);
	fputs(report_style, out);
	fputs("</style>\n</head>\n<body>\n<header>\n<p class=\"soft\">Ringscope report</p>\n<h1>",
	      out);
	html_text(out, r->plan->guest);
	for (unsigned i = 0; plan_argument(r->plan, i); i++) {
		fputc(' ', out);
		html_text(out, plan_argument(r->plan, i));
	}
	html_format(out, " %s", end);
	fputs("</h1>\n<div class=\"tiles\">\n", out);
	write_tile(out, units_time(buf, r->elapsed_ns), "run time");
	write_tile(out, units_count(buf, times.exits), "exits to the VMM");
	write_tile(out, r->counts ? units_count(buf, crossings(r->counts)) : "not counted",
	           "crossings into ring 0");
	write_tile(out,
	           r->pti_mode == RS_PTI_OFF    ? "off"
	           : r->pti_mode == RS_PTI_PCID ? "PCID"
	                                        : "on",
	           "KPTI at the start");
	fputs("</div>\n</header>\n", out);
	fputs("<section>\n<h2>In plain words</h2>\n", out);
	write_words(out, in);
	fputs("</section>\n", out);
}

/* ---- Exits ----------------------------------------------------------------------------------- */

static void write_reason(FILE *out, uint32_t reason, const struct stats_summary *s, uint64_t most)
{
	char buf[6][UNITS_SIZE];

	fputs("<tr><td class=\"mono\">", out);
	html_text(out, stats_reason_name(reason));
	fprintf(out,
	        "</td><td class=\"bar\"><span class=\"meter\" style=\"width:%.1f%%\"></span></td>"
	        "<td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
	        100.0 * (double)s->count / (double)most, units_count(buf[0], s->count),
	        units_time(buf[1], s->total_ns), units_time(buf[2], s->min_ns),
	        units_time(buf[3], s->p50_ns), units_time(buf[4], s->p99_ns),
	        units_time(buf[5], s->max_ns));
}

static void write_exits(FILE *out, const struct report_html_input *in)
{
	struct stats_summary summary[STATS_REASONS];
	const struct timeline *timeline = in->timeline;
	const uint64_t slot = stats_nanoseconds(in->report->stats, UINT64_C(1) << timeline->shift);
	uint64_t most = 0;
	char buf[UNITS_SIZE];

	stats_summarize(in->report->stats, summary);
	for (uint32_t i = 0; i < STATS_REASONS; i++)
		most = summary[i].count > most ? summary[i].count : most;
	fputs("<section>\n<h2>Exits over time</h2>\n<figure>\n", out);
	chart_exits(out, timeline, (double)(slot ? slot : 1));
	fputs("</figure>\n<p class=\"note\">", out);
	html_format(out, "Returns from KVM_RUN; each bar stands for %s.", units_time(buf, slot));
	fputs("</p>\n</section>\n", out);
	if (!most)
		return;
	fputs("<section>\n<h2>Exits by reason</h2>\n<table>\n<tr><th>reason</th><th "
	      "class=\"bar\"></th>"
	      "<th>exits</th><th>time in "
	      "VMM</th><th>min</th><th>p50</th><th>p99</th><th>max</th></tr>\n",
	      out);
	for (;;) {
		uint32_t best = STATS_REASONS;

		for (uint32_t i = 0; i < STATS_REASONS; i++) {
			if (summary[i].count &&
			    (best == STATS_REASONS || summary[i].count > summary[best].count))
				best = i;
		}
		if (best == STATS_REASONS)
			break;
		write_reason(out, best, &summary[best], most);
		summary[best].count = 0;
	}
	fputs("</table>\n</section>\n", out);
}

/* ---- Lists of counters ----------------------------------------------------------------------- */

static void write_count(FILE *out, const char *what, uint64_t count)
{
	char buf[UNITS_SIZE];

	if (!count)
		return;
	fputs("<tr><td>", out);
	html_text(out, what);
	fprintf(out, "</td><td>%s</td></tr>\n", units_count(buf, count));
}

static void write_cell(FILE *out, const char *text)
{
	fprintf(out, "<td>%s</td>", text);
}

static void write_group(FILE *out, enum counter_group group, const struct rs_stats *counts)
{
	for (const struct counter *c = counters; c->key; c++) {
		if (c->group == group)
			write_count(out, c->text, counter_value(c, counts));
	}
}

/* The same under a head, unless all of them are 0. */
static void write_headed_group(FILE *out, const char *head, enum counter_group group,
                               const struct rs_stats *counts)
{
	bool any = false;

	for (const struct counter *c = counters; c->key; c++)
		any |= c->group == group && counter_value(c, counts);
	if (!any)
		return;
	fprintf(out, "<tr><th>%s</th><th></th></tr>\n", head);
	write_group(out, group, counts);
}

static void write_crossings(FILE *out, const struct rs_stats *counts)
{
	char what[64];

	if (!counts)
		return;
	fputs("<section>\n<h2>Crossings</h2>\n<div class=\"two\">\n<table>\n", out);
	write_group(out, COUNTERS_ENTRIES, counts);
	for (unsigned v = 0; v < 256; v++) {
		if (v == 0x80)
			continue;
		snprintf(what, sizeof(what), "%s, %s", vector_name(v), vector_text(v));
		write_count(out, what, counts->vectors[v]);
	}
	write_group(out, COUNTERS_EVENTS, counts);
	fputs("</table>\n<table>\n", out);
	write_headed_group(out, "CR3 writes", COUNTERS_CR3, counts);
	write_headed_group(out, "Scheduling", COUNTERS_SCHEDULING, counts);
	fputs("</table>\n</div>\n<p class=\"note\">As the guest counted them, in memory, without "
	      "an exit.</p>\n"
	      "</section>\n",
	      out);
}

/* What each CPU did; nothing with one. */
static void write_cpus(FILE *out, const struct report_input *in)
{
	char buf[UNITS_SIZE];

	if (in->cpu_count <= 1)
		return;
	fputs("<section>\n<h2>CPUs</h2>\n<table>\n<tr><th>CPU</th><th>in the guest</th>"
	      "<th>in the VMM</th><th>exits</th><th>context switches</th><th>time slices ended</th>"
	      "<th>idle</th><th>shootdowns sent</th></tr>\n",
	      out);
	for (unsigned i = 0; i < in->cpu_count; i++) {
		const struct report_cpu *cpu = &in->cpus[i];
		struct stats_times times;

		fprintf(out, "<tr><td>%u%s</td>", i,
		        !cpu->started ? ", not started"
		        : cpu->halted ? ", halted"
		                      : "");
		if (cpu->started) {
			stats_times(cpu->stats, &times);
			write_cell(out, units_time(buf, times.guest_ns));
			write_cell(out, units_time(buf, times.vmm_ns));
			write_cell(out, units_count(buf, times.exits));
		}
		if (cpu->started && cpu->counts) {
			write_cell(out, units_count(buf, cpu->counts->context_switches));
			write_cell(out, units_count(buf, cpu->counts->preempt_ring3 +
			                                     cpu->counts->preempt_ring0));
			write_cell(out, units_count(buf, cpu->counts->idle));
			write_cell(out, units_count(buf, cpu->counts->shootdowns));
		}
		fputs("</tr>\n", out);
	}
	fputs("</table>\n</section>\n", out);
}

static void write_quirks(FILE *out, const struct report_input *in)
{
	const uint64_t syscall = in->counts ? in->counts->quirk_syscall : 0;
	const uint64_t intn = in->counts ? in->counts->quirk_intn : 0;

	fputs("<section>\n<h2>Completed for this KVM</h2>\n", out);
	if (!syscall && !intn && !in->stats->quirk_stac && !in->stats->quirk_ud_injected) {
		fputs("<p>Nothing: this KVM did all that the guest asked for as the manuals "
		      "say.</p>\n"
		      "</section>\n",
		      out);
		return;
	}
	fputs("<table>\n", out);
	write_count(out,
	            "SYSCALL entries that arrived as a page fault: this KVM does not raise CPL",
	            syscall);
	write_count(out, "INT n that arrived as #UD: this KVM does not let ring 3 use it", intn);
	write_count(out, "STAC and CLAC skipped: this KVM cannot run them in ring 0",
	            in->stats->quirk_stac);
	write_count(out, "#UD given to ring 3: this KVM stops where a processor faults",
	            in->stats->quirk_ud_injected);
	fputs("</table>\n</section>\n", out);
}

/* ---- Address spaces -------------------------------------------------------------------------- */

static void write_spaces(FILE *out, const struct report_html_input *in)
{
	const struct space_rows *spaces = in->spaces;

	fputs("<section>\n<h2>The two address spaces</h2>\n<figure>\n", out);
	chart_spaces(out, spaces);
	fputs("</figure>\n<p class=\"note\">Highest address on top; unmapped stretches between the "
	      "rows are "
	      "left out (dotted). Within a row addresses run from left to right to scale; the "
	      "row's height "
	      "grows with the logarithm of what it spans. u: a page that ring 3 may use. ",
	      out);
	if (in->user_root_from)
		html_format(out, "The user root is the one %s.", in->user_root_from);
	else
		html_text(
		    out,
		    "KPTI was off at the end and no other root was seen: ring 3 runs on the kernel "
		    "root.");
	if (spaces->cut[SPACE_KERNEL] || spaces->cut[SPACE_USER])
		html_text(out,
		          " The guest's tables are damaged or too many: not all of them is shown.");
	fputs("</p>\n</section>\n", out);
}

/* ---- The machine ----------------------------------------------------------------------------- */

static void write_fact(FILE *out, const char *what, const char *value)
{
	fputs("<tr><td>", out);
	html_text(out, what);
	fputs("</td><td>", out);
	html_text(out, value);
	fputs("</td></tr>\n", out);
}

static void write_machine(FILE *out, const struct report_input *in)
{
	static const char *const choices[] = {
	    [PTI_AUTO] = "auto",
	    [PTI_ON] = "on",
	    [PTI_OFF] = "off",
	};
	const struct host *host = in->host;
	const uint64_t shown = ~(RS_FEATURE_AMD | RS_FEATURE_INTEL);
	char text[256], buf[UNITS_SIZE];

	fputs("<section>\n<h2>The machine</h2>\n<table class=\"facts\">\n", out);
	snprintf(text, sizeof(text), "%s, family %" PRIu32 " model %" PRIu32 " stepping %" PRIu32,
	         *host->brand ? host->brand : host->vendor, host->family, host->model,
	         host->stepping);
	write_fact(out, "host CPU", text);
	snprintf(text, sizeof(text), "Linux %s, KVM API %d", host->kernel, host->kvm_api);
	write_fact(out, "host kernel", text);
	if (host->tsc_khz) {
		snprintf(text, sizeof(text), "%" PRIu64 " MHz", host->tsc_khz / 1000);
		write_fact(out, "time stamp counter", text);
	}
	write_fact(out, "KVM's CPUID offers",
	           bits_text(text, sizeof(text), feature_names, host->cpuid_features & shown));
	write_fact(out, "the guest may use",
	           bits_text(text, sizeof(text), feature_names, in->features & shown));
	snprintf(text, sizeof(text),
	         "%u CPU%s, %s of RAM, %" PRIu32 "-level paging, %" PRIu32
	         "-bit physical addresses",
	         in->cpu_count, units_s(in->cpu_count), units_bytes(buf, in->plan->mem), in->levels,
	         host->maxphyaddr);
	write_fact(out, "virtual machine", text);
	snprintf(text, sizeof(text), "--pti %s%s%s; at the start KPTI was %s",
	         choices[in->plan->pti], in->plan->no_pcid ? " --no-pcid" : "",
	         in->plan->la57 ? " --la57" : "", pti_words(in->pti_mode));
	write_fact(out, "options", text);
	if (host->rdcl_no_known)
		write_fact(out, "Meltdown",
		           host->rdcl_no ? "this CPU does not need KPTI (RDCL_NO, or AMD)"
		                         : "this CPU does not say that it can do without KPTI");
	fputs("</table>\n</section>\n", out);
}

void report_html(FILE *out, const struct report_html_input *in)
{
	write_head(out, in);
	report_costs(out, in->report);
	report_overheads(out, in->report);
	write_spaces(out, in);
	write_exits(out, in);
	write_cpus(out, in->report);
	write_crossings(out, in->report->counts);
	write_quirks(out, in->report);
	report_escapes(out, in->report->escapes, in->report->escape_count);
	write_machine(out, in->report);
	fputs("<footer>Written by Ringscope vmm " RS_VERSION
	      ". Point at a bar or a range for its figures; "
	      "--stats json has all of them for a program.</footer>\n</body>\n</html>\n",
	      out);
}
