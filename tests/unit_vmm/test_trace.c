/* The parts of --trace that need no machine: file, clock, ring; and the guest's records. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/figures.h"
#include "vmm/instruments/trace/trace.h"

/* ---- The file -------------------------------------------------------------------------------- */

struct written {
	char *text;
	size_t size;
	json_t *json;
};

/* Writes `events` times the event; the caller frees with forget(). */
static struct written write_trace(const struct trace_event *event, unsigned events, uint64_t limit,
                                  uint64_t lost)
{
	struct written w = {0};
	FILE *out = open_memstream(&w.text, &w.size);
	const struct trace_facts facts = {.lost = lost, .args = {TRACE_TEXT("end", "a \"b\" \\")}};
	struct trace_file file;
	json_error_t error;

	ck_assert_ptr_nonnull(out);
	trace_file_begin(&file, out, limit);
	for (unsigned i = 0; i < events; i++)
		trace_file_event(&file, event);
	trace_file_end(&file, &facts);
	fclose(out);
	ck_assert_uint_eq(file.used, w.size);
	w.json = json_loadb(w.text, w.size, 0, &error);
	ck_assert_msg(w.json, "%s in %.*s", error.text, (int)w.size, w.text);
	return w;
}

static void forget(struct written *w)
{
	json_decref(w->json);
	free(w->text);
}

static const json_t *event_at(const struct written *w, size_t i)
{
	return json_array_get(json_object_get(w->json, "traceEvents"), i);
}

static const char *fact(const struct written *w, const char *key)
{
	return json_string_value(json_object_get(json_object_get(w->json, "otherData"), key));
}

START_TEST(span_has_its_fields)
{
	const struct trace_event event = {
	    .phase = TRACE_SPAN,
	    .pid = 1,
	    .tid = 2,
	    .ns = 1234567,
	    .duration = 89,
	    .name = "guest",
	    .category = "guest",
	    .args = {TRACE_NUMBER("n", UINT64_MAX), TRACE_SIGNED("s", -38),
	             TRACE_ADDRESS("a", 0xffffffff80100000), TRACE_SIGNED("m", INT64_MIN)},
	};
	const char *wanted =
	    "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
	    "{\"ph\":\"X\",\"pid\":1,\"tid\":2,\"name\":\"guest\",\"cat\":\"guest\","
	    "\"ts\":1234.567,\"dur\":0.089,\"args\":{\"n\":9223372036854775807,\"s\":-38,"
	    "\"a\":\"0xffffffff80100000\",\"m\":-9223372036854775808}}\n],";
	FILE *out;
	char *text;
	size_t size;
	struct trace_file file;

	/* Not parsed: 2^64 - 1 is JSON, but more than Jansson's integers hold. */
	out = open_memstream(&text, &size);
	trace_file_begin(&file, out, TRACE_LIMIT_MIN);
	trace_file_event(&file, &event);
	trace_file_end(&file, &(struct trace_facts){0});
	fclose(out);
	ck_assert_msg(!strncmp(text, wanted, strlen(wanted)), "got    %s\nwanted %s", text, wanted);
	free(text);
}
END_TEST

START_TEST(no_event_is_a_trace)
{
	struct written w = write_trace(NULL, 0, TRACE_LIMIT_MIN, 0);

	ck_assert_uint_eq(json_array_size(json_object_get(w.json, "traceEvents")), 0);
	ck_assert_str_eq(fact(&w, "complete"), "yes");
	ck_assert_str_eq(fact(&w, "end"), "a \"b\" \\");
	forget(&w);
}
END_TEST

/* Every byte there is, in a name and in an argument. */
START_TEST(text_is_escaped)
{
	char hostile[256];
	const struct trace_event event = {
	    .phase = TRACE_INSTANT, .name = hostile, .args = {TRACE_TEXT("t", hostile)}};
	struct written w;
	const char *name;

	for (unsigned i = 0; i < 255; i++)
		hostile[i] = (char)(i + 1);
	hostile[255] = '\0';
	w = write_trace(&event, 1, TRACE_LIMIT_MIN, 0);
	name = json_string_value(json_object_get(event_at(&w, 0), "name"));
	ck_assert_uint_eq(strlen(name), 255);
	for (unsigned i = 0; i < 255; i++) {
		const unsigned c = i + 1;

		ck_assert_int_eq(name[i], c < ' ' || c > '~' ? '?' : (char)c);
	}
	ck_assert_str_eq(json_string_value(json_object_get(event_at(&w, 0), "s")), "t");
	forget(&w);
}
END_TEST

