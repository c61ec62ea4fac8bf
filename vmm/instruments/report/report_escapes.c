#include "vmm/instruments/report/report_escapes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/units.h"
#include "vmm/devices/attempts.h"
#include "vmm/instruments/report/html.h"

enum { VERDICTS = RS_ESCAPE_SKIPPED + 1 };

static const char *const verdict_words[VERDICTS] = {
    [RS_ESCAPE_OK] = "as promised",
    [RS_ESCAPE_DEPARTS] = "departs",
    [RS_ESCAPE_DIFFERS] = "DIFFERS",
    [RS_ESCAPE_SKIPPED] = "not tried",
};

/* ---- Rows that belong together -----------------------------------------------------------------
 */

static bool same_group(const struct rs_escape *a, const struct rs_escape *b)
{
	return !strcmp(a->program, b->program) && !strcmp(a->group, b->group);
}

static bool same_attempt(const struct rs_escape *a, const struct rs_escape *b)
{
	return !strcmp(a->name, b->name) && same_group(a, b);
}

static bool same_outcome(const struct rs_outcome *a, const struct rs_outcome *b)
{
	return a->kind == b->kind && a->error == b->error && a->cr2 == b->cr2;
}

static bool same_result(const struct rs_escape *a, const struct rs_escape *b)
{
	return a->verdict == b->verdict && same_outcome(&a->want, &b->want) &&
	       same_outcome(&a->got, &b->got) && !strcmp(a->why, b->why);
}

/* What is being written: done[i] for the rows that have been. */
struct table {
	FILE *out;
	const struct rs_escape *rows;
	unsigned count;
	bool *done;
};

/* The modes, as bits, of the rows from `first` on that say the same; they are done then. */
static unsigned take_modes(struct table *table, unsigned first)
{
	unsigned modes = 0;

	for (unsigned i = first; i < table->count; i++) {
		if (table->done[i] || !same_attempt(&table->rows[i], &table->rows[first]) ||
		    !same_result(&table->rows[i], &table->rows[first]))
			continue;
		modes |= 1U << table->rows[i].mode;
		table->done[i] = true;
	}
	return modes;
}

/* The modes that anything of the group was tried in. */
static unsigned modes_of_group(const struct table *table, unsigned first)
{
	unsigned modes = 0;

	for (unsigned i = first; i < table->count; i++) {
		if (same_group(&table->rows[i], &table->rows[first]))
			modes |= 1U << table->rows[i].mode;
	}
	return modes;
}

/* ---- Writing ------------------------------------------------------------------------------------
 */

static void write_modes(FILE *out, unsigned modes, unsigned all)
{
	static const char *const names[] = {
	    [RS_PTI_OFF] = "off",
	    [RS_PTI_PCID] = "PCID",
	    [RS_PTI_NOPCID] = "no PCID",
	};
	bool any = false;

	if (modes == all && modes & (modes - 1)) {
		fputs("any", out);
		return;
	}
	for (unsigned m = RS_PTI_OFF; m <= RS_PTI_NOPCID; m++) {
		if (!(modes >> m & 1))
			continue;
		fprintf(out, "%s%s", any ? ", " : "", names[m]);
		any = true;
	}
}

static void write_outcome(FILE *out, const struct rs_outcome *outcome)
{
	char text[OUTCOME_TEXT_SIZE];

	fputs("<td class=\"mono\">", out);
	if (outcome->kind == RS_OUTCOME_NOT_TRIED)
		fputs("&#8211;", out);
	else
		html_text(out, outcome_text(text, sizeof(text), outcome));
	fputs("</td>", out);
}

static void write_row(FILE *out, const struct rs_escape *row, const char *name, unsigned modes,
                      unsigned all)
{
	fprintf(out, "<tr><td%s>", *name ? "" : " class=\"b\"");
	html_text(out, name);
	if (*row->why) {
		fprintf(out, "%s<span class=\"why\">", *name ? "<br/>" : "");
		html_text(out, row->why);
		fputs("</span>", out);
	}
	fputs("</td>", out);
	write_outcome(out, &row->want);
	write_outcome(out, &row->got);
	fputs("<td>", out);
	write_modes(out, modes, all);
	fprintf(out, "</td><td><span class=\"verdict w%u\">%s</span></td></tr>\n", row->verdict,
	        verdict_words[row->verdict]);
}

