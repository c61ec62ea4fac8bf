#include "vmm/instruments/report/report_costs.h"

#include <stdbool.h>
#include <string.h>

#include "vmm/devices/figures.h"
#include "vmm/instruments/report/html.h"
#include "vmm/instruments/report/report_charts.h"
#include "vmm/instruments/report/svg.h"

static const struct rs_record *find_record(const struct report_input *in, const char *name,
                                           uint32_t mode)
{
	for (unsigned i = 0; i < in->record_count; i++) {
		const struct rs_record *r = &in->records[i];

		if (r->mode == mode && !r->x_unit[0] && !strcmp(r->name, name))
			return r;
	}
	return NULL;
}

static bool has_unit(const struct report_input *in, const char *unit)
{
	for (unsigned i = 0; i < in->record_count; i++) {
		if (!strcmp(in->records[i].unit, unit))
			return true;
	}
	return false;
}

/* Why this run's figures of time are not the hardware's; NULL: nothing speaks against them. */
static const char *doubt(const struct report_input *in)
{
	const struct rs_stats *counts = in->counts;

	if (has_unit(in, RECORD_INTERPRETED))
		return "this KVM interprets ring 0, an instruction at a time";
	if (has_unit(in, RECORD_EMULATED))
		return "this CPU is emulated";
	if (counts && (counts->quirk_syscall || counts->quirk_intn))
		return "this KVM did not carry out every crossing itself";
	return NULL;
}

void report_costs_words(FILE *out, const struct report_input *in)
{
	for (unsigned i = 0; i < in->record_count; i++) {
		const struct rs_record *off = &in->records[i];
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

/* ---- The sections ---------------------------------------------------------------------------- */

/* Whether no record before this one has its unit and, for a curve, its name. */
static bool is_first(const struct report_input *in, unsigned i)
{
	const struct rs_record *r = &in->records[i];

	for (unsigned j = 0; j < i; j++) {
		const struct rs_record *earlier = &in->records[j];

		if (!strcmp(earlier->unit, r->unit) && !strcmp(earlier->x_unit, r->x_unit) &&
		    (!r->x_unit[0] || !strcmp(earlier->name, r->name)))
			return false;
	}
	return true;
}

/* Whether bars of this unit would compare anything. */
static bool has_modes(const struct report_input *in, const char *unit)
{
	for (unsigned i = 0; i < in->record_count; i++) {
		const struct rs_record *r = &in->records[i];

		if (!r->x_unit[0] && r->mode != RS_RECORD_NO_MODE && !strcmp(r->unit, unit))
			return true;
	}
	return false;
}

/* Figures that stand alone. */
static void write_figures(FILE *out, const struct report_input *in)
{
	char number[40];

	fputs("<table>\n", out);
	for (unsigned i = 0; i < in->record_count; i++) {
		const struct rs_record *r = &in->records[i];

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
static bool has_costs(const struct report_input *in, bool overheads)
{
	for (unsigned i = 0; i < in->record_count; i++) {
		if (is_overhead(&in->records[i]) == overheads)
			return true;
	}
	return false;
}

static void write_charts(FILE *out, const struct report_input *in, bool overheads)
{
	for (unsigned i = 0; i < in->record_count; i++) {
		if (is_overhead(&in->records[i]) != overheads || !is_first(in, i) ||
		    (!in->records[i].x_unit[0] && !has_modes(in, in->records[i].unit)))
			continue;
		fputs("<figure>\n", out);
		if (in->records[i].x_unit[0])
			chart_curves(out, in->records, in->record_count, &in->records[i]);
		else
			chart_bars(out, in->records, in->record_count, in->records[i].unit,
			           in->host->tsc_khz);
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
static void write_published(FILE *out, const struct report_input *in)
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
static void write_doubts(FILE *out, const struct report_input *in)
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
	else if (in->counts && (in->counts->quirk_syscall || in->counts->quirk_intn))
		fputs("This KVM did not carry out every crossing itself (see below), so these "
		      "figures are not "
		      "the hardware's.",
		      out);
}

void report_costs(FILE *out, const struct report_input *in)
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
	if (in->trace.file)
		fputs(" The run was traced, which costs some instructions at each crossing, and is "
		      "time of the "
		      "VMM's at exits.",
		      out);
	fputs("</p>\n</section>\n", out);
}

void report_overheads(FILE *out, const struct report_input *in)
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
