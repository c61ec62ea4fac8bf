#include "vmm/instruments/anatomy/anatomy_rows.h"

#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "shared/abi.h"
#include "vmm/base/color.h"
#include "vmm/base/layout.h"
#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/base/units.h"

enum {
	WIDTH = 100,
	NOTE_INDENT = 8,
	FOLD_FROM = 300, /* rows: a longer crossing shows C code as a sum */
	FUNCTIONS_SHOWN = 8,
	ENTRY_ROWS = 32,
	IST_ROOM = 2 * PAGE_SIZE, /* below an IST's top, of a kernel that is not ours */
};

/* ---- Names -------------------------------------------------------------------------------------
 */

static const char *const ist_names[] = {"IST1", "IST2", "IST3", "IST4", "IST5", "IST6", "IST7"};

/* Of our guest, by the address space of shared/abi.h. */
static const char *stack_of_ours(uint64_t rsp)
{
	static const char *const names[] = {
	    [LAYOUT_STACK_NONE] = "?",
	    [LAYOUT_STACK_KERNEL] = "kernel",
	    [LAYOUT_STACK_BOOT] = "boot",
	    [LAYOUT_STACK_ENTRY] = "entry",
	    [LAYOUT_STACK_IST + 1] = "IST1",
	    "IST2",
	    "IST3",
	    "IST4",
	    "IST5",
	    "IST6",
	    "IST7",
	};

	return rsp - 1 < RS_USER_END ? "user" : names[layout_stack_of(rsp)];
}

const char *anatomy_stack_name(const struct anatomy_stacks *stacks, uint64_t rsp)
{
	const uint64_t at = rsp - 1; /* a stack's top is its own, and the byte above it is not */

	if (stacks->ours)
		return stack_of_ours(rsp);
	/* Before the halves: there are kernels in the lower one. */
	for (unsigned i = 0; i < 7; i++) {
		if (stacks->ist[i] && stacks->ist[i] - rsp < IST_ROOM)
			return ist_names[i];
	}
	if (stacks->rsp0 && stacks->rsp0 - rsp < PAGE_SIZE)
		return "RSP0";
	return at >> 63 ? "kernel" : "user";
}

/* In ring 0 of a kernel that is not ours. */
static const char *foreign_stack(const struct anatomy *anatomy, const struct anatomy_row *row)
{
	const struct anatomy_row *last = &anatomy->rows[anatomy->count - 1];
	const bool is_user =
	    row->rsp == anatomy->rows->rsp || (last->cpl == 3 && row->rsp == last->rsp);
	const char *name = anatomy_stack_name(&anatomy->stacks, row->rsp);

	/* Linux has a value of CR3 there for a while: either root's, which lie side by side. */
	if (!((row->rsp ^ row->cr3) & CR3_FRAME & ~(uint64_t)PAGE_SIZE) || *name == 'u')
		return is_user ? "user" : "none";
	return name;
}

const char *anatomy_row_stack(const struct anatomy *anatomy, const struct anatomy_row *row)
{
	const struct anatomy_row *first = anatomy->rows, *last = first + anatomy->count - 1;

	if (!anatomy->stacks.ours && row->cpl != 3)
		return foreign_stack(anatomy, row);
	if (row->cpl == 3 && !anatomy->stacks.ours)
		return "user";
	if (row->cpl == 3 || row->rsp >= RS_DIRECT_BASE)
		return anatomy_stack_name(&anatomy->stacks, row->rsp);
	/* In ring 0 an address of the user half is a stack where it is the one that ring 3 had, or
	 * will have. */
	if (row->rsp == first->rsp || (last->cpl == 3 && row->rsp == last->rsp))
		return "user";
	return "none";
}

/* Our guest's is known by its place; of another kernel what runs on ring 3's root is, and some rows
 * at either end. */