START_TEST(limit_is_kept_and_said)
{
	const struct trace_event event = {.phase = TRACE_SPAN, .name = "a span of some length"};
	const uint64_t limit = TRACE_LIMIT_MIN + (uint64_t)_i * 7;
	struct written w = write_trace(&event, 1000, limit, 0);
	const json_t *events = json_object_get(w.json, "traceEvents");
	const json_t *data = json_object_get(w.json, "otherData");
	const json_int_t dropped = json_integer_value(json_object_get(data, "dropped"));
	const json_t *last = json_array_get(events, json_array_size(events) - 1);

	ck_assert_uint_le(w.size, limit);
	ck_assert_uint_ge(w.size, limit - 7000); /* and used */
	/* The last one says that it is full, the others are ours. */
	ck_assert_int_eq((json_int_t)json_array_size(events) - 1 + dropped, 1000);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(last, "args"), "dropped")), dropped);
	ck_assert_ptr_nonnull(strstr(fact(&w, "complete"), "--trace-limit"));
	forget(&w);
}
END_TEST

START_TEST(huge_event_is_dropped)
{
	static char name[8192];
	const struct trace_event event = {.phase = TRACE_SPAN, .name = name};
	struct written w;

	memset(name, 'x', sizeof(name) - 1);
	w = write_trace(&event, 1, 1 << 20, 0);
	ck_assert_uint_eq(json_array_size(json_object_get(w.json, "traceEvents")), 1);
	forget(&w);
}
END_TEST

START_TEST(loss_in_the_guest_is_said)
{
	struct written w = write_trace(NULL, 0, TRACE_LIMIT_MIN, 5);

	ck_assert_ptr_nonnull(strstr(fact(&w, "complete"), "ring"));
	forget(&w);
}
END_TEST

/* ---- The clock ------------------------------------------------------------------------------- */

START_TEST(clock_interpolates)
{
	static struct trace_clock clock;

	trace_clock_start(&clock, 1000, 500);
	ck_assert_uint_eq(trace_clock_at(&clock, 5000), 0);
	trace_clock_read(&clock, 2000, 1500); /* 1 ns a tick ... */
	trace_clock_read(&clock, 4000, 2500); /* ... then half as fast */
	ck_assert_uint_eq(trace_clock_at(&clock, 0), 0);
	ck_assert_uint_eq(trace_clock_at(&clock, 1000), 0);
	ck_assert_uint_eq(trace_clock_at(&clock, 1400), 400);
	ck_assert_uint_eq(trace_clock_at(&clock, 2000), 1000);
	ck_assert_uint_eq(trace_clock_at(&clock, 3000), 1500);
	ck_assert_uint_eq(trace_clock_at(&clock, 4000), 2000);
	ck_assert_uint_eq(trace_clock_at(&clock, UINT64_MAX), 2000);
	trace_clock_read(&clock, 3999, 9999); /* backwards: not believed */
	ck_assert_uint_eq(trace_clock_at(&clock, UINT64_MAX), 2000);
}
END_TEST

/* Far more readings than are kept: later is never earlier, and no time is far off. */
START_TEST(clock_never_runs_back)
{
	static struct trace_clock clock;
	uint64_t last = 0;

	trace_clock_start(&clock, 1, 1);
	for (uint64_t i = 1; i <= 5000; i++)
		trace_clock_read(&clock, 1 + i * 1000, 1 + i * 400 + i % 7);
	for (uint64_t t = 0; t < 5100000; t += 331) {
		uint64_t ns = trace_clock_at(&clock, t);

		ck_assert_msg(ns >= last, "tick %llu: %llu ns, before that %llu",
		              (unsigned long long)t, (unsigned long long)ns,
		              (unsigned long long)last);
		if (t > 1000 && t < 5000000)
			ck_assert_uint_lt(ns > t * 4 / 10 ? ns - t * 4 / 10 : t * 4 / 10 - ns, 10);
		last = ns;
	}
}
END_TEST

/* ---- The ring -------------------------------------------------------------------------------- */

enum { RING_SIZE = PAGE_SIZE + 16 * 64 };

