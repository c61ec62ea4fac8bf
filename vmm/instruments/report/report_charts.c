#include "vmm/instruments/report/report_charts.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/base/units.h"
#include "vmm/devices/figures.h"
#include "vmm/instruments/report/svg.h"

static double larger(double a, double b)
{
	return a > b ? a : b;
}

/* ---- Records --------------------------------------------------------------------------------- */

static double scaled(uint64_t value, uint32_t decimals)
{
	double result = (double)(value & ~RS_RECORD_MINUS);

	while (decimals--)
		result /= 10;
	return value & RS_RECORD_MINUS && result > 0 ? -result : result; /* no -0 */
}

double record_value(const struct rs_record *r)
{
	const uint64_t values[] = {r->median, r->min, r->p90, r->p99, r->max};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (values[i] != RS_RECORD_NONE)
			return scaled(values[i], r->decimals);
	}
	return 0;
}

const char *record_mode_name(uint32_t mode)
{
	switch (mode) {
	case RS_PTI_OFF:
		return "KPTI off";
	case RS_PTI_PCID:
		return "KPTI, PCID";
	case RS_PTI_NOPCID:
		return "KPTI, no PCID";
	default:
		return "";
	}
}

static const char *mode_class(uint32_t mode, bool line)
{
	static const char *const bars[] = {"m0", "m1", "m2", "m3"};
	static const char *const lines[] = {"l0", "l1", "l2", "l3"};

	return (line ? lines : bars)[mode <= RS_PTI_NOPCID ? mode : 3];
}

/* ---- Exits over time ------------------------------------------------------------------------- */

static const char *const class_names[TIMELINE_CLASSES] = {"port I/O", "memory-mapped I/O",
                                                          "others"};
static const char *const class_css[TIMELINE_CLASSES] = {"k0", "k1", "k2"};

static double tallest_slot(const struct timeline *timeline)
{
	double tallest = 5; /* no fractions of an exit at the axis */

	for (unsigned i = 0; i < timeline->used; i++) {
		const uint64_t *exits = timeline->slots[i].exits;

		tallest = larger(tallest, (double)(exits[0] + exits[1] + exits[2]));
	}
	return tallest;
}

static void draw_slot(FILE *out, const struct timeline_slot *slot, double x, double width,
                      double bottom, const struct svg_scale *scale, uint64_t from_ns)
{
	double sum = 0, y = bottom;
	char hint[160], time[UNITS_SIZE];

	for (unsigned c = 0; c < TIMELINE_CLASSES; c++) {
		double top;

		if (!slot->exits[c])
			continue;
		sum += (double)slot->exits[c];
		top = bottom - svg_scale_at(scale, sum);
		snprintf(hint, sizeof(hint), "from %s on: %" PRIu64 " exit%s, %s",
		         units_time(time, from_ns), slot->exits[c], units_s(slot->exits[c]),
		         class_names[c]);
		svg_rect(out, x, top, width, y - top, class_css[c], hint);
		y = top;
	}
}

static void draw_legend(FILE *out, double x, double y, const char *const *names,
                        const char *const *classes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		svg_rect(out, x, y - 9, 10, 10, classes[i], NULL);
		svg_text(out, x + 15, y, SVG_START, "t", "%s", names[i]);
		x += 42 + 6.6 * (double)strlen(names[i]);
	}
}

/* Horizontal grid lines with their values at the left. */
static void draw_value_grid(FILE *out, const struct svg_scale *scale, double left, double right,
                            double bottom)
{
	char number[40];
	double value;

	for (unsigned i = 0; svg_scale_tick(scale, i, &value); i++) {
		const double y = bottom - svg_scale_at(scale, value);

		svg_line(out, left, y, right, y, value == 0 ? "axis" : "grid");
		svg_text(out, left - 8, y + 4, SVG_END, "n", "%s", svg_number(number, value));
	}
}

