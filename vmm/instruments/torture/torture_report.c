#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "vmm/base/clock.h"
#include "vmm/base/color.h"
#include "vmm/base/message.h"
#include "vmm/base/names.h"
#include "vmm/base/outfile.h"
#include "vmm/base/output.h"
#include "vmm/base/units.h"
#include "vmm/instruments/torture/torture_internal.h"

static const char *const words_of_run[] = {
    [TORTURE_NMI] = "an NMI",
    [TORTURE_IRQ] = "an external interrupt",
    [TORTURE_STEP] = "a #DB with RFLAGS.TF set",
};
static const char *const name_of_run[] = {
    [TORTURE_NMI] = "nmi",
    [TORTURE_IRQ] = "irq",
    [TORTURE_STEP] = "step",
};

const char *torture_event_name(const struct torture_event *event)
{
	return event->kind == TORTURE_IRQ && event->vector == TORTURE_VECTOR
	           ? "interrupt"
	           : vector_name(event->vector);
}

/* ---- Progress -------------------------------------------------------------------------------- */

void torture_progress(struct torture *t, bool last)
{
	enum { EVERY_NS = 100000000 };
	const uint64_t now = clock_ns();

	if (!t->terminal)
		return;
	if (last) {
		fputs("\r\033[K", stderr);
		return;
	}
	if (now - t->progress < EVERY_NS)
		return;
	t->progress = now;
	fprintf(stderr,
	        "\r\033[K%" PRIu64 " round%s, %" PRIu64 " failed, %" PRIu64 " s: %s, KPTI %s",
	        t->rounds, units_s(t->rounds), t->failure_count, (now - t->began) / 1000000000,
	        t->crossing.name, pti_name(t->crossing.mode));
	fflush(stderr);
}

/* ---- Judging --------------------------------------------------------------------------------- */

/* Why an instruction was not hit; NULL: there is no reason. */
static const char *reason_of(const struct torture *t, const struct torture_insn *insn, char *buf,
                             size_t size)
{
	const struct torture_lack *lack = torture_text_lack(insn, t->lacks, t->lack_count);

	if (lack) {
		snprintf(buf, size, "%s: %s", lack->name, lack->why);
		return buf;
	}
	return insn->barred ? "#DB itself is handled here, and the processor has cleared TF" : NULL;
}

/* What of the entry area was not hit for no reason. */
static size_t missed(const struct torture *t)
{
	char text[160];
	size_t count = 0;

	for (size_t i = 0; i < t->text.count; i++) {
		const struct torture_insn *insn = &t->text.list[i];

		count += insn->entry && !torture_text_is_hit(insn) &&
		         !reason_of(t, insn, text, sizeof(text));
	}
	return count;
}

bool torture_passed(const struct torture *t)
{
	/* One crossing alone does not come everywhere. */
	return t->complete && !t->failure_count && t->rounds &&
	       (t->request->crossing || !missed(t));
}

static void sum(const struct torture *t, bool entry, size_t *count, size_t *hit)
{
	*count = *hit = 0;
	for (size_t i = 0; i < t->text.count; i++) {
		if (t->text.list[i].entry != entry)
			continue;
		++*count;
		*hit += torture_text_is_hit(&t->text.list[i]);
	}
}

/* ---- For a person ---------------------------------------------------------------------------- */

static void print_rows(FILE *out, const struct torture *t, const struct style *style)
{
	fprintf(out, "%s  %-33s  %-6s  %7s  %8s  %8s%s\n", style->head, "crossing", "KPTI", "steps",
	        "single", "nested", style->end);
	for (size_t i = 0; i < t->row_count; i++) {
		const struct torture_row *row = &t->rows[i];

		fprintf(out, "  %-33s  %-6s  %7zu  %8" PRIu64 "  %8" PRIu64, row->crossing,
		        pti_name(row->mode), row->steps, row->single, row->nested);
		if (row->failed)
			fprintf(out, "  %s%" PRIu64 " FAILED%s", style->bad, row->failed,
			        style->end);
		fputc('\n', out);
	}
	for (size_t i = 0; i < t->lack_count; i++)
		fprintf(out, "  %-33s  left out: %s\n", t->lacks[i].name, t->lacks[i].why);
}

static void print_parts(FILE *out, const struct torture *t, const struct style *style, bool entry)
{
	for (size_t i = 0; i < t->text.count;) {
		const struct torture_part part = torture_text_part(&t->text, i);

		i += part.count;
		if (part.entry != entry)
			continue;
		fprintf(out, "  %-30s %12zu  %s%6zu%s  %6zu  %6zu  %6zu\n", part.name, part.count,
		        part.hit == part.count ? style->good : style->bad, part.hit, style->end,
		        part.hit_in[RS_PTI_OFF], part.hit_in[RS_PTI_PCID],
		        part.hit_in[RS_PTI_NOPCID]);
	}
}

