#include "vmm/instruments/calls/costs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "vmm/base/names.h"
#include "vmm/base/units.h"
#include "vmm/look/json.h"
#include "vmm/run/stats.h"

/* ---- Sums ---------------------------------------------------------------------------------- */

static void add(struct costs_sum *sum, int64_t ticks)
{
	sum->sum += ticks;
	if (sum->count < COSTS_SAMPLES)
		sum->sample[sum->count++] = ticks;
}

static int compare(const void *a, const void *b)
{
	const int64_t of_a = *(const int64_t *)a, of_b = *(const int64_t *)b;

	return of_a < of_b ? -1 : of_a > of_b;
}

/* The sample that so many hundredths of them do not exceed; 0 of none. */
static int64_t part(struct costs_sum *sum, unsigned hundredths)
{
	if (!sum->count)
		return 0;
	qsort(sum->sample, sum->count, sizeof(sum->sample[0]), compare);
	return sum->sample[(sum->count - 1) * hundredths / 100];
}

bool costs_tsc_counts(void)
{
	enum { TURNS = 1000, TRIES = 20 };
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t turns = TURNS, start = stats_now(), ticks;

		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(turns));
		ticks = stats_now() - start;
		if (ticks < best)
			best = ticks;
	}
	return best >= 2 * TURNS && best < 2 * TURNS + TURNS / 10;
}

bool costs_wants_calibration(const struct costs *costs)
{
	return (costs->where == COSTS_RING0 || costs->where == COSTS_MIXED) &&
	       costs->empty[costs->kind].count < COSTS_EMPTY;
}

void costs_calibrate(struct costs *costs, uint64_t ticks)
{
	struct costs_sum *empty = &costs->empty[costs->kind];

	add(empty, (int64_t)ticks);
	costs->taken_off[costs->kind] = part(empty, 0);
}

/* ---- Stops --------------------------------------------------------------------------------- */

void costs_pass(struct costs *costs, const struct costs_passed *passed, bool int3)
{
	const unsigned kind = costs->where == COSTS_RING3 ? CROSSING_SYSCALL : costs->kind;
	int64_t ticks = (int64_t)passed->ticks - passed->runs * costs->taken_off[kind];

	if (costs->instructions)
		ticks += (int64_t)passed->steps - int3;
	switch (costs->where) {
	case COSTS_RING3:
		if (costs->space)
			costs->space->ring3 += ticks;
		break;
	case COSTS_RING0:
		if (costs->row)
			costs->row->sum += ticks;
		costs->passed += ticks;
		costs->runs += passed->runs;
		break;
	case COSTS_MIXED:
		costs->mixed += ticks;
		break;
	case COSTS_BEFORE:
		break;
	}
}

static bool is_row(const struct costs_row *row, const struct seen_crossing *crossing)
{
	return row->root == crossing->root && row->kind == crossing->kind &&
	       row->number == crossing->number;
}

static struct costs_row *find_row(struct costs *costs, const struct seen_crossing *crossing)
{
	struct costs_row *row;

	for (unsigned i = 0; i < costs->row_count; i++) {
		row = &costs->rows[i];
		if (is_row(row, crossing))
			return row;
	}
	if (costs->row_count == COSTS_ROWS)
		return NULL;
	row = &costs->rows[costs->row_count++];
	row->root = crossing->root;
	row->kind = crossing->kind;
	row->number = crossing->number;
	if (crossing->name)
		snprintf(row->name, sizeof(row->name), "%s", crossing->name);
	return row;
}

static struct costs_space *find_space(struct costs *costs, uint64_t root)
{
	for (unsigned i = 0; i < costs->space_count; i++) {
		if (costs->spaces[i].root == root)
			return &costs->spaces[i];
	}
	if (costs->space_count == COSTS_SPACES)
		return NULL;
	costs->spaces[costs->space_count].root = root;
	return &costs->spaces[costs->space_count++];
}

void costs_enter(struct costs *costs, const struct seen_crossing *crossing, bool back)
{
	find_space(costs, crossing->root);
	costs->row = find_row(costs, crossing);
	costs->where = back ? COSTS_RING0 : COSTS_MIXED;
	costs->kind = crossing->kind;
	costs->passed = costs->runs = 0;
	if (costs->row)
		costs->row->times++;
	else
		costs->missing++;
}

void costs_leave(struct costs *costs, uint64_t root, const struct seen_crossing *back)
{
	/* Not of one that something else ran in the middle of. */
	if (back && costs->where == COSTS_RING0 && costs->row && is_row(costs->row, back) &&
	    costs->runs == 1)
		add(&costs->row->each, costs->passed);
	costs->where = COSTS_RING3;
	costs->space = find_space(costs, root);
}

/* ---- The table ----------------------------------------------------------------------------- */

static const char *number(char buf[UNITS_SIZE], int64_t ticks)
{
	/* What is less than nothing was less than the measure's error. */
	return units_count(buf, ticks < 0 ? 0 : (uint64_t)ticks);
}

static const char *const kind_names[COSTS_KINDS] = {
    [CROSSING_SYSCALL] = "SYSCALL",
    [CROSSING_INT80] = "INT 0x80",
    [CROSSING_FAULT] = "#PF",
    [CROSSING_INTERRUPT] = "interrupts",
};