/* The rows of one attempt: one for each result it had. */
static void write_attempt(struct table *table, unsigned first, unsigned all)
{
	const char *name = table->rows[first].name;

	for (unsigned i = first; i < table->count; i++) {
		if (table->done[i] || !same_attempt(&table->rows[i], &table->rows[first]))
			continue;

		unsigned modes = take_modes(table, i);

		write_row(table->out, &table->rows[i], name, modes, all);
		name = "";
	}
}

static void write_split(FILE *out, const unsigned sums[VERDICTS])
{
	fputs("<span class=\"split\">", out);
	for (unsigned v = 0; v < VERDICTS; v++) {
		if (sums[v])
			fprintf(out, "<i class=\"v%u\" style=\"flex:%u\"></i>", v, sums[v]);
	}
	fputs("</span>", out);
}

static void add_up(const struct rs_escape *rows, unsigned count, unsigned sums[VERDICTS])
{
	for (unsigned i = 0; i < count; i++)
		sums[rows[i].verdict]++;
}

/* "28 as the manuals promise, 2 depart as is declared of this host": what there is. */
static void write_sums(FILE *out, const unsigned sums[VERDICTS])
{
	static const char *const words[VERDICTS] = {
	    [RS_ESCAPE_OK] = "as the manuals promise",
	    [RS_ESCAPE_DEPARTS] = "depart as is declared of this host",
	    [RS_ESCAPE_DIFFERS] = "DIFFER",
	    [RS_ESCAPE_SKIPPED] = "not tried",
	};
	bool any = false;

	for (unsigned v = 0; v < VERDICTS; v++) {
		if (!sums[v])
			continue;
		fprintf(out, "%s%u %s", any ? ", " : "", sums[v], words[v]);
		any = true;
	}
}

static void write_group(struct table *table, unsigned first)
{
	const struct rs_escape *group = &table->rows[first];
	const unsigned all = modes_of_group(table, first);
	unsigned sums[VERDICTS] = {0};

	for (unsigned i = first; i < table->count; i++) {
		if (same_group(&table->rows[i], group))
			sums[table->rows[i].verdict]++;
	}
	/* Open, since paper and a page without scripts show no more. */
	fputs("<details open=\"open\"><summary>", table->out);
	write_split(table->out, sums);
	fputs("<b>", table->out);
	html_format(table->out, "%s: %s", group->program, group->group);
	fputs("</b> <span>", table->out);
	write_sums(table->out, sums);
	fputs("</span></summary>\n<table class=\"esc\">\n<tr><th>attempt</th><th>the manuals</th>"
	      "<th>got</th><th>KPTI</th><th>verdict</th></tr>\n",
	      table->out);
	for (unsigned i = first; i < table->count; i++) {
		if (!table->done[i] && same_group(&table->rows[i], group))
			write_attempt(table, i, all);
	}
	fputs("</table></details>\n", table->out);
}

void report_escapes_words(FILE *out, const struct rs_escape *rows, unsigned count)
{
	unsigned sums[VERDICTS] = {0};

	add_up(rows, count, sums);
	html_format(out,
	            "%u attempt%s to do what the boundary forbids, or to break what it "
	            "promises: ",
	            count, units_s(count));
	write_sums(out, sums);
	fputs(".", out);
}

void report_escapes(FILE *out, const struct rs_escape *rows, unsigned count)
{
	struct table table = {.out = out, .rows = rows, .count = count};
	unsigned sums[VERDICTS] = {0};

	/* One byte for each of 4096 rows: a machine without that shows the page without the table.
	 */
	table.done = count ? calloc(count, sizeof(*table.done)) : NULL;
	if (!table.done)
		return;
	add_up(rows, count, sums);
	fputs("<section class=\"long\">\n<h2>Escapes tried</h2>\n<p>", out);
	html_format(out, "%u attempt%s: ", count, units_s(count));
	write_sums(out, sums);
	fputs(".</p>\n<p class=\"note\">", out);
	html_format(
	    out,
	    "Each attempt was made in each KPTI mode; \"any\": with the same result in all. A "
	    "departure is what this host (\"%s\") is known to do otherwise than the manuals; "
	    "what differs and is not declared fails the run.",
	    rows[0].host);
	fputs("</p>\n", out);
	for (unsigned i = 0; i < count; i++) {
		if (!table.done[i])
			write_group(&table, i);
	}
	fputs("</section>\n", out);
	free(table.done);
}