static bool is_entry_text(const struct anatomy *anatomy, const struct anatomy_row *row)
{
	const size_t i = (size_t)(row - anatomy->rows);

	if (anatomy->stacks.ours)
		return row->rip >= RS_ENTRY_BASE;
	return row->user_root || i < ENTRY_ROWS || i + ENTRY_ROWS >= anatomy->count;
}

static const char *root_name(const struct anatomy_row *row)
{
	return row->user_root ? "user" : "kernel";
}

static const char *gs_name(const struct anatomy_row *row)
{
	return row->gs_base >> 63 ? "kernel" : "user";
}

/* ---- Sums --------------------------------------------------------------------------------------
 */

struct sums {
	uint64_t ring0, reads, writes, cr3_writes;
};

static struct sums sum_up(const struct anatomy *anatomy)
{
	struct sums sums = {0};

	/* The last one has not run. */
	for (size_t i = 0; i + 1 < anatomy->count; i++) {
		const struct anatomy_row *row = &anatomy->rows[i];

		sums.ring0 += row->cpl == 0;
		sums.reads += row->reads;
		sums.writes += row->writes;
		sums.cr3_writes += row->kind == CODE_CR3_WRITE;
	}
	return sums;
}

/* ---- Text
 * ---------------------------------------------------------------------------------------- */

struct printer {
	FILE *out;
	const struct anatomy *anatomy;
	const struct anatomy_words *words;
	struct style style;
	const struct symbol *symbol; /* of the last heading */
	const char *file;            /* ... and its file */
	bool headed;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A text of words, wrapped and indented behind a bar. */
static void print_note(const struct printer *p, const char *text)
{
	size_t room = WIDTH - NOTE_INDENT - 2;

	while (*text) {
		size_t length = strlen(text);

		if (length > room) {
			length = room;
			while (length && text[length] != ' ')
				length--;
			if (!length)
				length = room;
		}
		fprintf(p->out, "%*s%s| %.*s%s\n", NOTE_INDENT, "", p->style.good, (int)length,
		        text, p->style.end);
		text += length;
		while (*text == ' ')
			text++;
	}
}

/* The function, when it is another one than in the line before. */
static void print_heading(struct printer *p, uint64_t rip)
{
	const struct symbol *symbol = symbols_find(p->words->symbols, rip);
	const struct line *line = lines_find(p->words->lines, rip);

	if (p->headed && symbol == p->symbol)
		return;
	p->headed = true;
	p->symbol = symbol;
	p->file = line ? line->file : NULL;
	fprintf(p->out, "%*s%s%s%s%s%s\n", 26, "", p->style.head,
	        symbol ? symbol->name : "(no symbol)", p->style.end, p->file ? "  " : "",
	        p->file ? p->file : "");
}

static void source_text(const struct printer *p, uint64_t rip, char *buf, size_t size)
{
	const struct line *line = lines_find(p->words->lines, rip);

	*buf = '\0';
	if (!line)
		return;
	if (p->file && !strcmp(line->file, p->file))
		snprintf(buf, size, ":%d", line->number);
	else
		snprintf(buf, size, "%s:%d", base_name(line->file), line->number);
}

static void print_row(struct printer *p, const struct anatomy_row *row)
{
	struct engine_instruction insn;
	char offset[16] = "", source[48];

	print_heading(p, row->rip);
	engine_code_decode(p->words->code, row->bytes, row->size, row->rip, p->words->symbols,
	                   &insn);
	source_text(p, row->rip, source, sizeof(source));
	if (p->symbol)
		snprintf(offset, sizeof(offset), "+0x%" PRIx64, row->rip - p->symbol->address);
	fprintf(p->out, "%u %-6s %-6s %-6s %-2s %016" PRIx64 " %-6s %-*s %s\n", row->cpl,
	        root_name(row), anatomy_row_stack(p->anatomy, row), gs_name(row),
	        row->rflags & RFLAGS_IF ? "IF" : "-", row->rip, offset, *source ? 36 : 0, insn.text,
	        source);
	if (row->hardware)
		print_note(p, row->hardware);
}

/* Functions of a folded stretch with their own instructions, the most first. */
struct fold {
	struct {
		const struct symbol *symbol;
		uint64_t count;
	} functions[256];
	size_t function_count;
	uint64_t rows;
};

static void fold_add(struct fold *fold, const struct symbol *symbol)
{
	size_t i = 0;

	fold->rows++;
	while (i < fold->function_count && fold->functions[i].symbol != symbol)
		i++;
	if (i == sizeof(fold->functions) / sizeof(fold->functions[0]))
		return;
	if (i == fold->function_count) {
		fold->functions[i].symbol = symbol;
		fold->functions[i].count = 0;
		fold->function_count++;
	}
	fold->functions[i].count++;
}

static void print_fold(struct printer *p, struct fold *fold)
{
	char text[512];
	size_t used;

	if (!fold->rows)
		return;
	used = (size_t)snprintf(text, sizeof(text),
	                        "%" PRIu64 " instruction%s%s in %zu function%s:", fold->rows,
	                        units_s(fold->rows), p->anatomy->stacks.ours ? " of C" : "",
	                        fold->function_count, units_s(fold->function_count));
	for (size_t n = 0; n < FUNCTIONS_SHOWN; n++) {
		size_t best = 0;

		for (size_t i = 1; i < fold->function_count; i++) {
			if (fold->functions[i].count > fold->functions[best].count)
				best = i;
		}
		if (!fold->function_count || !fold->functions[best].count || used >= sizeof(text))
			break;
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, "%s %s %" PRIu64, n ? "," : "",
		    fold->functions[best].symbol ? fold->functions[best].symbol->name
		                                 : "(no symbol)",
		    fold->functions[best].count);
		fold->functions[best].count = 0;
	}
	fprintf(p->out, "%*s%s...%s\n", 26, "", p->style.faint, p->style.end);
	print_note(p, text);
	p->headed = false;
	*fold = (struct fold){0};
}

