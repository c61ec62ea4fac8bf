#include "vmm/look/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/color.h"
#include "vmm/base/message.h"
#include "vmm/base/units.h"
#include "vmm/look/json.h"

/* Rows that repeat are one line of text from this many on. */
#define REPEATS_MIN 3

/* ---- The pieces of one root ---------------------------------------------------------------- */

struct pieces {
	struct pt_run *list;
	size_t count, room;
	bool cut, no_memory;
};

static bool add_piece(void *ctx, const struct pt_run *run)
{
	struct pieces *pieces = ctx;

	if (pieces->count == MAPPING_PIECES_MAX) {
		pieces->cut = true;
		return false;
	}
	if (pieces->count == pieces->room) {
		size_t room = pieces->room ? 2 * pieces->room : 256;
		struct pt_run *list = reallocarray(pieces->list, room, sizeof(*list));

		pieces->no_memory = !list;
		if (!list)
			return false;
		pieces->list = list;
		pieces->room = room;
	}
	pieces->list[pieces->count++] = *run;
	return true;
}

static bool collect(struct pieces *pieces, struct look *look, enum look_root root,
                    struct map *mapping)
{
	look_begin_scan(look);
	if (pt_each(&look->pt[root], 0, UINT64_MAX, add_piece, pieces) != PT_OK)
		mapping->corrupt = true;
	mapping->cut |= pieces->cut || look->tables.exceeded;
	return !pieces->no_memory;
}

/* ---- Side by side -------------------------------------------------------------------------- */

/* Pieces of both roots, taken from the front. */
struct merge {
	struct pt_run *at[LOOK_ROOTS], *end[LOOK_ROOTS];
};

static bool merge_more(const struct merge *merge, unsigned root)
{
	return merge->at[root] < merge->end[root];
}

static void merge_drop(struct merge *merge, unsigned root, uint64_t len)
{
	struct pt_run *run = merge->at[root];

	run->va += len;
	run->pa += len;
	run->len -= len;
	if (!run->len)
		merge->at[root]++;
}

/* The next range in which nothing changes: neither root, nor the place. */
static struct map_row merge_next(struct merge *merge, const struct places *places)
{
	struct map_row row = {.va = UINT64_MAX};
	uint64_t last = UINT64_MAX;

	for (unsigned i = 0; i < LOOK_ROOTS; i++) {
		if (merge_more(merge, i) && merge->at[i]->va < row.va)
			row.va = merge->at[i]->va;
	}
	row.name = places_name(places, row.va);
	places_find(places, row.va, &last);
	for (unsigned i = 0; i < LOOK_ROOTS; i++) {
		if (!merge_more(merge, i))
			continue;

		const struct pt_run *run = merge->at[i];
		uint64_t change = run->va == row.va ? run->va + (run->len - 1) : run->va - 1;

		if (change < last)
			last = change;
		if (run->va == row.va) {
			row.mapped[i] = true;
			row.rights[i] = run->rights;
		}
	}
	row.len = last - row.va + 1;
	row.same_frames = row.mapped[0] && row.mapped[1] && merge->at[0]->pa == merge->at[1]->pa;
	for (unsigned i = 0; i < LOOK_ROOTS; i++) {
		if (row.mapped[i])
			merge_drop(merge, i, row.len);
	}
	return row;
}

static bool row_continues(const struct map_row *row, const struct map_row *next)
{
	return row->va + row->len == next->va && row->name == next->name &&
	       row->same_frames == next->same_frames &&
	       !memcmp(row->mapped, next->mapped, sizeof(row->mapped)) &&
	       !memcmp(row->rights, next->rights, sizeof(row->rights));
}

/* Fills mapping->rows, for which there is room. */
static void merge_all(struct map *mapping, struct merge *merge, const struct places *places)
{
	while (merge_more(merge, LOOK_KERNEL) || merge_more(merge, LOOK_USER)) {
		struct map_row row = merge_next(merge, places);
		struct map_row *before = mapping->count ? &mapping->rows[mapping->count - 1] : NULL;

		if (before && row_continues(before, &row))
			before->len += row.len;
		else
			mapping->rows[mapping->count++] = row;
	}
}