/* What was not hit, a line for those in a row that have the same reason. */
static void print_missing(FILE *out, const struct torture *t, const struct style *style)
{
	for (size_t i = 0; i < t->text.count;) {
		const struct torture_insn *insn = &t->text.list[i];
		char place[96], text[160], other[160];
		const char *why;
		size_t end = i + 1;

		if (!insn->entry || torture_text_is_hit(insn)) {
			i++;
			continue;
		}
		why = reason_of(t, insn, text, sizeof(text));
		for (; end < t->text.count; end++) {
			const struct torture_insn *next = &t->text.list[end];
			const char *same = reason_of(t, next, other, sizeof(other));

			if (torture_text_is_hit(next) || next->symbol != insn->symbol ||
			    !same != !why || (why && strcmp(same, why) != 0))
				break;
		}
		torture_text_place(insn, place, sizeof(place));
		fprintf(out, "  %-24s %4zu  %s%s%s\n", place, end - i, why ? "" : style->bad,
		        why ? why : "no crossing led here", style->end);
		i = end;
	}
}

static void print_failure(FILE *out, const struct torture_failure *f, const struct style *style)
{
	fprintf(out, "\n%sFAILED%s  %s, KPTI %s: %s\n", style->bad, style->end, f->crossing,
	        pti_name(f->mode), f->event);
	if (*f->where)
		fprintf(out, "  at %016" PRIx64 "  %s  %s\n", f->va, f->where, f->insn);
	if (*f->problem)
		fprintf(out, "  %s\n", f->problem);
	for (size_t i = 0; i < f->differences.count && i < TORTURE_DIFFERENCES; i++) {
		const struct torture_difference *d = &f->differences.list[i];

		fprintf(out, "  %-40s got %016" PRIx64 "  wanted %016" PRIx64 "\n", d->name, d->got,
		        d->want);
	}
	if (f->differences.count > TORTURE_DIFFERENCES)
		fprintf(out, "  ... and %zu more\n", f->differences.count - TORTURE_DIFFERENCES);
}

static void print_late(FILE *out, const struct torture *t)
{
	const struct torture_failure *f = &t->late_one;

	fprintf(out,
	        "  %" PRIu64
	        " times what had to wait came later than at the first instruction that "
	        "lets it in, which is this KVM's\n  or processor's doing.  The first time:\n"
	        "    %s, KPTI %s: %s, at %s\n    %s\n",
	        t->late, f->crossing, pti_name(f->mode), f->event, *f->where ? f->where : "ring 3",
	        f->problem);
}

static size_t count_missing(const struct torture *t)
{
	size_t count, hit;

	sum(t, true, &count, &hit);
	return count - hit;
}

static void print_text(FILE *out, const struct torture *t, bool color)
{
	const struct style style = style_get(color);
	uint64_t single = 0, nested = 0;
	size_t count, hit;

	for (size_t i = 0; i < t->row_count; i++) {
		single += t->rows[i].single;
		nested += t->rows[i].nested;
	}
	fprintf(out, "%sTorture: %s at every instruction%s\n", style.head, words_of_run[t->event],
	        style.end);
	print_rows(out, t, &style);
	fprintf(out,
	        "  %" PRIu64 " round%s in %.1f s: %" PRIu64 " with one event, %" PRIu64
	        " with one in the handling of another, %s%" PRIu64 " failed%s\n",
	        t->rounds, units_s(t->rounds), t->seconds, single, nested,
	        t->failure_count ? style.bad : style.good, t->failure_count, style.end);
	if (t->late)
		print_late(out, t);
	if (t->early)
		fprintf(out,
		        "  %" PRIu64
		        " interrupt%s came right behind STI: this processor forgets at an "
		        "exit that it holds them back\n",
		        t->early, units_s(t->early));
	sum(t, true, &count, &hit);
	fprintf(out, "\n%sCoverage  %zu of %zu instructions of the entry text were hit%s\n",
	        style.head, hit, count, style.end);
	fprintf(out, "  %-30s %12s  %6s  %6s  %6s  %6s\n", "symbol", "instructions", "hit", "off",
	        "pcid", "nopcid");
	print_parts(out, t, &style, true);
	sum(t, false, &count, &hit);
	if (count)
		fprintf(out, "  and beside it %zu of %zu\n", hit, count);
	print_parts(out, t, &style, false);
	if (count_missing(t))
		fprintf(out, "\n%sNot hit%s\n", style.head, style.end);
	print_missing(out, t, &style);
	for (size_t i = 0; i < t->failure_count && i < TORTURE_FAILURES; i++)
		print_failure(out, &t->failures[i], &style);
	if (t->failure_count > TORTURE_FAILURES)
		fprintf(out, "\n... and %" PRIu64 " failure%s more\n",
		        t->failure_count - TORTURE_FAILURES,
		        units_s(t->failure_count - TORTURE_FAILURES));
}

