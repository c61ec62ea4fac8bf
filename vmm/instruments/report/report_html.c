#include "vmm/instruments/report/report_html.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/base/names.h"
#include "vmm/base/units.h"
#include "vmm/devices/counters.h"
#include "vmm/devices/figures.h"
#include "vmm/instruments/report/html.h"
#include "vmm/instruments/report/report_charts.h"
#include "vmm/instruments/report/report_escapes.h"
#include "vmm/instruments/report/svg.h"

/* Colours: blue, orange and grey of one lightness each are told apart with any colour vision (Okabe
 * and Ito), and nothing is said by colour alone. */
static const char style[] =
    ":root{--bg:#fff;--fg:#1c2126;--soft:#5a6570;--line:#dde2e7;--panel:#f5f7f9;--accent:#0b5c9e;"
    "--m0:#a9cbe8;--m1:#4a90c9;--m2:#1f5487;--m3:#8a949e;--rx:#3c82bd;--rw:#e3a43c;--ro:#b9c1c9;"
    "--in:#fff;--inrw:#3a2800;--wh:#1c2126;--ok:#1a7f5a;--warn:#a34b00}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181c;--fg:#e4e8ec;--soft:#98a3ad;--line:#"
    "2d343b;"
    "--panel:#1b2126;--accent:#79b8f0;--m0:#c7dff3;--m1:#6aabe0;--m2:#2f74b0;--m3:#7c8791;"
    "--rx:#4a92cf;--rw:#d79a35;--ro:#66717b;--in:#fff;--inrw:#241900;--wh:#e4e8ec;--ok:#5cc79c;"
    "--warn:#f0a35c}}\n"
    "@page{size:A4;margin:14mm}\n"
    "@media print{:root{--bg:#fff;--fg:#000;--soft:#444;--line:#bbb;--panel:#fff;--accent:#0b5c9e;"
    "--m0:#a9cbe8;--m1:#4a90c9;--m2:#1f5487;--m3:#8a949e;--rx:#3c82bd;--rw:#e3a43c;--ro:#b9c1c9;"
    "--inrw:#3a2800;--wh:#000;--ok:#1a7f5a;--warn:#a34b00}"
    "body{font-size:10pt;padding:0!important}*{print-color-adjust:exact;-webkit-print-color-adjust:"
    "exact}"
    "section,figure,tr{break-inside:avoid}section.long{break-inside:auto}"
    "h2,summary{break-after:avoid}}\n"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;padding:28px 24px "
    "48px;max-width:948px;background:var(--bg);color:var(--fg);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",\"Liberation Sans\",Arial,sans-serif}"
    "h1{font-size:26px;line-height:1.2;margin:0 0 4px;font-weight:650}"
    "h2{font-size:18px;margin:38px 0 8px;padding-bottom:6px;border-bottom:1px solid var(--line);"
    "font-weight:620}"
    "p{margin:6px 0}.soft{color:var(--soft)}p.note{color:var(--soft);font-size:13px}"
    "code,.mono{font-family:ui-monospace,\"DejaVu Sans Mono\",\"Liberation Mono\",monospace;"
    "font-size:.92em}\n"
    ".tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:10px;margin:20px 0 8px}"
    ".tile{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:10px "
    "14px}"
    ".tile b{display:block;font-size:21px;font-weight:620;line-height:1.25;"
    "font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:13px}\n"
    "ul.words{margin:14px 0 0;padding:0 0 0 20px}ul.words li{margin:5px 0}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th{font-weight:500;color:var(--soft);font-size:13px;text-align:right;padding:4px 0 4px 14px}"
    "td{text-align:right;padding:4px 0 4px 14px;border-top:1px solid var(--line)}"
    "th:first-child,td:first-child,td.l,th.l{text-align:left}td:first-child,th:first-child{padding-"
    "left:0}"
    "td.bar{width:150px}.meter{display:block;height:10px;background:var(--m1);min-width:2px}"
    "table.facts td:first-child{color:var(--soft);width:200px;vertical-align:top}"
    "table.facts td{text-align:left}\n"
    ".two{display:grid;grid-template-columns:1fr 1fr;gap:0 44px;align-items:start}"
    "figure{margin:12px 0 0}svg{display:block;width:100%;height:auto}"
    "svg text{font-family:inherit;fill:var(--fg);font-size:12px}"
    "svg .n{fill:var(--soft);font-variant-numeric:tabular-nums;font-size:11.5px}"
    "svg .s{fill:var(--soft);font-size:11px}svg .h{font-weight:600;font-size:13px}"
    "svg .a{font-family:ui-monospace,\"DejaVu Sans Mono\",\"Liberation "
    "Mono\",monospace;font-size:10.5px;"
    "fill:var(--soft)}"
    "svg .in{font-family:ui-monospace,\"DejaVu Sans Mono\",\"Liberation "
    "Mono\",monospace;font-size:11px;"
    "fill:var(--in)}svg .rw+.in,svg .ro+.in{fill:var(--inrw)}"
    ".grid{stroke:var(--line)}.axis{stroke:var(--soft)}.whisker{stroke:var(--wh);stroke-width:1}"
    ".m0,.k0{fill:var(--m0)}.m1{fill:var(--m1)}.m2{fill:var(--m2)}.m3,.k2{fill:var(--m3)}"
    ".k0{fill:var(--m1)}.k1{fill:var(--rw)}"
    ".l0{stroke:var(--m0);stroke-width:2}.l1{stroke:var(--m1);stroke-width:2}"
    ".l2{stroke:var(--m2);stroke-width:2;stroke-dasharray:6 4}.l3{stroke:var(--m3);stroke-width:2}"
    ".rx{fill:var(--rx)}.rw{fill:var(--rw)}.ro{fill:var(--ro)}.rwx{fill:#c0392b}"
    ".hole{fill:var(--panel);stroke:var(--line)}"
    ".none{fill:none;stroke:var(--line);stroke-dasharray:3 4}"
    ".break{stroke:var(--soft);stroke-dasharray:1 5;stroke-linecap:round}"
    ".entry{fill:none;stroke:var(--accent);stroke-width:1.5}svg "
    ".e{fill:var(--accent);font-weight:600}\n"
    "footer{margin-top:44px;padding-top:10px;border-top:1px solid var(--line);color:var(--soft);"
    "font-size:13px}"
    "@media(max-width:640px){.tiles{grid-template-columns:1fr 1fr}.two{grid-template-columns:1fr}"
    "td.bar,th.bar{display:none}}\n";

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

