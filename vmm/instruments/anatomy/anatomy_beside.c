#include "vmm/instruments/anatomy/anatomy_beside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "vmm/base/color.h"
#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/instruments/anatomy/anatomy_functions.h"
#include "vmm/instruments/anatomy/anatomy_marks.h"
#include "vmm/instruments/anatomy/anatomy_rows.h"

enum {
	COLUMN = 48,          /* characters of one of the two */
	FOLD_FROM = 96,       /* rows up to a mark of both: more are shown as sums */
	FUNCTIONS_SHOWN = 16, /* in the table ... */
	FUNCTIONS_FOLDED = 8, /* ... and of a stretch, in one column */
	/* Up to a mark of both: a heading, an instruction and a note for each row, or, of more rows
	 * than that, for each mark on the way what may stay as it is. */
	LINES = 3 * FOLD_FROM + MARKS_MAX * 3 * (FUNCTIONS_FOLDED + 1),
};

static const char *const sum_names[ACCOUNT_SUMS] = {
    [ACCOUNT_INSTRUCTIONS] = "in ring 0",   [ACCOUNT_READS] = "reads of memory",
    [ACCOUNT_WRITES] = "writes of memory",  [ACCOUNT_FRAME_WORDS] = "words of frames",
    [ACCOUNT_CR3_WRITES] = "writes of CR3", [ACCOUNT_EXITS] = "exits to the VMM",
};

struct printer {
	FILE *out;
	const struct beside *beside;
	struct style style;
	struct marks marks[2];
	struct steps steps;
};

static void find_steps(struct printer *p)
{
	const struct marks *const marks[2] = {&p->marks[0], &p->marks[1]};

	for (unsigned side = 0; side < 2; side++)
		marks_find(p->beside->account[side], &p->marks[side]);
	steps_find(p->beside->account, marks, &p->steps);
}

static const struct mark *mark_of(const struct step *step)
{
	return step->leg[0].mark ? step->leg[0].mark : step->leg[1].mark;
}

/* All the rows but the last, which has not run. */
static bool count_all(const struct printer *p, struct functions *functions)
{
	const struct account *const *account = p->beside->account;
	const size_t first[2] = {0}, end[2] = {account[0]->count - 1, account[1]->count - 1};

	return functions_count(functions, account, first, end) ||
	       message_error("--beside: no memory");
}

/* ---- The tables --------------------------------------------------------------------------------
 */

static void print_titles(const struct printer *p)
{
	static const char *const sides[2] = {"here", "beside"};

	fprintf(p->out, "%sTwo crossings beside each other%s\n", p->style.head, p->style.end);
	for (unsigned side = 0; side < 2; side++)
		fprintf(p->out, "  %-7s %s%s%s\n    %s.\n", sides[side],
		        p->beside->account[side]->title, side ? " out of " : "",
		        side ? p->beside->file : "", p->beside->account[side]->machine);
}

static void print_table_head(const struct printer *p, const char *text)
{
	fprintf(p->out, "\n%s  %-44s %9s %9s%s\n", p->style.head, text, "here", "beside",
	        p->style.end);
}

static void print_counts(const struct printer *p, const char *text, const uint64_t count[2])
{
	fprintf(p->out, "  %-44s %9" PRIu64 " %9" PRIu64 "\n", text, count[0], count[1]);
}

static void print_steps(const struct printer *p)
{
	print_table_head(p, "instructions up to");
	for (size_t i = 0; i < p->steps.count; i++) {
		const struct step *step = &p->steps.list[i];
		const struct mark *mark = mark_of(step);
		char text[40];

		/* Only what goes on without an end runs up to it. */
		if (mark->kind == MARK_END && !step->leg[0].instructions &&
		    !step->leg[1].instructions)
			continue;
		fprintf(p->out, "  %-44s", mark_text(mark, text, sizeof(text)));
		for (unsigned side = 0; side < 2; side++) {
			if (step->leg[side].mark)
				fprintf(p->out, " %9" PRIu64, step->leg[side].instructions);
			else
				fprintf(p->out, " %9s", "-");
		}
		fputc('\n', p->out);
	}
}

static void print_sums(const struct printer *p)
{
	print_table_head(p, "in all");
	for (unsigned i = 0; i < ACCOUNT_SUMS; i++) {
		const uint64_t both[2] = {p->beside->account[0]->sums[i],
		                          p->beside->account[1]->sums[i]};

		print_counts(p, sum_names[i], both);
	}
	for (unsigned side = 0; side < 2; side++) {
		if (p->beside->account[side]->cut)
			fprintf(p->out,
			        "  The one %s goes on: only its first instructions were "
			        "followed.\n",
			        side ? "beside" : "here");
	}
}