struct taken {
	unsigned count;
	uint64_t sum;
};

static void take(void *ctx, const struct rs_trace_record *record)
{
	struct taken *taken = ctx;

	taken->count++;
	taken->sum += record->arg[0];
}

START_TEST(ring_hands_over_in_order)
{
	_Alignas(PAGE_SIZE) static uint8_t memory[RING_SIZE];
	struct rs_trace *shared = (struct rs_trace *)memory;
	struct trace_ring ring;
	struct taken taken = {0};
	uint64_t first, last;

	memset(memory, 0, sizeof(memory));
	trace_ring_init(&ring, memory, sizeof(memory));
	ck_assert_uint_eq(shared->capacity, 64);
	ck_assert(!trace_ring_ends(&ring, &first, &last));
	for (uint64_t i = 0; i < 200; i++) {
		shared->records[i % 64] = (struct rs_trace_record){.end = i, .arg = {i}};
		shared->head++;
		if (i % 50 == 49) {
			ck_assert(trace_ring_ends(&ring, &first, &last));
			ck_assert(first == i - 49 && last == i);
			ck_assert_uint_eq(trace_ring_drain(&ring, take, &taken), 0);
			ck_assert_uint_eq(shared->tail, i + 1);
		}
	}
	ck_assert_uint_eq(taken.count, 200);
	ck_assert_uint_eq(taken.sum, 199 * 200 / 2);
	shared->lost = 7;
	ck_assert_uint_eq(trace_ring_drain(&ring, take, &taken), 7);
	ck_assert_uint_eq(trace_ring_drain(&ring, take, &taken), 0);
}
END_TEST

/* What a guest may write into the words that are not its. */
START_TEST(ring_survives_lies)
{
	static const uint64_t heads[] = {65, 1000, UINT64_MAX, UINT64_C(1) << 63, 3};
	_Alignas(PAGE_SIZE) static uint8_t memory[RING_SIZE];
	struct rs_trace *shared = (struct rs_trace *)memory;
	struct trace_ring ring;
	struct taken taken = {0};
	uint64_t first, last;

	memset(memory, 0, sizeof(memory));
	trace_ring_init(&ring, memory, sizeof(memory));
	for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		shared->head = heads[i];
		shared->tail = ~heads[i];
		shared->capacity = UINT64_MAX;
		ck_assert(!trace_ring_ends(&ring, &first, &last));
		ck_assert_uint_ne(trace_ring_drain(&ring, take, &taken), 0);
		ck_assert_uint_eq(shared->tail, heads[i]);
	}
	ck_assert_uint_eq(taken.count, 0);
	shared->head += 2; /* honest again */
	trace_ring_drain(&ring, take, &taken);
	ck_assert_uint_eq(taken.count, 2);
}
END_TEST

START_TEST(ring_fits_the_ram)
{
	ck_assert_uint_eq(trace_ring_size(UINT64_C(1) << 20, 1), PAGE_SIZE + (64 << 10));
	ck_assert_uint_eq(trace_ring_size(UINT64_C(64) << 20, 1), PAGE_SIZE + (4 << 20));
	ck_assert_uint_eq(trace_ring_size(UINT64_C(64) << 30, 1), PAGE_SIZE + (4 << 20));
	/* With several CPUs no more than a quarter of RAM for all of them. */
	ck_assert_uint_eq(trace_ring_size(UINT64_C(64) << 20, 4), PAGE_SIZE + (4 << 20));
	ck_assert_uint_eq(trace_ring_size(UINT64_C(64) << 20, 8), PAGE_SIZE + (2 << 20));
}
END_TEST

/* ---- All of it ------------------------------------------------------------------------------- */