/* ---- For a program --------------------------------------------------------------------------- */

static json_t *hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

static json_t *rows_json(const struct torture *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->row_count; i++) {
		const struct torture_row *row = &t->rows[i];

		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "crossing", row->crossing,
		                    "pti", pti_name(row->mode), "steps", (json_int_t)row->steps,
		                    "single", (json_int_t)row->single, "nested",
		                    (json_int_t)row->nested, "failed", (json_int_t)row->failed));
	}
	return list;
}

static json_t *parts_json(const struct torture *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->text.count;) {
		const struct torture_part part = torture_text_part(&t->text, i);

		i += part.count;
		json_array_append_new(
		    list, json_pack("{s:s, s:b, s:I, s:I, s:{s:I, s:I, s:I}}", "symbol", part.name,
		                    "entry", part.entry, "instructions", (json_int_t)part.count,
		                    "hit", (json_int_t)part.hit, "hit_in", "off",
		                    (json_int_t)part.hit_in[RS_PTI_OFF], "pcid",
		                    (json_int_t)part.hit_in[RS_PTI_PCID], "nopcid",
		                    (json_int_t)part.hit_in[RS_PTI_NOPCID]));
	}
	return list;
}

static json_t *missing_json(const struct torture *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->text.count; i++) {
		const struct torture_insn *insn = &t->text.list[i];
		char place[96], text[160];

		if (!insn->entry || torture_text_is_hit(insn))
			continue;
		json_array_append_new(
		    list, json_pack("{s:o, s:s, s:s, s:s?}", "address", hex(insn->va), "place",
		                    torture_text_place(insn, place, sizeof(place)), "instruction",
		                    insn->text, "reason", reason_of(t, insn, text, sizeof(text))));
	}
	return list;
}

static json_t *differences_json(const struct torture_differences *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->count && i < TORTURE_DIFFERENCES; i++)
		json_array_append_new(list,
		                      json_pack("{s:s, s:o, s:o}", "what", d->list[i].name, "got",
		                                hex(d->list[i].got), "want", hex(d->list[i].want)));
	return list;
}

static json_t *failures_json(const struct torture *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->failure_count && i < TORTURE_FAILURES; i++) {
		const struct torture_failure *f = &t->failures[i];

		json_array_append_new(
		    list,
		    json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:o}", "crossing", f->crossing,
		              "pti", pti_name(f->mode), "event", f->event, "address", hex(f->va),
		              "place", f->where, "instruction", f->insn, "problem", f->problem,
		              "differences", differences_json(&f->differences)));
	}
	return list;
}

static json_t *lacks_json(const struct torture *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < t->lack_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "crossing", t->lacks[i].name,
		                                      "why", t->lacks[i].why));
	return list;
}

static bool print_json(FILE *out, const struct torture *t)
{
	size_t count, hit;
	json_t *all;
	bool ok;

	sum(t, true, &count, &hit);
	all = json_pack(
	    "{s:s, s:b, s:b, s:I, s:f, s:I, s:I, s:I, s:o, s:o, s:{s:I, s:I, s:I, s:o, s:o}, s:o}",
	    "torture", name_of_run[t->event], "passed", torture_passed(t), "complete", t->complete,
	    "rounds", (json_int_t)t->rounds, "seconds", t->seconds, "failed",
	    (json_int_t)t->failure_count, "late", (json_int_t)t->late, "early",
	    (json_int_t)t->early, "crossings", rows_json(t), "lacks", lacks_json(t), "coverage",
	    "instructions", (json_int_t)count, "hit", (json_int_t)hit, "missed",
	    (json_int_t)missed(t), "symbols", parts_json(t), "not_hit", missing_json(t), "failures",
	    failures_json(t));
	ok = all && json_dumpf(all, out, JSON_INDENT(1)) == 0 && fputc('\n', out) != EOF;
	json_decref(all);
	return ok;
}

/* ---- All ------------------------------------------------------------------------------------- */

static bool print(FILE *out, const struct torture *t, bool color)
{
	if (t->manner->json)
		return print_json(out, t) || ferror(out) ||
		       message_error("--torture: no memory for the report");
	print_text(out, t, color);
	return true;
}

bool torture_report(const struct torture *t)
{
	struct outfile *file = &t->manner->file;
	const bool color = manner_colors_file(t->manner, file, STDOUT_FILENO);

	if (!file->stream)
		return print(stdout, t, color) && output_finish("what --torture found");
	return print(file->stream, t, color) && outfile_commit(file);
}