static void print_functions(const struct printer *p, const struct functions *functions)
{
	uint64_t rest[2] = {0};
	char text[45];

	print_table_head(p, "instructions of");
	for (size_t i = 0; i < functions->count; i++) {
		const struct function *function = &functions->list[i];

		if (i < FUNCTIONS_SHOWN) {
			print_counts(
			    p,
			    printable(text, sizeof(text), function->name, strlen(function->name)),
			    function->count);
		} else {
			rest[0] += function->count[0];
			rest[1] += function->count[1];
		}
	}
	snprintf(text, sizeof(text), "%zu more", functions->count - FUNCTIONS_SHOWN);
	if (functions->count > FUNCTIONS_SHOWN)
		print_counts(p, text, rest);
}

/* ---- Two columns -------------------------------------------------------------------------------
 */

/* What one of the two shows up to a mark that both have, line by line. */
struct column {
	char line[LINES][COLUMN + 1];
	size_t count;
	const char *symbol; /* of the last heading ... */
	bool headed;        /* ... if there was one */
};

__attribute__((format(printf, 2, 3))) static void add_text(struct column *column,
                                                           const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(column->line[column->count++], COLUMN + 1, format, args);
	va_end(args);
}

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void add_row(struct column *column, const struct account_row *row)
{
	char text[COLUMN - 16 + 1];

	if (!column->headed || !is_same_text(column->symbol, row->symbol))
		add_text(column, "%16s%s", "", row->symbol ? row->symbol : "(no symbol)");
	column->headed = true;
	column->symbol = row->symbol;
	add_text(column, "%u %-6s %-6s %s", row->cpl, row->user_root ? "user" : "kernel",
	         row->stack,
	         printable(text, sizeof(text), row->instruction, strlen(row->instruction)));
}

/* Instead of the rows of a long way but the last: their functions. */
static bool add_fold(struct column *column, const struct account *account, const struct leg *leg)
{
	const struct account *const both[2] = {account, account};
	const size_t first[2] = {leg->from, 0}, end[2] = {leg->mark->row, 0};
	struct functions functions;
	uint64_t rest = 0;

	if (!functions_count(&functions, both, first, end))
		return message_error("--beside: no memory");

	/* One more takes no more lines than its sum. */
	const bool all = functions.count <= FUNCTIONS_FOLDED + 1;

	for (size_t i = 0; i < functions.count; i++) {
		if (all || i < FUNCTIONS_FOLDED)
			add_text(column, "%9" PRIu64 " in %s", functions.list[i].count[0],
			         functions.list[i].name);
		else
			rest += functions.list[i].count[0];
	}
	if (!all)
		add_text(column, "%9" PRIu64 " in %zu more", rest,
		         functions.count - FUNCTIONS_FOLDED);
	functions_free(&functions);
	column->headed = false;
	return true;
}

static bool add_leg(struct column *column, const struct account *account, const struct leg *leg,
                    bool fold)
{
	size_t from = leg->from;

	if (fold && leg->mark->row + 1 - from > FUNCTIONS_FOLDED + 1) {
		if (!add_fold(column, account, leg))
			return false;
		from = leg->mark->row;
	}
	for (size_t i = from; i <= leg->mark->row; i++)
		add_row(column, &account->rows[i]);
	return true;
}

static bool is_shared(const struct step *step)
{
	return step->leg[0].mark && step->leg[1].mark;
}

/* The steps from `from` to `to`, of which the last one alone is shared. */
static bool fill_column(const struct printer *p, struct column *column, unsigned side, size_t from,
                        size_t to, bool fold)
{
	char text[40];

	column->count = 0;
	for (size_t i = from; i <= to; i++) {
		const struct leg *leg = &p->steps.list[i].leg[side];

		if (!leg->mark)
			continue;
		if (!add_leg(column, p->beside->account[side], leg, fold))
			return false;
		if (i < to)
			add_text(column, "        | %s: %" PRIu64,
			         mark_text(leg->mark, text, sizeof(text)), leg->instructions);
	}
	return true;
}