static const struct rs_record *find_record(const struct report_html_input *in, const char *name,
                                           uint32_t mode)
{
	for (unsigned i = 0; i < in->report->record_count; i++) {
		const struct rs_record *r = &in->report->records[i];

		if (r->mode == mode && !r->x_unit[0] && !strcmp(r->name, name))
			return r;
	}
	return NULL;
}

static bool has_unit(const struct report_html_input *in, const char *unit)
{
	for (unsigned i = 0; i < in->report->record_count; i++) {
		if (!strcmp(in->report->records[i].unit, unit))
			return true;
	}
	return false;
}

/* Why this run's figures of time are not the hardware's; NULL: nothing speaks against them. */
static const char *doubt(const struct report_html_input *in)
{
	const struct rs_stats *counts = in->report->counts;

	if (has_unit(in, RECORD_INTERPRETED))
		return "this KVM interprets ring 0, an instruction at a time";
	if (has_unit(in, RECORD_EMULATED))
		return "this CPU is emulated";
	if (counts && (counts->quirk_syscall || counts->quirk_intn))
		return "this KVM did not carry out every crossing itself";
	return NULL;
}

/* What KPTI adds to the first thing that was measured in more than one mode; where the figures are
 * not the hardware's, that instead: the first thing read must be true by itself. */