void chart_exits(FILE *out, const struct timeline *timeline, double slot_ns)
{
	enum { LEFT = 62, RIGHT = CHART_WIDTH - 26, TOP = 34, BOTTOM = 190, HEIGHT = 234 };
	const double tallest = tallest_slot(timeline);
	const struct svg_scale up = svg_scale_make(1, tallest, 1e30, BOTTOM - TOP);
	const unsigned used = timeline->used ? timeline->used : 1;
	const double width = (double)(RIGHT - LEFT) / used, total = slot_ns * used;
	/* In the unit that the axis is in, so that the ticks are round there. */
	const double unit = total >= 1e9 ? 1e9 : total >= 1e6 ? 1e6 : 1e3;
	const struct svg_scale across = svg_scale_make(1, total / unit, 1e30, (RIGHT - LEFT) * 1.0);
	char number[40];
	double value;

	svg_open(out, CHART_WIDTH, HEIGHT, "Exits over time");
	draw_legend(out, LEFT, 14, class_names, class_css, TIMELINE_CLASSES);
	draw_value_grid(out, &up, LEFT, RIGHT, BOTTOM);
	for (unsigned i = 0; i < timeline->used; i++)
		draw_slot(out, &timeline->slots[i], LEFT + i * width, larger(width - 1, 0.8),
		          BOTTOM, &up, (uint64_t)(i * slot_ns));
	for (unsigned i = 0; svg_scale_tick(&across, i, &value); i++) {
		const double x = LEFT + value * unit / total * (RIGHT - LEFT);

		if (x > RIGHT + 0.5)
			break;
		svg_line(out, x, BOTTOM, x, BOTTOM + 5, "axis");
		svg_text(out, x, BOTTOM + 18, SVG_MIDDLE, "n", "%s", svg_number(number, value));
	}
	svg_text(out, RIGHT, BOTTOM + 36, SVG_END, "t", "%s since the start",
	         unit > 5e8   ? "seconds"
	         : unit > 5e5 ? "milliseconds"
	                      : "microseconds");
	svg_close(out);
}

/* ---- Bars -------------------------------------------------------------------------------------
 */

enum { MAX_BARS = 120 };

static bool in_bars(const struct rs_record *record, const char *unit)
{
	return !record->x_unit[0] && !strcmp(record->unit, unit);
}

/* The bars in the order in which they are drawn: names as they first came, under each its modes. */
static unsigned sort_bars(const struct rs_record *records, unsigned count, const char *unit,
                          const struct rs_record *order[MAX_BARS])
{
	bool taken[RS_MAX_RECORDS] = {false};
	unsigned bars = 0;

	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = i; j < count && bars < MAX_BARS; j++) {
			if (taken[j] || !in_bars(&records[j], unit) ||
			    strcmp(records[i].name, records[j].name) != 0 || taken[i])
				continue;
			if (j > i)
				taken[j] = true;
			order[bars++] = &records[j];
		}
		taken[i] = true;
	}
	return bars;
}

static void describe_bar(char *buf, size_t size, const struct rs_record *r, uint64_t tsc_khz)
{
	static const char *const names[] = {"min", "median", "p90", "p99", "max"};
	const uint64_t values[] = {r->min, r->median, r->p90, r->p99, r->max};
	size_t used = (size_t)snprintf(buf, size, "%s, %s:", r->name, record_mode_name(r->mode));
	struct rs_record in_ns;
	char number[40];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]) && used < size; i++) {
		if (values[i] != RS_RECORD_NONE)
			used +=
			    (size_t)snprintf(buf + used, size - used, " %s %s", names[i],
			                     svg_number(number, scaled(values[i], r->decimals)));
	}
	if (used < size)
		used += (size_t)snprintf(buf + used, size - used, " %s", r->unit);
	if (used < size && record_in_ns(&in_ns, r, tsc_khz))
		used += (size_t)snprintf(buf + used, size - used, " (%s ns)",
		                         svg_number(number, record_value(&in_ns)));
	if (used < size && r->outliers)
		snprintf(buf + used, size - used, ", and %" PRIu64 " sample%s told apart",
		         r->outliers, units_s(r->outliers));
}