/* What was crossed for: "SYSCALL getpid", "#PF", "interrupt 0xec". */
static void title(const struct costs_row *row, char *buf, size_t size)
{
	if (row->kind == CROSSING_FAULT)
		snprintf(buf, size, "%s", vector_name((unsigned)row->number));
	else if (row->kind == CROSSING_INTERRUPT)
		snprintf(buf, size, "interrupt 0x%" PRIx64, row->number);
	else
		snprintf(buf, size, "%s %s", kind_names[row->kind], row->name);
}

static void print_row(struct costs_row *row, FILE *out)
{
	char each[UNITS_SIZE] = "-", sum[UNITS_SIZE], name[64];

	if (row->each.count)
		number(each, part(&row->each, 50));
	title(row, name, sizeof(name));
	fprintf(out, "%8" PRIu64 "  %12s  %16s  %s\n", row->times, each, number(sum, row->sum),
	        name);
}

/* What an address space took in ring 0. */
static int64_t ring0_of(const struct costs *costs, const struct costs_space *space)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < costs->row_count; i++) {
		if (costs->rows[i].root == space->root)
			sum += costs->rows[i].sum;
	}
	return sum;
}

/* One address space: what it crossed for, and the sum of it. */
static void print_space(struct costs *costs, const struct costs_space *space, FILE *out)
{
	char ring0_text[UNITS_SIZE], ring3_text[UNITS_SIZE];
	uint64_t times[COSTS_KINDS] = {0};

	fprintf(out, "\nCR3 0x%" PRIx64 "\n   times   each, ring 0    all of it, ring 0\n",
	        space->root);
	for (unsigned i = 0; i < costs->row_count; i++) {
		struct costs_row *row = &costs->rows[i];

		if (row->root != space->root)
			continue;
		print_row(row, out);
		times[row->kind] += row->times;
	}
	fprintf(out,
	        "%" PRIu64 " by SYSCALL, %" PRIu64 " by INT 0x80, %" PRIu64 " by #PF, %" PRIu64
	        " by interrupts; ring 0: %s, ring 3: %s\n",
	        times[CROSSING_SYSCALL], times[CROSSING_INT80], times[CROSSING_FAULT],
	        times[CROSSING_INTERRUPT], number(ring0_text, ring0_of(costs, space)),
	        number(ring3_text, space->ring3));
}

static void print_empty(struct costs *costs, FILE *out)
{
	char a[UNITS_SIZE], b[UNITS_SIZE], c[UNITS_SIZE];

	for (unsigned kind = 0; kind < COSTS_KINDS; kind++) {
		struct costs_sum *empty = &costs->empty[kind];

		if (empty->count)
			fprintf(out,
			        "  behind %-10s %8s, the least of %u; the middle half: %s to %s\n",
			        kind_names[kind], number(a, costs->taken_off[kind]), empty->count,
			        number(b, part(empty, 25)), number(c, part(empty, 75)));
	}
}

void costs_print(struct costs *costs, FILE *out)
{
	char mixed[UNITS_SIZE];

	fprintf(out, "Crossings of ring 3, by address space: %s\n",
	        costs->instructions ? "instructions, which the TSC counts here"
	                            : "TSC ticks; the TSC does not count instructions here");
	fputs("Each: the median.  Taken off is what an entry into the guest and an exit from it "
	      "take\n"
	      "with nothing between, measured in this run:\n",
	      out);
	print_empty(costs, out);
	for (unsigned i = 0; i < costs->space_count; i++)
		print_space(costs, &costs->spaces[i], out);
	fprintf(out,
	        "\nIn either ring, where nothing could be planted: %s; crossings that had no row: "
	        "%" PRIu64 "\n",
	        number(mixed, costs->mixed), costs->missing);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *space_json(struct costs *costs, const struct costs_space *space)
{
	json_t *crossings = json_array();
	char name[64];

	for (unsigned i = 0; i < costs->row_count; i++) {
		struct costs_row *row = &costs->rows[i];

		if (row->root != space->root)
			continue;
		title(row, name, sizeof(name));
		json_array_append_new(
		    crossings,
		    json_pack("{s:s, s:I, s:o, s:I}", "crossing", name, "times",
		              (json_int_t)row->times, "each",
		              row->each.count ? json_integer(part(&row->each, 50)) : json_null(),
		              "sum", (json_int_t)row->sum));
	}
	return json_pack("{s:o, s:I, s:I, s:o}", "cr3", look_json_hex(space->root), "ring0",
	                 (json_int_t)ring0_of(costs, space), "ring3", (json_int_t)space->ring3,
	                 "crossings", crossings);
}

bool costs_print_json(struct costs *costs, FILE *out)
{
	json_t *spaces = json_array(), *taken_off = json_object();

	for (unsigned i = 0; i < costs->space_count; i++)
		json_array_append_new(spaces, space_json(costs, &costs->spaces[i]));
	for (unsigned kind = 0; kind < COSTS_KINDS; kind++) {
		if (costs->empty[kind].count)
			json_object_set_new(taken_off, kind_names[kind],
			                    json_integer(costs->taken_off[kind]));
	}
	return look_json_write(out, json_pack("{s:{s:s, s:o, s:o, s:I, s:I}}", "costs", "unit",
	                                      costs->instructions ? "instructions" : "ticks",
	                                      "taken_off", taken_off, "spaces", spaces, "mixed",
	                                      (json_int_t)costs->mixed, "missing",
	                                      (json_int_t)costs->missing));
}