static void say_cost(FILE *out, const struct report_html_input *in)
{
	for (unsigned i = 0; i < in->report->record_count; i++) {
		const struct rs_record *off = &in->report->records[i];
		const uint32_t modes[] = {RS_PTI_PCID, RS_PTI_NOPCID};
		bool said = false;

		if (off->mode != RS_PTI_OFF || off->x_unit[0] || record_value(off) <= 0)
			continue;
		for (int m = 0; m < 2; m++) {
			const struct rs_record *on = find_record(in, off->name, modes[m]);
			char number[2][40];

			if (!on || strcmp(on->unit, off->unit) != 0)
				continue;
			if (doubt(in) && strcmp(off->unit, RECORD_INSTRUCTIONS) != 0) {
				html_format(out,
				            "What KPTI costs on hardware this run cannot tell: %s, "
				            "and its figures are not the hardware's.",
				            doubt(in));
				fputs("</li>\n<li>", out);
				return;
			}
			if (!said)
				html_format(out, "%s costs %s %s without KPTI", off->name,
				            svg_number(number[0], record_value(off)), off->unit);
			html_format(out, ", %s with it%s (%+.1f %%)",
			            svg_number(number[1], record_value(on)),
			            modes[m] == RS_PTI_PCID ? " and PCID" : " and no PCID",
			            (record_value(on) / record_value(off) - 1) * 100);
			said = true;
		}
		if (said) {
			fputs(".</li>\n<li>", out);
			return;
		}
	}
}

static void say_spaces(FILE *out, const struct report_html_input *in)
{
	const struct spaces *spaces = in->spaces;
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
	say_cost(out, in);
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
	fputs(style, out);
	fputs(report_escapes_style, out);
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

/* ---- Costs ----------------------------------------------------------------------------------- */

/* Whether no record before this one has its unit and, for a curve, its name. */
static bool is_first(const struct report_html_input *in, unsigned i)
{
	const struct rs_record *r = &in->report->records[i];

	for (unsigned j = 0; j < i; j++) {
		const struct rs_record *earlier = &in->report->records[j];

		if (!strcmp(earlier->unit, r->unit) && !strcmp(earlier->x_unit, r->x_unit) &&
		    (!r->x_unit[0] || !strcmp(earlier->name, r->name)))
			return false;
	}
	return true;
}

/* Whether bars of this unit would compare anything. */
static bool has_modes(const struct report_html_input *in, const char *unit)
{
	for (unsigned i = 0; i < in->report->record_count; i++) {
		const struct rs_record *r = &in->report->records[i];

		if (!r->x_unit[0] && r->mode != RS_RECORD_NO_MODE && !strcmp(r->unit, unit))
			return true;
	}
	return false;
}

/* Figures that stand alone. */
static void write_figures(FILE *out, const struct report_html_input *in)
{
	char number[40];

	fputs("<table>\n", out);
	for (unsigned i = 0; i < in->report->record_count; i++) {
		const struct rs_record *r = &in->report->records[i];

		if (r->x_unit[0] || has_modes(in, r->unit))
			continue;
		fputs("<tr><td>", out);
		html_text(out, r->name);
		fputs("</td><td>", out);
		html_format(out, "%s %s", svg_number(number, record_value(r)), r->unit);
		fputs("</td></tr>\n", out);
	}
	fputs("</table>\n", out);
}

static bool is_overhead(const struct rs_record *r)
{
	return !strcmp(r->unit, RECORD_PERCENT) && (r->x_unit[0] || r->mode != RS_RECORD_NO_MODE);
}

/* Whether there is anything for the section of overheads, or for the other one. */
static bool has_costs(const struct report_html_input *in, bool overheads)
{
	for (unsigned i = 0; i < in->report->record_count; i++) {
		if (is_overhead(&in->report->records[i]) == overheads)
			return true;
	}
	return false;
}

static void write_charts(FILE *out, const struct report_html_input *in, bool overheads)
{
	for (unsigned i = 0; i < in->report->record_count; i++) {
		if (is_overhead(&in->report->records[i]) != overheads || !is_first(in, i) ||
		    (!in->report->records[i].x_unit[0] &&
		     !has_modes(in, in->report->records[i].unit)))
			continue;
		fputs("<figure>\n", out);
		if (in->report->records[i].x_unit[0])
			chart_curves(out, in->report->records, in->report->record_count,
			             &in->report->records[i]);
		else
			chart_bars(out, in->report->records, in->report->record_count,
			           in->report->records[i].unit, in->report->host->tsc_khz);
		fputs("</figure>\n", out);
	}
}

/* What others measured with loads like those of guest/user/costs.c, whose names these are. */
static const struct {
	const char *load, *published;
} published[] = {
    {"compute only", "KAISER 0.28 % on average, 0.68 % at most"},
    {"work and system calls", "2 % at 50,000 calls/s a CPU; Linux about 5 %"},
    {"system calls only", "30 % with PCID, over 800 % without, at worst"},
};

static void write_share(FILE *out, const struct rs_record *r)
{
	char number[40];

	fputs("<td>", out);
	if (r && is_overhead(r))
		html_format(out, "%s%s %%", record_value(r) > 0 ? "+" : "",
		            svg_number(number, record_value(r)));
	else
		html_text(out, "-");
	fputs("</td>", out);
}

/* The loads that others measured too, beside what they found. */
static void write_published(FILE *out, const struct report_html_input *in)
{
	bool any = false;

	for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++) {
		const struct rs_record *pcid = find_record(in, published[i].load, RS_PTI_PCID);
		const struct rs_record *nopcid = find_record(in, published[i].load, RS_PTI_NOPCID);

		if (!(pcid && is_overhead(pcid)) && !(nopcid && is_overhead(nopcid)))
			continue;
		if (!any)
			fputs("<table>\n<tr><th>what KPTI adds to</th><th>with PCID</th>"
			      "<th>without</th><th>published</th></tr>\n",
			      out);
		any = true;
		fputs("<tr><td>", out);
		html_text(out, published[i].load);
		fputs("</td>", out);
		write_share(out, pcid);
		write_share(out, nopcid);
		fputs("<td>", out);
		html_text(out, published[i].published);
		fputs("</td></tr>\n", out);
	}
	if (any)
		fputs("</table>\n", out);
}