/* A guest that fills its ring with anything: the trace is JSON, and no span leaves the run. */
START_TEST(any_ring_gives_a_trace)
{
	enum { TICKS_AN_EXIT = 10000, EXITS = 40 };
	_Alignas(PAGE_SIZE) static uint8_t memory[3][RING_SIZE];
	static struct trace trace;
	struct outfile out;
	struct rs_stats counts;
	char path[] = "/tmp/trace_test.XXXXXX";
	int fd = mkstemp(path);
	uint64_t random = (uint64_t)_i + 1;
	const struct trace_start start = {
	    .limit = 1 << 20,
	    .guest = "<guest>",
	    .cpus = 1 + (unsigned)_i % 3,
	    .ring = {memory[0], memory[1], memory[2]},
	    .ring_size = sizeof(memory[0]),
	    .guest_ahead = {_i % 2 ? random_next(&random) : 0, random_next(&random)},
	    .ticks = 1000,
	    .nanoseconds = 77,
	};
	json_error_t error;
	json_t *json, *event;
	size_t i;

	ck_assert_int_ge(fd, 0);
	ck_assert_ptr_nonnull(
	    freopen("/dev/null", "w", stderr)); /* what is missing is said there */
	close(fd);
	random_fill(&random, &counts, sizeof(counts));
	memset(memory, 0, sizeof(memory));
	ck_assert(outfile_open(&out, path, OUTFILE_SHARED));
	trace_begin(&trace, &out, &start);
	for (uint64_t x = 0; x < EXITS; x++) {
		const uint64_t entered = 1000 + x * TICKS_AN_EXIT;
		const unsigned cpu = (unsigned)x % start.cpus;
		struct rs_trace *shared = (struct rs_trace *)memory[cpu];

		random_fill(&random, shared->records, 64 * sizeof(shared->records[0]));
		for (unsigned r = 0; r < 64; r++) {
			struct rs_trace_record *record = &shared->records[r];

			record->kind = (uint32_t)random_next(&random) % 7;
			if (r % 2)
				record->process %= 3;
			if (r % 4 < 3) {
				record->arg[0] %= 40;
				record->arg[2] %= 4;
				record->arg[4] %= 4;
			}
			if (r % 3)
				record->end = entered + random_next(&random) % TICKS_AN_EXIT;
			if (r % 5)
				record->begin = record->end - random_next(&random) % 1000;
		}
		shared->head += random_next(&random) % 66;
		trace_exit(&trace, &(struct trace_exit){
		                       .cpu = cpu,
		                       .entered = entered,
		                       .left = entered + 9000,
		                       .ticks = entered + 9500,
		                       .nanoseconds = 77 + (x + 1) * 1000,
		                       .reason = (uint32_t)random_next(&random) % 60,
		                       .counts = &counts,
		                   });
	}
	ck_assert(trace_end(&trace, "EXITED"));
	json = json_load_file(path, 0, &error);
	ck_assert_msg(json, "%s", error.text);
	json_array_foreach(json_object_get(json, "traceEvents"), i, event)
	{
		double ts = json_number_value(json_object_get(event, "ts"));
		double dur = json_number_value(json_object_get(event, "dur"));

		ck_assert_msg(ts >= 0 && dur >= 0 && ts + dur <= EXITS + 0.0011, "event %zu: %f %f",
		              i, ts, dur);
	}
	ck_assert_uint_gt(i, 2 * EXITS);
	json_decref(json);
	unlink(path);
}
END_TEST

/* ---- Records --------------------------------------------------------------------------------- */

static struct rs_record good_record(void)
{
	return (struct rs_record){
	    .name = "SYSCALL getpid",
	    .unit = "cycles",
	    .mode = RS_PTI_PCID,
	    .min = 75,
	    .median = RS_RECORD_NONE,
	    .p90 = RS_RECORD_NONE,
	    .p99 = RS_RECORD_NONE,
	    .max = RS_RECORD_NONE,
	};
}

START_TEST(records_are_checked)
{
	struct figures records = {0};
	struct rs_record list[3] = {good_record(), good_record(), good_record()};

	ck_assert_int_eq(figures_take(&records, list, 3), 3);
	ck_assert_str_eq(records.list[2].name, "SYSCALL getpid");
	list[1].name[3] = '\n';
	ck_assert_int_eq(figures_take(&records, list, 3), 1);
	ck_assert_int_eq(figures_take(&records, &list[1], 2), -EINVAL);
	list[1] = good_record();
	memset(list[1].unit, 'x', sizeof(list[1].unit)); /* no NUL */
	ck_assert_int_eq(figures_take(&records, &list[1], 1), -EINVAL);
	list[1] = good_record();
	list[1].mode = 3;
	ck_assert_int_eq(figures_take(&records, &list[1], 1), -EINVAL);
	list[1] = good_record();
	list[1].decimals = 10;
	ck_assert_int_eq(figures_take(&records, &list[1], 1), -EINVAL);
	list[1] = good_record();
	list[1].min = RS_RECORD_NONE;
	ck_assert_int_eq(figures_take(&records, &list[1], 1), -EINVAL);
	list[1] = good_record();
	list[1].name[0] = '\0';
	ck_assert_int_eq(figures_take(&records, &list[1], 1), -EINVAL);
	ck_assert_uint_eq(records.count, 4);
	figures_free(&records);
}
END_TEST