enum { BAR_LEFT = 280, BAR_RIGHT = CHART_WIDTH - 110, BAR_HEIGHT = 15, BAR_GAP = 12, BAR_TOP = 30 };

static void draw_bar(FILE *out, const struct rs_record *record, double y,
                     const struct svg_scale *scale, uint64_t tsc_khz)
{
	const double length = svg_scale_at(scale, record_value(record));
	const double zero = svg_scale_at(scale, 0); /* bars to the left of it are below 0 */
	double end = larger(length, zero);
	char hint[400], number[40];

	describe_bar(hint, sizeof(hint), record, tsc_khz);
	svg_text(out, BAR_LEFT - 8, y + 11, SVG_END, "s", "%s", record_mode_name(record->mode));
	svg_rect(out, BAR_LEFT + (length < zero ? length : zero), y,
	         larger(length < zero ? zero - length : length - zero, 1), BAR_HEIGHT - 2,
	         mode_class(record->mode, false), hint);
	if (record->min != RS_RECORD_NONE && record->p99 != RS_RECORD_NONE) {
		const double from = svg_scale_at(scale, scaled(record->min, record->decimals));
		const double to = svg_scale_at(scale, scaled(record->p99, record->decimals));

		svg_line(out, BAR_LEFT + from, y + 6.5, BAR_LEFT + to, y + 6.5, "whisker");
		svg_line(out, BAR_LEFT + to, y + 3, BAR_LEFT + to, y + 10, "whisker");
		end = larger(end, to);
	}
	svg_text(out, BAR_LEFT + end + 6, y + 11, SVG_START, "n", "%s",
	         svg_number(number, record_value(record)));
}

void chart_bars(FILE *out, const struct rs_record *records, unsigned count, const char *unit,
                uint64_t tsc_khz)
{
	const struct rs_record *order[MAX_BARS];
	const unsigned bars = sort_bars(records, count, unit, order);
	double min = 0, max = 0, lowest = 0, y = BAR_TOP, height = BAR_TOP + 28, value;
	struct svg_scale scale;
	char number[40];

	for (unsigned i = 0; i < bars; i++) {
		const double v = record_value(order[i]);

		if (v > 0 && (min <= 0 || v < min))
			min = v;
		max = larger(max, v);
		lowest = v < lowest ? v : lowest;
		if (order[i]->p99 != RS_RECORD_NONE)
			max = larger(max, scaled(order[i]->p99, order[i]->decimals));
		height += BAR_HEIGHT;
		if (i && strcmp(order[i]->name, order[i - 1]->name) != 0)
			height += BAR_GAP;
	}
	/* Shares are compared by their lengths, and no logarithm reaches below 0. */
	if (lowest < 0 || !strcmp(unit, RECORD_PERCENT))
		scale = svg_scale_signed(lowest, max, BAR_RIGHT - BAR_LEFT);
	else
		scale = svg_scale_make(min, max, 60, BAR_RIGHT - BAR_LEFT);
	svg_open(out, CHART_WIDTH, height, "Costs by KPTI mode");
	svg_text(out, BAR_LEFT, 13, SVG_START, "t", "%s%s", unit,
	         scale.logarithmic ? " (logarithmic scale)" : "");
	for (unsigned i = 0; svg_scale_tick(&scale, i, &value); i++) {
		const double x = BAR_LEFT + svg_scale_at(&scale, value);

		svg_line(out, x, BAR_TOP - 8, x, height - 24,
		         (scale.logarithmic ? !i : value == 0) ? "axis" : "grid");
		svg_text(out, x, height - 8, SVG_MIDDLE, "n", "%s", svg_number(number, value));
	}
	for (unsigned i = 0; i < bars; i++) {
		const bool first = !i || strcmp(order[i]->name, order[i - 1]->name) != 0;

		if (first && i)
			y += BAR_GAP;
		if (first)
			svg_text(out, 0, y + 11, SVG_START, "t", "%.28s", order[i]->name);
		draw_bar(out, order[i], y, &scale, tsc_khz);
		y += BAR_HEIGHT;
	}
	svg_close(out);
}

/* ---- Curves -------------------------------------------------------------------------------------
 */