/* What a figure is not, and what holds all the same; once for each section. */
static void write_doubts(FILE *out, const struct report_html_input *in)
{
	if (has_unit(in, RECORD_INTERPRETED))
		fputs("These cycles are not the hardware's: this KVM interprets ring 0, an "
		      "instruction at a time. What holds is ring 3's work, and which of two paths "
		      "has "
		      "more instructions in ring 0. ",
		      out);
	else if (has_unit(in, RECORD_EMULATED))
		fputs(
		    "These cycles are not the hardware's: this CPU is emulated. What holds is the "
		    "order of the figures, roughly. ",
		    out);
	else if (in->report->counts &&
	         (in->report->counts->quirk_syscall || in->report->counts->quirk_intn))
		fputs("This KVM did not carry out every crossing itself (see below), so these "
		      "figures are not "
		      "the hardware's.",
		      out);
}

static void write_overheads(FILE *out, const struct report_html_input *in)
{
	if (!has_costs(in, true))
		return;
	fputs("<section>\n<h2>What KPTI adds</h2>\n", out);
	write_published(out, in);
	write_charts(out, in, true);
	fputs("<p class=\"note\">Time with KPTI on against the same work with it off, as the guest "
	      "measured and reported it. Below 0: the noise was larger than the cost. ",
	      out);
	if (has_unit(in, RECORD_INSTRUCTIONS))
		fputs("Its clock counted instructions: CR3 writes and TLB misses, which are what "
		      "KPTI costs, are not in these figures. ",
		      out);
	write_doubts(out, in);
	fputs("</p>\n</section>\n", out);
}

static void write_costs(FILE *out, const struct report_html_input *in)
{
	if (!has_costs(in, false))
		return;
	fputs("<section>\n<h2>What crossings cost</h2>\n", out);
	write_charts(out, in, false);
	write_figures(out, in);
	fputs("<p class=\"note\">As the guest measured and reported it: the median, or the best "
	      "where only "
	      "that was kept; a thin line reaches from the smallest value to the 99th percentile. ",
	      out);
	write_doubts(out, in);
	if (in->report->trace.file)
		fputs(" The run was traced, which costs some instructions at each crossing, and is "
		      "time of the "
		      "VMM's at exits.",
		      out);
	fputs("</p>\n</section>\n", out);
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
	const struct spaces *spaces = in->spaces;

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
	write_costs(out, in);
	write_overheads(out, in);
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