/* In a long crossing: C code, but for what the processor itself has something to say about. */
static bool is_folded(const struct anatomy *anatomy, const struct anatomy_row *row)
{
	return anatomy->count > FOLD_FROM && row->cpl == 0 && !is_entry_text(anatomy, row) &&
	       !row->hardware;
}

static void print_sums(const struct printer *p)
{
	const struct anatomy *anatomy = p->anatomy;
	const struct sums sums = sum_up(anatomy);

	fprintf(p->out,
	        "\n%" PRIu64 " instruction%s in ring 0; they read memory %" PRIu64
	        " time%s and write it %" PRIu64 " time%s, and the\nprocessor itself moves %" PRIu64
	        " word%s of frames; CR3 is written %" PRIu64 " time%s; exits to the VMM: %" PRIu64
	        ".\n",
	        sums.ring0, units_s(sums.ring0), sums.reads, units_s(sums.reads), sums.writes,
	        units_s(sums.writes), anatomy->pushed, units_s(anatomy->pushed), sums.cr3_writes,
	        units_s(sums.cr3_writes), anatomy->exits);
	if (anatomy->cut)
		fprintf(p->out, "It goes on: only the first %d instructions were followed.\n",
		        ANATOMY_ROWS_MAX);
}

void anatomy_print(FILE *out, const struct anatomy *anatomy, const struct anatomy_words *words)
{
	struct printer p = {
	    .out = out, .anatomy = anatomy, .words = words, .style = style_get(words->color)};
	struct fold fold = {0};

	fprintf(out,
	        "%sAnatomy of %s%s\n%s.\nR: the ring (CPL).  CR3: the root.  What is behind a bar, "
	        "the processor does by "
	        "itself.\n\n",
	        p.style.head, anatomy->title, p.style.end, anatomy->machine);
	fprintf(out, "%sR CR3    stack  GS     IF address          offset instruction%*s%s\n",
	        p.style.head, WIDTH - 73, "line", p.style.end);
	for (size_t i = 0; i < anatomy->count; i++) {
		const struct anatomy_row *row = &anatomy->rows[i];

		if (is_folded(anatomy, row)) {
			fold_add(&fold, symbols_find(words->symbols, row->rip));
			continue;
		}
		print_fold(&p, &fold);
		print_row(&p, row);
	}
	print_fold(&p, &fold);
	print_sums(&p);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

/* A name in a guest's file need not be UTF-8. */
static json_t *text_json(const char *text)
{
	char safe[256];
	json_t *value = text ? json_string(text) : json_null();

	return value ? value : json_string(printable(safe, sizeof(safe), text, strlen(text)));
}

static json_t *row_json(const struct anatomy *anatomy, const struct anatomy_row *row,
                        const struct anatomy_words *words)
{
	const struct symbol *symbol = symbols_find(words->symbols, row->rip);
	const struct line *line = lines_find(words->lines, row->rip);
	struct engine_instruction insn;
	json_t *object = json_object();

	engine_code_decode(words->code, row->bytes, row->size, row->rip, words->symbols, &insn);
	json_object_set_new(object, "address", hex(row->rip));
	json_object_set_new(object, "symbol", text_json(symbol ? symbol->name : NULL));
	json_object_set_new(object, "offset", hex(symbol ? row->rip - symbol->address : 0));
	json_object_set_new(object, "instruction", json_string(insn.text));
	json_object_set_new(object, "file", text_json(line ? line->file : NULL));
	json_object_set_new(object, "line", line ? json_integer(line->number) : json_null());
	json_object_set_new(object, "cpl", json_integer(row->cpl));
	json_object_set_new(object, "cr3", hex(row->cr3));
	json_object_set_new(object, "root", json_string(root_name(row)));
	json_object_set_new(object, "rsp", hex(row->rsp));
	json_object_set_new(object, "stack", json_string(anatomy_row_stack(anatomy, row)));
	json_object_set_new(object, "gs", json_string(gs_name(row)));
	json_object_set_new(object, "if", json_boolean(row->rflags & RFLAGS_IF));
	json_object_set_new(object, "rflags", hex(row->rflags));
	json_object_set_new(object, "reads", json_integer(row->reads));
	json_object_set_new(object, "writes", json_integer(row->writes));
	json_object_set_new(object, "hardware", text_json(row->hardware));
	return object;
}

/* Hands the object over and lets go of it. */
static bool give(json_t *object, bool (*take)(void *ctx, const json_t *object), void *ctx)
{
	bool good;

	if (!object)
		return message_error("--anatomy: no memory");
	good = take(ctx, object);
	json_decref(object);
	return good;
}

bool anatomy_objects(const struct anatomy *anatomy, const struct anatomy_words *words,
                     bool (*take)(void *ctx, const json_t *object), void *ctx)
{
	const struct sums sums = sum_up(anatomy);
	bool good = give(json_pack("{s:s, s:s, s:s}", "anatomy", anatomy->name, "title",
	                           anatomy->title, "machine", anatomy->machine),
	                 take, ctx);

	for (size_t i = 0; good && i < anatomy->count; i++)
		good = give(row_json(anatomy, &anatomy->rows[i], words), take, ctx);
	return good &&
	       give(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "instructions",
	                      (json_int_t)sums.ring0, "reads", (json_int_t)sums.reads, "writes",
	                      (json_int_t)sums.writes, "frame_words", (json_int_t)anatomy->pushed,
	                      "cr3_writes", (json_int_t)sums.cr3_writes, "exits",
	                      (json_int_t)anatomy->exits, "cut", anatomy->cut),
	            take, ctx);
}

/* Errors stay in the stream. */
static bool write_line(void *out, const json_t *object)
{
	json_dumpf(object, out, JSON_COMPACT);
	fputc('\n', out);
	return true;
}

bool anatomy_write_object(FILE *out, json_t *object)
{
	return give(object, write_line, out);
}

bool anatomy_print_json(FILE *out, const struct anatomy *anatomy, const struct anatomy_words *words)
{
	return anatomy_objects(anatomy, words, write_line, out);
}