static bool in_curves(const struct rs_record *record, const struct rs_record *which)
{
	return !strcmp(record->x_unit, which->x_unit) && !strcmp(record->unit, which->unit) &&
	       !strcmp(record->name, which->name);
}

static void describe_point(char *buf, size_t size, const struct rs_record *r)
{
	char x[40], y[40];

	snprintf(buf, size, "%s %s, %s: %s %s", svg_number(x, (double)r->x), r->x_unit,
	         record_mode_name(r->mode), svg_number(y, record_value(r)), r->unit);
}

enum {
	CURVES_LEFT = 72,
	CURVES_RIGHT = CHART_WIDTH - 150,
	CURVES_TOP = 44,
	CURVES_BOTTOM = 260,
	CURVES_HEIGHT = 306,
};

/* Curves that are being drawn. */
struct curves {
	const struct rs_record *records;
	unsigned count;
	const struct rs_record *which;
	struct svg_scale across, up;
	bool has_0;
	double label_y[4]; /* of the labels that are there */
	unsigned labels;
};

static void scale_curves(struct curves *c)
{
	double min_x = 0, max_x = 0, min_y = 0, max_y = 0;

	for (unsigned i = 0; i < c->count; i++) {
		const double x = (double)c->records[i].x, y = record_value(&c->records[i]);

		if (!in_curves(&c->records[i], c->which))
			continue;
		c->has_0 |= !c->records[i].x;
		max_x = larger(max_x, x);
		if (x > 0 && (min_x <= 0 || x < min_x))
			min_x = x;
		max_y = larger(max_y, y);
		min_y = y < min_y ? y : min_y;
	}
	c->across = svg_scale_make(min_x, max_x, 20, CURVES_RIGHT - CURVES_LEFT);
	c->up = svg_scale_signed(min_y, max_y, CURVES_BOTTOM - CURVES_TOP);
}

static void draw_curves_axes(FILE *out, const struct curves *c)
{
	char number[40];
	double value;

	svg_text(out, CURVES_LEFT - 40, 14, SVG_START, "t", "%s: %s", c->which->name,
	         c->which->unit);
	draw_value_grid(out, &c->up, CURVES_LEFT, CURVES_RIGHT, CURVES_BOTTOM);
	for (unsigned i = 0; svg_scale_tick(&c->across, i, &value); i++) {
		const double x = CURVES_LEFT + svg_scale_at(&c->across, value);

		svg_line(out, x, CURVES_TOP, x, CURVES_BOTTOM, "grid");
		svg_line(out, x, CURVES_BOTTOM, x, CURVES_BOTTOM + 5, "axis");
		/* 0 lies where a logarithmic scale begins. */
		svg_text(out, x, CURVES_BOTTOM + 18, SVG_MIDDLE, "n", "%s",
		         svg_number(number, c->has_0 && !i ? 0 : value));
	}
	svg_text(out, CURVES_RIGHT, CURVES_BOTTOM + 38, SVG_END, "t", "%s%s", c->which->x_unit,
	         !c->across.logarithmic ? ""
	         : c->has_0             ? " (logarithmic scale; 0 at its left end)"
	                                : " (logarithmic scale)");
}

/* The lowest place from y up where a label touches no other one. */
static double free_label_y(const struct curves *c, double y)
{
	enum { LABEL = 13 };
	bool touches;

	do {
		touches = false;
		for (unsigned i = 0; i < c->labels && !touches; i++) {
			touches = y > c->label_y[i] - LABEL && y < c->label_y[i] + LABEL;
			if (touches)
				y = c->label_y[i] - LABEL;
		}
	} while (touches);
	return y;
}

/* Points come in the order in which they are to be joined.  False: the mode has none; else where
 * the last one lies. */