START_TEST(ticks_are_told_in_nanoseconds)
{
	struct rs_record from = good_record(), to;

	from.max = 150;
	from.median = RS_RECORD_MINUS | 75;
	ck_assert(record_in_ns(&to, &from, 2500000));
	ck_assert_str_eq(to.unit, "ns");
	ck_assert_str_eq(to.name, from.name);
	ck_assert_uint_eq(to.decimals, 1);
	ck_assert_uint_eq(to.min, 300); /* 30.0 */
	ck_assert_uint_eq(to.max, 600);
	ck_assert_uint_eq(to.median, RS_RECORD_MINUS | 300);
	ck_assert_uint_eq(to.p99, RS_RECORD_NONE);
	/* Rounded, and without overflow on the way. */
	from.min = 1;
	ck_assert(record_in_ns(&to, &from, 2596000));
	ck_assert_uint_eq(to.min, 4);
	from.min = UINT64_C(1) << 60;
	ck_assert(record_in_ns(&to, &from, 10000000));
	ck_assert_uint_eq(to.min, UINT64_C(1) << 60);
	strcpy(from.unit, "emulated cycles");
	ck_assert(record_in_ns(&to, &from, 10000000));
	strcpy(from.unit, "interp. cycles");
	ck_assert(record_in_ns(&to, &from, 10000000));
}
END_TEST

START_TEST(what_is_no_time_has_no_nanoseconds)
{
	struct rs_record from = good_record(), to;

	ck_assert(!record_in_ns(&to, &from, 0));
	from.min = UINT64_C(1) << 62;
	ck_assert(!record_in_ns(&to, &from, 1));
	from = good_record();
	from.decimals = 9;
	ck_assert(!record_in_ns(&to, &from, 1000000));
	from = good_record();
	strcpy(from.unit, "instructions");
	ck_assert(!record_in_ns(&to, &from, 1000000));
	from = good_record();
	strcpy(from.x_unit, "pages");
	ck_assert(!record_in_ns(&to, &from, 1000000));
}
END_TEST

START_TEST(records_are_bounded)
{
	struct figures records = {0};
	const struct rs_record record = good_record();

	for (int i = 0; i < RS_MAX_RECORDS; i++)
		ck_assert_int_eq(figures_take(&records, &record, 1), 1);
	ck_assert_int_eq(figures_take(&records, &record, 1), -ENOSPC);
	ck_assert_uint_eq(records.count, RS_MAX_RECORDS);
	figures_free(&records);
	figures_free(&records);
}
END_TEST

Suite *trace_suite(void)
{
	Suite *suite = suite_create("trace");
	TCase *file = tcase_create("file"), *clock = tcase_create("clock");
	TCase *ring = tcase_create("ring"), *records = tcase_create("records");

	tcase_add_test(file, span_has_its_fields);
	tcase_add_test(file, no_event_is_a_trace);
	tcase_add_test(file, text_is_escaped);
	tcase_add_loop_test(file, limit_is_kept_and_said, 0, 20);
	tcase_add_test(file, huge_event_is_dropped);
	tcase_add_test(file, loss_in_the_guest_is_said);
	tcase_add_test(clock, clock_interpolates);
	tcase_add_test(clock, clock_never_runs_back);
	tcase_add_test(ring, ring_hands_over_in_order);
	tcase_add_test(ring, ring_survives_lies);
	tcase_add_test(ring, ring_fits_the_ram);
	tcase_add_loop_test(ring, any_ring_gives_a_trace, 0, 30);
	tcase_add_test(records, records_are_checked);
	tcase_add_test(records, ticks_are_told_in_nanoseconds);
	tcase_add_test(records, what_is_no_time_has_no_nanoseconds);
	tcase_add_test(records, records_are_bounded);
	suite_add_tcase(suite, file);
	suite_add_tcase(suite, clock);
	suite_add_tcase(suite, ring);
	suite_add_tcase(suite, records);
	return suite;
}