/* Both end at their mark, in the same line. */
static void print_columns(const struct printer *p, const struct column column[2])
{
	const size_t lines = column[0].count > column[1].count ? column[0].count : column[1].count;

	for (size_t i = 0; i < lines; i++) {
		const char *text[2] = {"", ""};
		const bool is_mark = i + 1 == lines;

		for (unsigned side = 0; side < 2; side++) {
			const size_t count = column[side].count;

			if (is_mark)
				text[side] = column[side].line[count - 1];
			else if (i + 1 < count)
				text[side] = column[side].line[i];
		}
		fprintf(p->out, "%-*s %c%s%s\n", COLUMN, text[0], is_mark ? '=' : '|',
		        *text[1] ? " " : "", text[1]);
	}
}

static void print_note(const struct printer *p, const struct step *step)
{
	char text[40];

	if (mark_of(step)->kind == MARK_END)
		return;
	fprintf(p->out, "        %s| %s: %" PRIu64 " here, %" PRIu64 " beside%s\n", p->style.good,
	        mark_text(mark_of(step), text, sizeof(text)), step->leg[0].instructions,
	        step->leg[1].instructions, p->style.end);
}

/* How many rows lead to the step `to`, of one of the two. */
static size_t count_rows(const struct printer *p, unsigned side, size_t from, size_t to)
{
	size_t count = 0;

	for (size_t i = from; i <= to; i++) {
		const struct leg *leg = &p->steps.list[i].leg[side];

		count += leg->mark ? leg->mark->row + 1 - leg->from : 0;
	}
	return count;
}

static bool print_rows(const struct printer *p)
{
	static struct column column[2];
	static const char head[] = "R CR3    stack  instruction";
	size_t from = 0;

	column[0].headed = column[1].headed = false;
	fprintf(p->out, "\n%s%-*s | %s%s\n", p->style.head, COLUMN, head, head, p->style.end);
	/* The last step, the end, is one of both. */
	for (size_t to = 0; to < p->steps.count; to++) {
		if (!is_shared(&p->steps.list[to]))
			continue;

		const bool fold = count_rows(p, 0, from, to) > FOLD_FROM ||
		                  count_rows(p, 1, from, to) > FOLD_FROM;

		for (unsigned side = 0; side < 2; side++) {
			if (!fill_column(p, &column[side], side, from, to, fold))
				return false;
		}
		print_columns(p, column);
		print_note(p, &p->steps.list[to]);
		from = to + 1;
	}
	return true;
}

bool beside_print(FILE *out, const struct beside *beside)
{
	struct printer p = {.out = out, .beside = beside, .style = style_get(beside->color)};
	struct functions functions;

	if (!count_all(&p, &functions))
		return false;
	find_steps(&p);
	print_titles(&p);
	print_steps(&p);
	print_sums(&p);
	print_functions(&p, &functions);
	functions_free(&functions);
	return print_rows(&p);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static bool write_head(const struct printer *p)
{
	const struct account *account = p->beside->account[1];
	char file[256];
	json_t *object =
	    json_pack("{s:s, s:s, s:s, s:b}", "beside",
	              printable(file, sizeof(file), p->beside->file, strlen(p->beside->file)),
	              "title", account->title, "machine", account->machine, "cut", account->cut);

	for (unsigned i = 0; object && i < ACCOUNT_SUMS; i++)
		json_object_set_new(object, account_sum_key(i),
		                    json_integer((json_int_t)account->sums[i]));
	return anatomy_write_object(p->out, object);
}

static json_t *leg_json(const struct leg *leg)
{
	if (!leg->mark)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "instructions", (json_int_t)leg->instructions, "from",
	                 (json_int_t)leg->from, "to", (json_int_t)leg->mark->row);
}

bool beside_print_json(FILE *out, const struct beside *beside)
{
	struct printer p = {.out = out, .beside = beside};
	struct functions functions;
	bool good;
	char text[40];

	if (!count_all(&p, &functions))
		return false;
	find_steps(&p);
	good = write_head(&p);
	for (size_t i = 0; good && i < p.steps.count; i++)
		good = anatomy_write_object(
		    out, json_pack("{s:s, s:o, s:o}", "mark",
		                   mark_text(mark_of(&p.steps.list[i]), text, sizeof(text)), "here",
		                   leg_json(&p.steps.list[i].leg[0]), "beside",
		                   leg_json(&p.steps.list[i].leg[1])));
	for (size_t i = 0; good && i < functions.count; i++)
		good = anatomy_write_object(
		    out, json_pack("{s:s, s:I, s:I}", "function", functions.list[i].name, "here",
		                   (json_int_t)functions.list[i].count[0], "beside",
		                   (json_int_t)functions.list[i].count[1]));
	functions_free(&functions);
	return good;
}