static bool draw_points(FILE *out, const struct curves *c, uint32_t mode, double *last_y)
{
	/* The last one drawn does not hide an equal one below it. */
	const double half = mode == RS_PTI_NOPCID ? 2.5 : 4.5;
	double from_x = 0, from_y = 0;
	bool any = false;
	char hint[200];

	for (unsigned i = 0; i < c->count; i++) {
		double x, y;

		if (!in_curves(&c->records[i], c->which) || c->records[i].mode != mode)
			continue;
		x = CURVES_LEFT + svg_scale_at(&c->across, (double)c->records[i].x);
		y = CURVES_BOTTOM - svg_scale_at(&c->up, record_value(&c->records[i]));
		if (any)
			svg_line(out, from_x, from_y, x, y, mode_class(mode, true));
		describe_point(hint, sizeof(hint), &c->records[i]);
		svg_rect(out, x - half, y - half, 2 * half, 2 * half, mode_class(mode, false),
		         hint);
		any = true;
		from_x = x;
		from_y = y;
	}
	*last_y = from_y;
	return any;
}

static void draw_curve(FILE *out, struct curves *c, uint32_t mode)
{
	double y;

	if (!draw_points(out, c, mode, &y))
		return;
	y = free_label_y(c, y);
	c->label_y[c->labels++] = y;
	svg_line(out, CURVES_RIGHT + 12, y, CURVES_RIGHT + 30, y, mode_class(mode, true));
	svg_text(out, CURVES_RIGHT + 36, y + 4, SVG_START, "t", "%s", record_mode_name(mode));
}

void chart_curves(FILE *out, const struct rs_record *records, unsigned count,
                  const struct rs_record *which)
{
	struct curves curves = {.records = records, .count = count, .which = which};

	scale_curves(&curves);
	svg_open(out, CHART_WIDTH, CURVES_HEIGHT, which->name);
	draw_curves_axes(out, &curves);
	for (uint32_t mode = RS_PTI_OFF; mode <= RS_PTI_NOPCID; mode++)
		draw_curve(out, &curves, mode);
	draw_curve(out, &curves, RS_RECORD_NO_MODE);
	svg_close(out);
}

/* ---- Address spaces -------------------------------------------------------------------------- */

enum {
	SPACE_LABEL = 176, /* where the left column begins */
	SPACE_COLUMN = 236,
	SPACE_BETWEEN = 20,
	SPACE_TOP = 56,
	SPACE_BREAK = 14, /* a gap that is left out */
};

/* Log scale: 6 more for each doubling from a page on. */
static double region_height(const struct space_region *region)
{
	uint64_t pages = (region->last - region->first) / PAGE_SIZE + 1;
	double height = 20;

	for (; pages > 1; pages /= 2)
		height += 2.6;
	return height;
}

static const char *rights_class(uint32_t rights)
{
	if (rights & PT_EXEC)
		return rights & PT_WRITE ? "rwx" : "rx";
	return rights & PT_WRITE ? "rw" : "ro";
}

static void rights_text(char buf[5], uint32_t rights)
{
	snprintf(buf, 5, "r%c%c%c", rights & PT_WRITE ? 'w' : '-', rights & PT_EXEC ? 'x' : '-',
	         rights & PT_USER ? 'u' : '\0');
}

static void draw_side(FILE *out, const struct space_region *region, const struct space_side *side,
                      double x, double y, double height)
{
	const double span = (double)(region->last - region->first) + 1;
	char hint[160], rights[5], size[UNITS_SIZE];

	if (!side->pages) {
		svg_rect(out, x, y, SPACE_COLUMN, height, "none", NULL);
		svg_text(out, x + SPACE_COLUMN / 2.0, y + height / 2 + 4, SVG_MIDDLE, "s",
		         "not mapped");
		return;
	}
	svg_rect(out, x, y, SPACE_COLUMN, height, "hole", NULL);
	for (unsigned i = 0; i < side->count; i++) {
		const struct space_range *range = &side->ranges[i];
		const double from = (double)(range->va - region->first) / span * SPACE_COLUMN;
		const double width = larger((double)range->len / span * SPACE_COLUMN, 1.2);

		rights_text(rights, range->rights);
		snprintf(hint, sizeof(hint), "%#" PRIx64 " to %#" PRIx64 ", %s, %s", range->va,
		         range->va + (range->len - 1), units_bytes(size, range->len), rights);
		svg_rect(out, x + from, y, width, height, rights_class(range->rights), hint);
		if (width > 34)
			svg_text(out, x + from + width / 2, y + height / 2 + 4, SVG_MIDDLE, "in",
			         "%s", rights);
	}
}