bool map_make(struct map *mapping, struct look *look, const struct places *places)
{
	struct pieces pieces[LOOK_ROOTS] = {0};
	bool good;

	*mapping = (struct map){0};
	good = collect(&pieces[LOOK_KERNEL], look, LOOK_KERNEL, mapping) &&
	       (!look->two_roots || collect(&pieces[LOOK_USER], look, LOOK_USER, mapping));
	/* Each piece begins and ends once, and so does each place. */
	if (good)
		mapping->rows = calloc(2 * (pieces[0].count + pieces[1].count + places->count) + 1,
		                       sizeof(*mapping->rows));
	good = good && mapping->rows;
	if (good) {
		struct merge merge = {0};

		for (unsigned i = 0; i < LOOK_ROOTS; i++) {
			merge.at[i] = pieces[i].list;
			merge.end[i] = pieces[i].list ? pieces[i].list + pieces[i].count : NULL;
		}
		merge_all(mapping, &merge, places);
	}
	for (unsigned i = 0; i < LOOK_ROOTS; i++)
		free(pieces[i].list);
	return good || message_error("no memory for --map");
}

void map_free(struct map *mapping)
{
	free(mapping->rows);
	*mapping = (struct map){0};
}

/* ---- Words --------------------------------------------------------------------------------- */

/* What sets a range apart; "both" for one that is the same in both roots. */
static const char *mark_of(const struct look *look, const struct map_row *row)
{
	if (!look->two_roots)
		return "only root";
	if (!row->mapped[LOOK_USER])
		return "kernel root";
	if (!row->mapped[LOOK_KERNEL])
		return "user root";
	if (!row->same_frames)
		return "other memory";
	return row->rights[0] != row->rights[1] ? "other rights" : "both";
}

static const char *rights_of(const struct map_row *row, unsigned root, char buf[8])
{
	return row->mapped[root] ? pt_rights_text(buf, row->rights[root]) : ".";
}

static void print_head(FILE *out, const struct look *look, const struct style *style)
{
	fprintf(out, "\n%sMap %s%s", style->head, look->when, style->end);
	for (unsigned i = 0; i < LOOK_ROOTS; i++) {
		if (i == LOOK_KERNEL || look->two_roots)
			fprintf(out, "  %s root 0x%" PRIx64,
			        look_root_name(look, (enum look_root)i),
			        legacy_address(&look->tables.legacy, look->cr3[i]));
	}
	if (look->legacy)
		fprintf(out, "  paging %s", legacy_name(look->legacy));
	fprintf(out, "\n  %-35s %10s  ", "addresses", "size");
	if (look->two_roots)
		fprintf(out, "%-6s  %-6s  %-12s  ", "kernel", "user", "mapped by");
	else
		fprintf(out, "%-6s  ", "rights");
	fputs("what it is\n", out);
}

/* How many rows from this one on differ in nothing but a constant step of addresses. */
static size_t repeats(const struct map *mapping, size_t at)
{
	const struct map_row *first = &mapping->rows[at];
	size_t count = 1;

	for (; at + count < mapping->count; count++) {
		const struct map_row *row = &mapping->rows[at + count];

		if (row->len != first->len || row->name != first->name ||
		    row->same_frames != first->same_frames ||
		    row->va - (row - 1)->va != first[1].va - first->va ||
		    memcmp(row->mapped, first->mapped, sizeof(row->mapped)) != 0 ||
		    memcmp(row->rights, first->rights, sizeof(row->rights)) != 0)
			break;
	}
	return count;
}

/* "kernel memory" is the same in plural. */
static bool ends_in_y(const char *name)
{
	return name[0] && name[strlen(name) - 1] == 'y';
}

