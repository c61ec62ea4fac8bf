/* The page of --report and what it is made of: escaping, scales, the timeline, hostile contents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/units.h"
#include "vmm/instruments/report/html.h"
#include "vmm/instruments/report/report_escapes.h"
#include "vmm/instruments/report/report_html.h"
#include "vmm/instruments/report/svg.h"

static char *text_of(void (*write)(FILE *out, const void *what), const void *what)
{
	static char *text; /* static: what open_memstream keeps outlives what the compiler sees */
	static size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	write(out, what);
	fclose(out);
	return text;
}

/* ---- Escaping -------------------------------------------------------------------------------- */

static void write_text(FILE *out, const void *what)
{
	html_text(out, what);
}

START_TEST(markup_is_escaped)
{
	char *text = text_of(write_text, "<script>alert(\"1\" & '2')</script>\n\x80\x1b[0m");

	ck_assert_str_eq(text,
	                 "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;??"
	                 "?[0m");
	free(text);
	text = text_of(write_text, NULL);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

static void write_svg(FILE *out, const void *what)
{
	const char *hostile = what;

	svg_open(out, 10, 20, hostile);
	svg_rect(out, 1, 2, -3, 4, "m0", hostile);
	svg_text(out, 1, 2, SVG_END, "t", "%s", hostile);
	svg_close(out);
}

START_TEST(pictures_escape_their_texts)
{
	char *text = text_of(write_svg, "</title><script>");

	ck_assert_ptr_null(strstr(text, "<script>"));
	ck_assert_ptr_nonnull(strstr(text, "viewBox=\"0 0 10 20\""));
	ck_assert_ptr_nonnull(strstr(text, "width=\"0.00\" height=\"4.00\""));
	ck_assert_ptr_nonnull(
	    strstr(text, "text-anchor=\"end\">&lt;/title&gt;&lt;script&gt;</text>"));
	free(text);
}
END_TEST

/* ---- Scales ---------------------------------------------------------------------------------- */

START_TEST(scales_have_round_ends_and_few_ticks)
{
	static const struct {
		double min, max, high;
		bool logarithmic;
	} cases[] = {
	    {1, 1, 1, false},     {75, 143, 150, false}, {1, 52, 60, false},
	    {0.2, 0.9, 1, false}, {1, 1e6, 1e7, true},   {75, 27726, 100000, true},
	    {0, 0, 1, false},     {-1, 5, 1, false},     {5, 1, 1, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct svg_scale s = svg_scale_make(cases[i].min, cases[i].max, 60, 500);
		double value, last = -1;
		unsigned ticks = 0;

		ck_assert_int_eq(s.logarithmic, cases[i].logarithmic);
		ck_assert_double_eq_tol(s.high, cases[i].high, 1e-6);
		while (svg_scale_tick(&s, ticks, &value)) {
			ck_assert(svg_scale_at(&s, value) > last);
			last = svg_scale_at(&s, value);
			ck_assert_uint_le(++ticks, 12);
		}
		ck_assert_uint_ge(ticks, 2);
		ck_assert_double_eq_tol(last, 500, 1e-3);
		ck_assert_double_eq_tol(svg_scale_at(&s, s.low), 0, 1e-6);
		ck_assert_double_eq_tol(svg_scale_at(&s, 1e300), 500, 1e-6);
	}
}
END_TEST

START_TEST(signed_scales_have_0_on_them)
{
	static const struct {
		double min, max, low, high;
	} cases[] = {
	    {-0.3, 5, -1, 5},           {0, 5, 0, 5},  {-3, -1, -3, 0},      {0, 0, 0, 1},
	    {-9e18, 9e18, -1e19, 1e19}, {1, -1, 0, 1}, {-0.01, 0, -0.01, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct svg_scale s = svg_scale_signed(cases[i].min, cases[i].max, 500);
		const double slack = (s.high - s.low) * 1e-6;
		double value, last = -1;
		unsigned ticks = 0, zeros = 0;

		ck_assert(!s.logarithmic);
		ck_assert_double_eq_tol(s.low, cases[i].low, slack);
		ck_assert_double_eq_tol(s.high, cases[i].high, slack);
		while (svg_scale_tick(&s, ticks, &value)) {
			ck_assert(svg_scale_at(&s, value) > last);
			last = svg_scale_at(&s, value);
			zeros += value == 0;
			ck_assert_uint_le(++ticks, 12);
		}
		ck_assert_uint_eq(zeros, 1);
		ck_assert_double_eq_tol(last, 500, 1e-3);
		ck_assert_double_eq_tol(svg_scale_at(&s, -1e300), 0, 1e-6);
	}
}
END_TEST

START_TEST(numbers_are_read_easily)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
	    {0, "0"},         {0.25, "0.25"},        {9.9999, "10"},         {75, "75"},
	    {253.4, "253.4"}, {999.96, "1,000"},     {1234567, "1,234,567"}, {1e6, "1,000,000"},
	    {-0.25, "-0.25"}, {-123456, "-123,456"}, {-123, "-123"},         {-0.0001, "0"},
	    {-0.0, "0"}};
	char buf[40];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(svg_number(buf, cases[i].value), cases[i].text);
	svg_number(buf, 1e300); /* fits, cut */
	ck_assert_uint_lt(strlen(buf), sizeof(buf));
}
END_TEST

/* ---- The timeline ---------------------------------------------------------------------------- */

START_TEST(timeline_keeps_every_exit)
{
	struct timeline t;
	uint64_t now = 1000, exits = 0, sum = 0;

	timeline_start(&t, now);
	timeline_add(&t, 5, 2); /* before the start */
	exits++;
	for (int i = 0; i < 5000; i++) {
		now += (uint64_t)1 << i % 24;
		timeline_add(&t, now, (uint32_t)i % 9);
		exits++;
	}
	timeline_reach(&t, now * 3);
	ck_assert_uint_le(t.used, TIMELINE_SLOTS);
	ck_assert_uint_gt(t.used, TIMELINE_SLOTS / 2);
	ck_assert_uint_eq((now * 3 - 1000) >> t.shift, t.used - 1);
	for (unsigned i = 0; i < TIMELINE_SLOTS; i++) {
		for (unsigned c = 0; c < TIMELINE_CLASSES; c++) {
			ck_assert(i < t.used || !t.slots[i].exits[c]);
			sum += t.slots[i].exits[c];
		}
	}
	ck_assert_uint_eq(sum, exits);
	timeline_reach(&t, UINT64_MAX); /* terminates */
}
END_TEST

/* ---- Address spaces -------------------------------------------------------------------------- */

static uint64_t frames[3][512];

static uint64_t *frame_at(void *ctx, uint64_t frame)
{
	(void)ctx;
	return frame >> 12 < 3 ? frames[frame >> 12] : NULL;
}

/* Every entry of every table leads back to a table: 512^4 ways to the same page. */
START_TEST(tables_in_circles_end)
{
	const struct pt pt = {
	    .geo = {.levels = 4, .maxphyaddr = 40, .nx = true},
	    .mem = {.at = frame_at},
	};
	static struct space_rows spaces;

	for (unsigned i = 0; i < 512; i++)
		frames[0][i] = 7;
	space_rows_collect(&spaces, &pt, &pt);
	ck_assert(spaces.cut[SPACE_KERNEL] && spaces.cut[SPACE_USER]);
	for (unsigned i = 0; i < spaces.count; i++)
		ck_assert_uint_le(spaces.regions[i].side[0].count, SPACE_RANGES);
}
END_TEST

/* ---- The page -------------------------------------------------------------------------------- */

/* Tags open and close in order; nothing of ours lets a text be one. */
static void check_tags(const char *page)
{
	static const char *const open_only[] = {"!DOCTYPE", "meta", "rect", "line", NULL};
	char stack[64][16];
	unsigned depth = 0;

	for (const char *at = page; (at = strchr(at, '<')); at++) {
		size_t length = strcspn(at + 1 + (at[1] == '/'), " >/\n");
		const char *name = at + 1 + (at[1] == '/');
		const char *end = strchr(at, '>');
		bool single = false;

		ck_assert_msg(end, "a tag without an end: %.60s", at);
		ck_assert_msg(length < 16 && depth < 63, "%.60s", at);
		for (int i = 0; open_only[i]; i++)
			single |=
			    !strncmp(name, open_only[i], strlen(open_only[i])) && end[-1] == '/';
		single |= !strncmp(name, "!DOCTYPE", 8);
		if (at[1] == '/') {
			ck_assert_uint_gt(depth, 0);
			ck_assert_msg(strlen(stack[depth - 1]) == length &&
			                  !strncmp(stack[depth - 1], name, length),
			              "</%s> wanted at %.60s", stack[depth - 1], at);
			depth--;
		} else if (!single) {
			snprintf(stack[depth++], 16, "%.*s", (int)length, name);
		}
	}
	ck_assert_uint_eq(depth, 0);
}

static void write_page(FILE *out, const void *what)
{
	report_html(out, what);
}

/* Any counters, any records that passed the check, any words on the command line. */
START_TEST(hostile_run_gives_a_page)
{
	static struct stats stats;
	static struct rs_stats counts;
	static struct space_rows spaces;
	static struct timeline timeline;
	static struct rs_record records[RS_MAX_RECORDS];
	static const struct host host = {.brand = "<b>", .kernel = "&amp;"};
	char *words[] = {(char *)"</style><script>alert(1)</script>", (char *)"\"'\x01\xff"};
	const struct plan plan = {
	    .guest = "<img src=x onerror=alert(2)>", .argc = 2, .argv = words, .mem = 1 << 20};
	struct outcome outcome = {.reason = (enum end_reason)(_i % END_REASONS), .guest_status = 3};
	const struct report_cpu cpus[] = {
	    {.started = true, .stats = &stats, .counts = _i % 3 ? &counts : NULL},
	    {.started = true, .halted = true, .stats = &stats},
	    {.started = false},
	};
	struct report_input report = {.stats = &stats,
	                              .outcome = &outcome,
	                              .plan = &plan,
	                              .host = &host,
	                              .counts = _i % 3 ? &counts : NULL,
	                              .features = UINT64_MAX,
	                              .pti_mode = (uint32_t)_i,
	                              .levels = 4,
	                              .records = records,
	                              .record_count = _i % 2 ? RS_MAX_RECORDS : 0,
	                              .trace.file = "<t>",
	                              .trace.dropped = 1,
	                              .cpus = cpus,
	                              .cpu_count = 3};
	struct report_html_input in = {.report = &report, .timeline = &timeline, .spaces = &spaces};
	uint64_t random = (uint64_t)_i + 1;
	char *page;

	ck_assert(stats_start_at(&stats, 0, 0));
	timeline_start(&timeline, 0);
	for (uint64_t i = 0; i < 300; i++) {
		stats_enter_at(&stats, i * 1000);
		stats_leave_at(&stats, (uint32_t)i % 60, i * 1000 + 500);
		timeline_add(&timeline, i * 100000, (uint32_t)i % 60);
	}
	stats_stop_at(&stats, 400000, 123456);
	for (size_t i = 0; i < sizeof(counts) / 8; i++)
		((uint64_t *)&counts)[i] = random_next(&random);
	for (unsigned i = 0; i < RS_MAX_RECORDS; i++) {
		records[i] = (struct rs_record){
		    .unit = "<u>",
		    .x = random_next(&random),
		    .mode = i % 4 == 3 ? RS_RECORD_NO_MODE : i % 4,
		    .decimals = i % 10,
		    .min = random_next(&random) >> i % 60,
		    .median = i % 5 ? RS_RECORD_NONE : random_next(&random),
		    .p90 = RS_RECORD_NONE,
		    .p99 = random_next(&random),
		    .max = 0,
		};
		snprintf(records[i].name, sizeof(records[i].name), "</svg>%u", i / 3);
		if (i % 5 == 0)
			snprintf(records[i].unit, sizeof(records[i].unit), "percent");
		if (i % 7 == 0)
			snprintf(records[i].x_unit, sizeof(records[i].x_unit), "]]>%u", i % 3);
	}
	spaces = (struct space_rows){.known = {true, true}, .count = 3};
	for (unsigned i = 0; i < spaces.count; i++) {
		spaces.regions[i].first = i == 2 ? 0 : random_next(&random);
		spaces.regions[i].last = i == 2 ? UINT64_MAX : spaces.regions[i].first;
		spaces.regions[i].side[0].pages = 1;
		spaces.regions[i].side[0].count = 1;
		spaces.regions[i].side[0].ranges[0] =
		    (struct space_range){spaces.regions[i].first, 4096, 0};
	}
	page = text_of(write_page, &in);
	ck_assert_ptr_null(strstr(page, "<script"));
	ck_assert_ptr_null(strstr(page, "<img"));
	ck_assert_ptr_null(strstr(page, "nan"));
	ck_assert_ptr_null(strstr(page, "\"inf"));
	ck_assert_ptr_null(strstr(page, "http://www.w3.org/1999"));
	check_tags(page);
	free(page);
	stats_free(&stats);
}
END_TEST

/* ---- What KPTI adds -------------------------------------------------------------------------- */

static char *page_of(const struct rs_record *records, unsigned count)
{
	static struct stats stats;
	static struct space_rows spaces;
	static struct timeline timeline;
	static const struct host host = {.brand = "b"};
	const struct plan plan = {.guest = "g", .mem = 1 << 20};
	struct outcome outcome = {.reason = END_EXITED};
	const struct report_input report = {.stats = &stats,
	                                    .outcome = &outcome,
	                                    .plan = &plan,
	                                    .host = &host,
	                                    .levels = 4,
	                                    .records = records,
	                                    .record_count = count};
	const struct report_html_input in = {
	    .report = &report, .timeline = &timeline, .spaces = &spaces};
	char *page;

	ck_assert(stats_start_at(&stats, 0, 0));
	stats_stop_at(&stats, 1000, 1000);
	timeline_start(&timeline, 0);
	page = text_of(write_page, &in);
	stats_free(&stats);
	ck_assert_ptr_null(strstr(page, "nan"));
	check_tags(page);
	return page;
}

static struct rs_record overhead(const char *name, uint32_t mode, uint64_t hundredths)
{
	struct rs_record r = {.unit = "percent",
	                      .mode = mode,
	                      .decimals = 2,
	                      .min = hundredths,
	                      .median = RS_RECORD_NONE,
	                      .p90 = RS_RECORD_NONE,
	                      .p99 = RS_RECORD_NONE,
	                      .max = RS_RECORD_NONE};

	snprintf(r.name, sizeof(r.name), "%s", name);
	return r;
}

static struct rs_record point(uint32_t mode, uint64_t x, uint64_t hundredths)
{
	struct rs_record r = overhead("<curve>", mode, hundredths);

	snprintf(r.x_unit, sizeof(r.x_unit), "pages");
	r.x = x;
	return r;
}

static unsigned occurrences(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static struct rs_record cost(const char *unit, uint32_t mode, uint64_t value)
{
	struct rs_record r = overhead("SYSCALL getpid", mode, value);

	snprintf(r.unit, sizeof(r.unit), "%s", unit);
	r.median = value;
	r.decimals = 0;
	return r;
}

/* The words at the head stand by themselves: of what is not the hardware's they say that, and no
 * figure. */
START_TEST(no_emulators_figure_is_a_headline)
{
	static const struct {
		const char *unit, *says, *not ;
	} cases[] = {
	    {"cycles",
	     "SYSCALL getpid costs 100 cycles without KPTI, 4,687 with it and PCID "
	     "(+4587.0 %)",
	     "this run cannot tell"},
	    {"instructions", "SYSCALL getpid costs 100 instructions without KPTI",
	     "this run cannot tell"},
	    {"emulated cycles",
	     "this run cannot tell: this CPU is emulated, and its figures are "
	     "not the hardware&#39;s",
	     "+4587"},
	    {"interp. cycles", "this run cannot tell: this KVM interprets ring 0", "+4587"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct rs_record records[] = {
		    cost(cases[i].unit, RS_PTI_OFF, 100),
		    cost(cases[i].unit, RS_PTI_PCID, 4687),
		};
		char *page = page_of(records, 2);

		ck_assert_msg(strstr(page, cases[i].says), "%s: %s", cases[i].unit, page);
		ck_assert_msg(!strstr(page, cases[i].not ), "%s: %s", cases[i].unit, page);
		free(page);
	}
}
END_TEST

START_TEST(what_counts_one_is_one)
{
	struct rs_record records[] = {cost("cycles", RS_PTI_OFF, 100),
	                              cost("cycles", RS_PTI_PCID, 150)};
	char *page;

	records[0].outliers = 1;
	records[1].outliers = 2;
	page = page_of(records, 2);
	ck_assert_str_eq(units_s(0), "s");
	ck_assert_str_eq(units_s(1), "");
	ck_assert_str_eq(units_s(2), "s");
	ck_assert_ptr_nonnull(strstr(page, "to serve 0 exits."));
	ck_assert_ptr_nonnull(strstr(page, "and 1 sample told apart"));
	ck_assert_ptr_nonnull(strstr(page, "and 2 samples told apart"));
	free(page);
}
END_TEST

START_TEST(overheads_are_drawn)
{
	const struct rs_record records[] = {
	    overhead("compute only", RS_PTI_PCID, RS_RECORD_MINUS | 12),
	    overhead("compute only", RS_PTI_NOPCID, 34),
	    overhead("of its own", RS_PTI_NOPCID, 56),
	    point(RS_PTI_PCID, 0, 100),
	    point(RS_PTI_NOPCID, 0, 200),
	    point(RS_PTI_PCID, 10, RS_RECORD_MINUS | 50),
	    point(RS_PTI_NOPCID, 10, 250),
	    point(RS_PTI_PCID, 1000, 0),
	    point(RS_PTI_NOPCID, 1000, RS_RECORD_MINUS | 0),
	};
	char *page = page_of(records, sizeof(records) / sizeof(records[0]));

	ck_assert_ptr_nonnull(strstr(page, "<h2>What KPTI adds</h2>"));
	ck_assert_ptr_null(strstr(page, "What crossings cost"));
	ck_assert_ptr_nonnull(strstr(page, "<td>-0.12 %</td><td>+0.34 %</td><td>KAISER"));
	ck_assert_ptr_nonnull(strstr(page, ">-0.12</text>"));
	ck_assert_ptr_nonnull(strstr(page, "10 pages, KPTI, PCID: -0.5 percent"));
	ck_assert_ptr_nonnull(strstr(page, "1,000 pages, KPTI, no PCID: 0 percent"));
	ck_assert_ptr_nonnull(strstr(page, "pages (logarithmic scale; 0 at its left end)"));
	/* Two pieces each and the piece beside its name. */
	ck_assert_uint_eq(occurrences(page, "<line class=\"l1\""), 3);
	ck_assert_uint_eq(occurrences(page, "<line class=\"l2\""), 3);
	ck_assert_uint_eq(occurrences(page, "<line class=\"l0\""), 0);
	free(page);
}
END_TEST

/* No PCID, one point, no load that anybody published; and nothing at all. */
START_TEST(overheads_that_are_few)
{
	const struct rs_record records[] = {point(RS_PTI_NOPCID, 0, RS_RECORD_MINUS | 7),
	                                    overhead("x", RS_PTI_NOPCID, RS_RECORD_MINUS | 9)};
	char *page = page_of(records, 2);

	ck_assert_ptr_nonnull(strstr(page, "0 pages, KPTI, no PCID: -0.07 percent"));
	ck_assert_ptr_null(strstr(page, "KPTI, PCID"));
	ck_assert_ptr_null(strstr(page, "published"));
	free(page);
	page = page_of(records, 0);
	ck_assert_ptr_null(strstr(page, "What KPTI adds"));
	free(page);
}
END_TEST

/* Sizes at the ends of what a record can say: every coordinate lies in the picture. */
START_TEST(overheads_that_are_hostile)
{
	static const uint64_t values[] = {RS_RECORD_NONE - 1, RS_RECORD_MINUS - 1, 1,
	                                  RS_RECORD_MINUS | 1, 0};
	struct rs_record records[40];
	char *page;

	for (unsigned i = 0; i < 40; i++) {
		const uint64_t value = values[i * 7 % 5];

		records[i] = i % 2 ? point(i / 2 % 3, value, value)
		                   : overhead("system calls only", i / 2 % 3, value);
		records[i].decimals = i % 10;
	}
	page = page_of(records, 40);
	ck_assert_ptr_null(strstr(page, "inf\""));
	for (const char *at = page; (at = strstr(at, "<rect class=\"m")); at++) {
		double x, y, width, height;

		ck_assert_int_eq(sscanf(at + 16,
		                        "%*[^x]x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf", &x,
		                        &y, &width, &height),
		                 4);
		ck_assert_msg(x >= 0 && x + width <= 860 && y >= 0, "%.90s", at);
	}
	free(page);
}
END_TEST

/* ---- Escapes --------------------------------------------------------------------------------- */

#define PF(code, at)                                                                               \
	{                                                                                          \
		.kind = 14, .error = (code), .cr2 = (at)                                           \
	}

static const struct rs_escape escapes[] = {
    {"walls", "host <1>", "Paging", "same in both", RS_PTI_OFF, RS_ESCAPE_OK, PF(5, 0x1000),
     PF(5, 0x1000), ""},
    {"walls", "host <1>", "Paging", "kernel text", RS_PTI_OFF, RS_ESCAPE_OK, PF(5, 0x2000),
     PF(5, 0x2000), ""},
    {"walls",
     "host <1>",
     "Gates",
     "far call",
     RS_PTI_OFF,
     RS_ESCAPE_DEPARTS,
     {.kind = 13, .error = 0x50},
     {.kind = 6},
     "knows <no> gates"},
    {"walls", "host <1>", "Paging", "same in both", RS_PTI_PCID, RS_ESCAPE_OK, PF(5, 0x1000),
     PF(5, 0x1000), ""},
    {"walls", "host <1>", "Paging", "kernel text", RS_PTI_PCID, RS_ESCAPE_DIFFERS, PF(4, 0x2000),
     PF(5, 0x2000), ""},
    {"ways",
     "host <1>",
     "Paging",
     "kernel text",
     RS_PTI_PCID,
     RS_ESCAPE_SKIPPED,
     {.kind = RS_OUTCOME_NOT_TRIED},
     {.kind = RS_OUTCOME_NOT_TRIED},
     "lacks it"},
};
enum { ESCAPES = sizeof(escapes) / sizeof(escapes[0]) };

static void write_escapes(FILE *out, const void *what)
{
	report_escapes(out, what, ESCAPES);
}

START_TEST(escapes_are_a_table)
{
	char *text = text_of(write_escapes, escapes);

	/* Three groups; of the first, one row for both modes, and one for each. */
	ck_assert_uint_eq(occurrences(text, "<details"), 3);
	ck_assert_uint_eq(occurrences(text, "same in both"), 1);
	ck_assert_uint_eq(occurrences(text, ">any<"), 1);
	ck_assert_uint_eq(occurrences(text, "<td>kernel text"), 2);
	ck_assert_uint_eq(occurrences(text, "<tr><td class=\"b\"></td>"), 1);
	ck_assert_uint_eq(occurrences(text, "#PF(0x5) at 0x2000"), 3);
	ck_assert_uint_eq(occurrences(text, "#PF(0x4) at 0x2000"), 1);
	ck_assert_ptr_nonnull(strstr(text, "6 attempts: 3 as the manuals promise, 1 depart as is "
	                                   "declared of this host, 1 DIFFER, 1 not tried."));
	ck_assert_ptr_nonnull(strstr(text, "3 as the manuals promise, 1 DIFFER<"));
	ck_assert_ptr_nonnull(strstr(text, "host &lt;1&gt;"));
	ck_assert_ptr_nonnull(strstr(text, "knows &lt;no&gt; gates"));
	ck_assert_ptr_null(strstr(text, "<no>"));
	free(text);
}
END_TEST

static void write_no_escapes(FILE *out, const void *what)
{
	report_escapes(out, what, 0);
}

START_TEST(without_escapes_there_is_no_table)
{
	char *text = text_of(write_no_escapes, NULL);

	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

Suite *html_suite(void)
{
	Suite *suite = suite_create("html");
	TCase *tests = tcase_create("html");

	tcase_add_test(tests, markup_is_escaped);
	tcase_add_test(tests, pictures_escape_their_texts);
	tcase_add_test(tests, scales_have_round_ends_and_few_ticks);
	tcase_add_test(tests, numbers_are_read_easily);
	tcase_add_test(tests, timeline_keeps_every_exit);
	tcase_add_test(tests, tables_in_circles_end);
	tcase_add_test(tests, signed_scales_have_0_on_them);
	tcase_add_test(tests, no_emulators_figure_is_a_headline);
	tcase_add_test(tests, what_counts_one_is_one);
	tcase_add_test(tests, overheads_are_drawn);
	tcase_add_test(tests, overheads_that_are_few);
	tcase_add_test(tests, overheads_that_are_hostile);
	tcase_add_test(tests, escapes_are_a_table);
	tcase_add_test(tests, without_escapes_there_is_no_table);
	tcase_add_loop_test(tests, hostile_run_gives_a_page, 0, 24);
	suite_add_tcase(suite, tests);
	return suite;
}