/* sides: SPACE_ROOTS, or 1 when there is no user root to show. */
static void draw_region(FILE *out, const struct space_region *region, unsigned sides, double y,
                        double height)
{
	const double right = SPACE_LABEL + 2 * SPACE_COLUMN + SPACE_BETWEEN + 14;
	char size[UNITS_SIZE];

	svg_text(out, SPACE_LABEL - 10, y + height / 2 + 4, SVG_END, "a", "%016" PRIx64,
	         region->first);
	for (unsigned s = 0; s < sides; s++)
		draw_side(out, region, &region->side[s],
		          SPACE_LABEL + s * (SPACE_COLUMN + SPACE_BETWEEN), y, height);
	svg_text(out, right, y + height / 2 - 2, SVG_START, "t", "%s",
	         region->name ? region->name : "elsewhere");
	svg_text(out, right, y + height / 2 + 11, SVG_START, "s", "spans %s",
	         units_bytes(size, region->last - region->first + 1));
}

static void draw_rights_legend(FILE *out, double y)
{
	static const char *const names[] = {"r-x text", "rw- data", "r-- read-only", "not mapped"};
	static const char *const classes[] = {"rx", "rw", "ro", "hole"};

	draw_legend(out, SPACE_LABEL, y, names, classes, 4);
}

void chart_spaces(FILE *out, const struct space_rows *spaces)
{
	const double second = SPACE_LABEL + SPACE_COLUMN + SPACE_BETWEEN;
	const unsigned sides = spaces->known[SPACE_USER] ? SPACE_ROOTS : 1;
	const double end = sides == 1 ? SPACE_LABEL + SPACE_COLUMN : second + SPACE_COLUMN;
	double height = SPACE_TOP + 34, y, entry_top = 0, entry_bottom = 0;

	for (unsigned i = 0; i < spaces->count; i++)
		height += region_height(&spaces->regions[i]) + SPACE_BREAK;
	svg_open(out, CHART_WIDTH, height, "Both address spaces");
	svg_text(out, SPACE_LABEL, 18, SVG_START, "h", "kernel root");
	svg_text(out, SPACE_LABEL, 34, SVG_START, "a", "CR3 frame %#" PRIx64,
	         spaces->root[SPACE_KERNEL]);
	svg_text(out, second, 18, SVG_START, "h", "user root");
	if (sides == 1)
		svg_text(out, second, 34, SVG_START, "s", "none: ring 3 runs on the kernel root");
	else
		svg_text(out, second, 34, SVG_START, "a", "CR3 frame %#" PRIx64,
		         spaces->root[SPACE_USER]);
	y = SPACE_TOP;
	/* The highest address on top. */
	for (unsigned i = spaces->count; i-- > 0;) {
		const struct space_region *region = &spaces->regions[i];
		const double h = region_height(region);

		if (region->entry && entry_bottom <= 0)
			entry_top = y;
		draw_region(out, region, sides, y, h);
		y += h;
		if (region->entry)
			entry_bottom = y;
		/* What is left out, if more addresses follow. */
		if (i && region->first - spaces->regions[i - 1].last > 1) {
			svg_line(out, SPACE_LABEL, y + SPACE_BREAK / 2.0, end,
			         y + SPACE_BREAK / 2.0, "break");
		}
		y += SPACE_BREAK;
	}
	if (entry_bottom > entry_top) {
		const double x = SPACE_LABEL - 6, width = end - SPACE_LABEL + 12;

		svg_rect(out, x, entry_top - 5, width, entry_bottom - entry_top + 10, "entry",
		         "the entry area: all of the kernel half that a user root maps");
		svg_text(out, end + 6, entry_top - 10, SVG_END, "e", "entry area");
	}
	draw_rights_legend(out, height - 10);
	svg_close(out);
}