/* One line for `count` rows that repeat. */
static void print_rows(FILE *out, const struct look *look, const struct map_row *row, size_t count,
                       const struct style *style)
{
	const struct map_row *last = row + count - 1;
	const char *mark = mark_of(look, row);
	const char *color = !strcmp(mark, "both")    ? ""
	                    : row->mapped[LOOK_USER] ? style->bad
	                                             : style->faint;
	char size[UNITS_SIZE], each[UNITS_SIZE + 24], kernel[8], user[8];

	units_bytes(size, row->len);
	if (count > 1)
		snprintf(each, sizeof(each), "%zu x %s", count, size);
	else
		snprintf(each, sizeof(each), "%s", size);
	fprintf(out, "  %016" PRIx64 " - %016" PRIx64 " %10s  ", row->va,
	        last->va + (last->len - 1), each);
	if (look->two_roots)
		fprintf(out, "%-6s  %-6s  %s%-12s%s  ", rights_of(row, LOOK_KERNEL, kernel),
		        rights_of(row, LOOK_USER, user), color, mark, style->end);
	else
		fprintf(out, "%-6s  ", rights_of(row, LOOK_KERNEL, kernel));
	fprintf(out, "%s%s\n", row->name, count > 1 && !ends_in_y(row->name) ? "s" : "");
}

/* Pages that each root maps, which is what KPTI is about. */
static void print_sum(FILE *out, const struct look *look, const struct map *mapping)
{
	uint64_t bytes[LOOK_ROOTS][2] = {0}; /* [root][kernel half] */
	char user_half[UNITS_SIZE], kernel_half[UNITS_SIZE];

	for (size_t i = 0; i < mapping->count; i++) {
		for (unsigned root = 0; root < LOOK_ROOTS; root++) {
			if (mapping->rows[i].mapped[root])
				bytes[root][mapping->rows[i].va >> 63] += mapping->rows[i].len;
		}
	}
	if (look->legacy) {
		fprintf(out, "  %s in all\n", units_bytes(user_half, bytes[LOOK_KERNEL][0]));
		return;
	}
	for (unsigned root = 0; root < (look->two_roots ? LOOK_ROOTS : 1u); root++)
		fprintf(out, "  the %s root maps %s of the user half, %s of the kernel half\n",
		        look_root_name(look, (enum look_root)root),
		        units_bytes(user_half, bytes[root][0]),
		        units_bytes(kernel_half, bytes[root][1]));
}

void map_print(FILE *out, const struct look *look, const struct map *mapping, bool color)
{
	struct style style = style_get(color);

	print_head(out, look, &style);
	for (size_t i = 0, count; i < mapping->count; i += count) {
		count = repeats(mapping, i);
		if (count < REPEATS_MIN)
			count = 1;
		print_rows(out, look, &mapping->rows[i], count, &style);
	}
	fputs("  r read, w write, x execute, u open to ring 3, g global, . not mapped\n", out);
	print_sum(out, look, mapping);
	if (mapping->corrupt && !mapping->cut)
		fputs("  a table outside RAM was skipped\n", out);
	if (mapping->cut && look->tables.gave_up)
		fputs("  it was time to stop: this is not all\n", out);
	else if (mapping->cut)
		fputs("  the address space is larger than what is looked at: this is not all\n",
		      out);
}

json_t *map_json(const struct look *look, const struct map *mapping)
{
	json_t *json = look_json_head(look, "map"), *ranges = json_array();
	bool good = json && ranges;

	for (size_t i = 0; good && i < mapping->count; i++) {
		const struct map_row *row = &mapping->rows[i];
		char kernel[8], user[8];
		json_t *range = json_pack(
		    "{s:o, s:o, s:s?, s:s?, s:s, s:s}", "start", look_json_hex(row->va), "end",
		    look_json_hex(row->va + (row->len - 1)), "kernel",
		    row->mapped[LOOK_KERNEL] ? rights_of(row, LOOK_KERNEL, kernel) : NULL, "user",
		    row->mapped[LOOK_USER] ? rights_of(row, LOOK_USER, user) : NULL, "name",
		    row->name, "mapped_by", mark_of(look, row));

		good = json_array_append_new(ranges, range) == 0;
	}
	good = good && json_object_set(json, "ranges", ranges) == 0 &&
	       json_object_set_new(json, "complete",
	                           json_boolean(!mapping->cut && !mapping->corrupt)) == 0;
	json_decref(ranges);
	if (good)
		return json;
	json_decref(json);
	return NULL;
}
