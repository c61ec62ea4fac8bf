#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>

#include <jansson.h>

#include "tests/unit_vmm/schema.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/counters.h"
#include "vmm/instruments/report/report.h"

/* ---- A run to report on ------------------------------------------------------------------ */

static struct stats stats;
static struct outcome outcome;
static struct plan plan;
static struct host host;
static struct rs_stats counts;
static struct report_input input;

static void set_up(void)
{
	static char *arguments[] = {(char *)(uintptr_t) "one", (char *)(uintptr_t) "two words"};

	ck_assert(stats_start_at(&stats, 0, 0));
	for (uint64_t i = 0; i < 1000; i++) {
		stats_enter_at(&stats, i * 1000);
		stats_leave_at(&stats, i % 10 ? KVM_EXIT_IO : STATS_EINTR, i * 1000 + 700);
	}
	stats_stop_at(&stats, 1000000, 333333);
	stats.console_bytes = 4321;
	stats.quirk_stac = 3;
	outcome =
	    (struct outcome){.reason = END_EXITED, .guest_status = 7, .exit_reason = KVM_EXIT_IO};
	plan = (struct plan){
	    .mem = PLAN_MEM_DEFAULT, .cpus = 1, .guest = "guest.elf", .argc = 2, .argv = arguments};
	host = (struct host){
	    .kernel = "6.1.0",
	    .vendor = "GenuineIntel",
	    .brand = "A CPU",
	    .family = 6,
	    .model = 85,
	    .stepping = 4,
	    .kvm_api = 12,
	    .cpuid_features = RS_FEATURE_NX | RS_FEATURE_PCID | RS_FEATURE_INTEL,
	    .features = RS_FEATURE_NX | RS_FEATURE_INTEL,
	    .maxphyaddr = 46,
	    .tsc_khz = 2600000,
	};
	counts = (struct rs_stats){
	    .syscall64 = 12345, .int80 = 80, .cr3_entry = 9, .quirk_syscall = 1204};
	counts.vectors[14] = 66;
	counts.vectors[0x80] = 80;
	input = (struct report_input){
	    .stats = &stats,
	    .elapsed_ns = 333000,
	    .cpu_count = 1,
	    .outcome = &outcome,
	    .plan = &plan,
	    .host = &host,
	    .counts = &counts,
	    .features = RS_FEATURE_NX,
	    .pti_mode = RS_PTI_PCID,
	    .levels = 4,
	    .noted = true,
	};
}

static void tear_down(void)
{
	stats_free(&stats);
}

static char *text_of(bool color)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	report_text(out, &input, color);
	fclose(out);
	ck_assert_uint_eq(strlen(text), size);
	return text;
}

static char *json_text(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert(report_json(out, &input));
	fclose(out);
	ck_assert_uint_eq(strlen(text), size);
	return text;
}

static json_t *parsed(void)
{
	char *text = json_text();
	json_error_t error;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	ck_assert_msg(json != NULL, "%s in %s", error.text, text);
	free(text);
	return json;
}

static json_int_t number(const json_t *json, const char *section, const char *key)
{
	const json_t *value = json_object_get(json_object_get(json, section), key);

	ck_assert_msg(json_is_integer(value), "%s.%s is not an integer", section, key);
	return json_integer_value(value);
}

static void check_schema(void)
{
	char *text = json_text();
	int status = schema_status("vmm/instruments/report/report.schema.json", text, true);

	ck_assert_msg(status == 0, "not as the schema says, or no python3-jsonschema: %s", text);
	free(text);
}

/* ---- JSON -------------------------------------------------------------------------------- */

START_TEST(json_adds_up)
{
	json_t *json = parsed(), *reason;
	json_t *by_reason = json_object_get(json_object_get(json, "exits"), "by_reason");
	json_int_t count = 0, total = 0, guest = 0;
	const char *name;

	json_object_foreach(by_reason, name, reason)
	{
		count += json_integer_value(json_object_get(reason, "count"));
		total += json_integer_value(json_object_get(reason, "total"));
		guest += json_integer_value(json_object_get(reason, "guest"));
	}
	ck_assert_uint_eq(json_object_size(by_reason), 2);
	ck_assert_int_eq(count, 1000);
	ck_assert_int_eq(number(json, "exits", "total"), 1000);
	ck_assert_int_eq(total, number(json, "time", "vmm"));
	ck_assert_int_eq(guest, number(json, "time", "guest"));
	ck_assert_int_eq(number(json, "time", "run"), total + guest);
	reason = json_object_get(by_reason, "EINTR");
	ck_assert_int_eq(json_integer_value(json_object_get(reason, "count")), 100);
	json_decref(json);
}
END_TEST

START_TEST(json_has_what_was_counted)
{
	json_t *json = parsed();
	const json_t *guest = json_object_get(json, "guest");
	const json_t *vectors = json_object_get(json_object_get(json, "crossings"), "vectors");

	ck_assert_int_eq(number(json, "guest", "status"), 7);
	ck_assert_str_eq(json_string_value(json_object_get(guest, "end")), "EXITED");
	ck_assert_str_eq(json_string_value(json_object_get(guest, "pti")), "pcid");
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(guest, "arguments"), 1)),
	                 "two words");
	ck_assert_int_eq(number(json, "crossings", "syscall64"), 12345);
	ck_assert_uint_eq(json_object_size(vectors), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(vectors, "#PF")), 66);
	ck_assert_int_eq(json_integer_value(json_object_get(vectors, "vector 0x80")), 80);
	ck_assert_int_eq(number(json, "cr3", "entry"), 9);
	ck_assert_int_eq(number(json, "quirks", "syscall"), 1204);
	ck_assert_int_eq(number(json, "quirks", "stac"), 3);
	ck_assert_int_eq(number(json, "services", "console_bytes"), 4321);
	ck_assert_int_eq(number(json, "host", "tsc_khz"), 2600000);
	ck_assert_str_eq(json_string_value(json_object_get(json, "version")), RS_VERSION);
	json_decref(json);
}
END_TEST

START_TEST(json_has_the_escapes)
{
	const struct rs_escape rows[] = {
	    {"walls",
	     "tcg",
	     "Paging",
	     "read",
	     RS_PTI_OFF,
	     RS_ESCAPE_DIFFERS,
	     {14, 5, 0x1000},
	     {13, 0, 9},
	     ""},
	    {"walls",
	     "tcg",
	     "Paging",
	     "key",
	     RS_PTI_PCID,
	     RS_ESCAPE_SKIPPED,
	     {259, 0, 0},
	     {259, 0, 0},
	     "no keys"},
	    {"walls",
	     "tcg",
	     "Paging",
	     "big",
	     RS_PTI_NOPCID,
	     RS_ESCAPE_OK,
	     {258, UINT64_MAX, 0},
	     {14, UINT64_MAX, UINT64_MAX},
	     ""},
	};
	json_t *json;
	const json_t *list, *row, *want;

	input.escapes = rows;
	input.escape_count = 3;
	check_schema();
	json = parsed();
	ck_assert_int_eq(number(json, "escapes", "ok"), 1);
	ck_assert_int_eq(number(json, "escapes", "departs"), 0);
	ck_assert_int_eq(number(json, "escapes", "differs"), 1);
	ck_assert_int_eq(number(json, "escapes", "skipped"), 1);
	list = json_object_get(json_object_get(json, "escapes"), "rows");
	ck_assert_uint_eq(json_array_size(list), 3);
	row = json_array_get(list, 0);
	want = json_object_get(row, "want");
	ck_assert_str_eq(json_string_value(json_object_get(row, "name")), "read");
	ck_assert_str_eq(json_string_value(json_object_get(row, "verdict")), "differs");
	ck_assert_str_eq(json_string_value(json_object_get(want, "outcome")), "#PF");
	ck_assert_int_eq(json_integer_value(json_object_get(want, "error")), 5);
	ck_assert_str_eq(json_string_value(json_object_get(want, "cr2")), "0x1000");
	ck_assert(json_is_null(json_object_get(json_object_get(row, "got"), "cr2")));
	row = json_array_get(list, 1);
	ck_assert_str_eq(json_string_value(json_object_get(row, "why")), "no keys");
	ck_assert(json_is_null(json_object_get(json_object_get(row, "want"), "vector")));
	json_decref(json);
}
END_TEST

START_TEST(json_is_as_the_schema_says)
{
	check_schema();
	input.counts = NULL;
	input.noted = false;
	input.pti_mode = 99;
	host.rdcl_no_known = true;
	host.tsc_khz = 0;
	outcome = (struct outcome){.reason = END_SIGNAL, .signal = 2};
	plan.timeout_ns = 5;
	plan.argc = 0;
	check_schema();
	input.counts = &counts;
	memset(&counts, 0xff, sizeof(counts));
	host.features = host.cpuid_features = input.features = UINT64_MAX;
	outcome = (struct outcome){.reason = END_BAD_STATUS, .guest_status = UINT32_MAX};
	check_schema();
}
END_TEST

START_TEST(the_schema_refuses)
{
	static const char *const wrong[] = {"{}", "[]", "{\"schema\": 2}"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int status =
		    schema_status("vmm/instruments/report/report.schema.json", wrong[i], false);

		ck_assert_int_eq(status, 1);
	}
}
END_TEST

START_TEST(json_ends_counts_at_the_largest_integer)
{
	json_t *json;

	memset(&counts, 0xff, sizeof(counts));
	json = parsed();
	ck_assert_int_eq(number(json, "crossings", "syscall64"), INT64_MAX);
	ck_assert_int_eq(number(json, "quirks", "int_n"), INT64_MAX);
	ck_assert_uint_eq(
	    json_object_size(json_object_get(json_object_get(json, "crossings"), "vectors")), 256);
	json_decref(json);
}
END_TEST

START_TEST(json_takes_any_file_name)
{
	json_t *json;

	plan.guest = "a\"b\\c\xff\x01\n.elf";
	json = parsed();
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(json, "guest"), "file")),
	                 "a\"b\\c???.elf");
	json_decref(json);
	plan.guest = "gr\xc3\xbc\xc3\x9f"
	             "e.elf";
	json = parsed();
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(json, "guest"), "file")),
	                 "gr\xc3\xbc\xc3\x9f"
	                 "e.elf");
	json_decref(json);
}
END_TEST

START_TEST(json_tells_of_a_full_disk)
{
	FILE *out = fopen("/dev/full", "w");

	if (!out)
		return;
	setvbuf(out, NULL, _IONBF, 0);
	ck_assert(!report_json(out, &input));
	fclose(out);
}
END_TEST

/* ---- Text -------------------------------------------------------------------------------- */

static void check_has(const char *text, const char *what)
{
	ck_assert_msg(strstr(text, what) != NULL, "'%s' is missing in:\n%s", what, text);
}

START_TEST(text_says_it_all)
{
	char *text = text_of(false);

	check_has(text, "guest.elf ended with status 7");
	check_has(text, "1,000 returns from KVM_RUN");
	check_has(text, "(70.0 %)");
	check_has(text, "12,345  SYSCALL from 64-bit code");
	check_has(text, "66  #PF, page fault");
	check_has(text,
	          "1,204  SYSCALL entries completed after a fault; this KVM does not raise CPL");
	check_has(text, "KPTI on with PCID");
	check_has(text, "A CPU");
	check_has(text, "the guest may use NX\n");
	check_has(text, "KVM offers and it may not use PCID\n");
	/* The same thing twice would be noise. */
	ck_assert_ptr_null(strstr(text, "vector 0x80"));
	free(text);
}
END_TEST

START_TEST(text_without_color_has_no_escapes)
{
	char *text = text_of(false), *c = text;

	while (*c == '\n' || (*c >= ' ' && *c < 0x7f))
		c++;
	ck_assert_msg(!*c, "byte 0x%x at %td", (unsigned char)*c, c - text);
	free(text);
}
END_TEST

START_TEST(color_changes_nothing_but_color)
{
	char *plain = text_of(false), *colored = text_of(true), *to = colored;

	ck_assert_ptr_nonnull(strchr(colored, '\033'));
	for (const char *from = colored; *from;) {
		if (*from == '\033')
			from = strchr(from, 'm') + 1;
		else
			*to++ = *from++;
	}
	*to = '\0';
	ck_assert_str_eq(plain, colored);
	free(plain);
	free(colored);
}
END_TEST

START_TEST(text_bears_a_hostile_guest)
{
	char *text;

	memset(&counts, 0xff, sizeof(counts));
	stats.hypercalls = stats.unknown_io = UINT64_MAX;
	input.pti_mode = UINT32_MAX;
	plan.guest = "\033[31mred\n\x80.elf";
	text = text_of(false);
	check_has(text, "18,446,744,073,709,551,615  SYSCALL from 64-bit code");
	check_has(text, "?[31mred??.elf");
	ck_assert_ptr_null(strchr(text, '\033'));
	free(text);
}
END_TEST

START_TEST(every_end_has_words)
{
	for (int reason = 0; reason < END_REASONS; reason++) {
		char *text;

		outcome = (struct outcome){.reason = (enum end_reason)reason};
		text = text_of(false);
		check_has(text, "guest.elf ");
		free(text);
		json_decref(parsed());
	}
}
END_TEST

START_TEST(a_guest_without_counters)
{
	json_t *json;
	char *text;

	input.counts = NULL;
	text = text_of(false);
	ck_assert_ptr_null(strstr(text, "Crossings"));
	free(text);
	json = parsed();
	ck_assert(json_is_null(json_object_get(json, "crossings")));
	ck_assert(json_is_null(json_object_get(json, "cr3")));
	json_decref(json);
}
END_TEST

/* ---- Several CPUs ------------------------------------------------------------------------ */

/* CPU 0 is the run above, CPU 1 did nothing but halt, CPU 2 was not started. */
static const struct report_cpu *three_cpus(struct stats *idle)
{
	static struct report_cpu cpus[3];

	ck_assert(stats_start_at(idle, 0, 0));
	stats_enter_at(idle, 0);
	stats_leave_at(idle, KVM_EXIT_HLT, 500);
	stats_stop_at(idle, 600, 200);
	cpus[0] = (struct report_cpu){.started = true, .stats = &stats, .counts = &counts};
	cpus[1] =
	    (struct report_cpu){.started = true, .halted = true, .stats = idle, .counts = &counts};
	cpus[2] = (struct report_cpu){.counts = &counts};
	input.cpus = cpus;
	input.cpu_count = 3;
	input.elapsed_ns = 5000000;
	outcome.cpu = 1;
	return cpus;
}

START_TEST(json_of_several_cpus)
{
	struct stats idle;
	const json_t *list, *cpu;
	json_t *json = parsed();

	ck_assert(json_is_null(json_object_get(json, "cpus")));
	json_decref(json);
	three_cpus(&idle);
	check_schema();
	json = parsed();
	list = json_object_get(json, "cpus");
	ck_assert_uint_eq(json_array_size(list), 3);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "elapsed")), 5000000);
	ck_assert_int_eq(number(json, "guest", "cpu"), 1);
	ck_assert_int_eq(number(json_array_get(list, 0), "exits", "total"), 1000);
	cpu = json_array_get(list, 1);
	ck_assert_int_eq(number(cpu, "exits", "total"), 1);
	ck_assert_int_eq(number(cpu, "crossings", "syscall64"), 12345);
	ck_assert(json_is_true(json_object_get(cpu, "halted")));
	cpu = json_array_get(list, 2);
	ck_assert(json_is_false(json_object_get(cpu, "started")));
	ck_assert(json_is_null(json_object_get(cpu, "exits")));
	ck_assert(json_is_null(json_object_get(cpu, "crossings")));
	json_decref(json);
	stats_free(&idle);
}
END_TEST

START_TEST(text_of_several_cpus)
{
	struct stats idle;
	char *text = text_of(false);

	ck_assert_ptr_null(strstr(text, "CPUs"));
	ck_assert_ptr_null(strstr(text, "on CPU"));
	free(text);
	three_cpus(&idle);
	text = text_of(false);
	check_has(text, "guest.elf ended with status 7 on CPU 1 after 5.00 ms\n");
	check_has(text, ", of all CPUs\n     3 CPUs, 64 MiB of RAM");
	check_has(text, "CPUs           guest         VMM          IO       EINTR\n");
	check_has(text, "\n  CPU 0       233 us      100 us         900         100\n");
	check_has(text, "\n  CPU 1       166 ns       33 ns           -           -  halted\n");
	check_has(text, "\n  CPU 2       was not started\n");
	check_has(text, "\n  CPU 1       12,345          80          66           -");
	free(text);
	outcome = (struct outcome){.reason = END_TIMEOUT};
	text = text_of(false);
	ck_assert_ptr_null(strstr(text, "on CPU"));
	free(text);
	stats_free(&idle);
}
END_TEST

/* Each counter of the guest's, and only it, is in each report under its name. */
START_TEST(every_counter_is_reported)
{
	for (const struct counter *c = counters; c->key; c++) {
		const uint64_t value = 7654321;
		json_t *json;
		char *text;

		counts = (struct rs_stats){.quirk_intn = 1};
		memcpy((char *)&counts + c->offset, &value, sizeof(value));
		ck_assert_uint_eq(counter_value(c, &counts), value);
		text = text_of(false);
		check_has(text, "\n  7,654,321  ");
		check_has(text, c->text);
		free(text);
		json = parsed();
		text = json_dumps(json, JSON_COMPACT);
		check_has(text, ":7654321");
		free(text);
		json_decref(json);
	}
}
END_TEST

Suite *report_suite(void)
{
	Suite *suite = suite_create("report");
	TCase *tests = tcase_create("report");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_set_timeout(tests, 30);
	tcase_add_test(tests, json_adds_up);
	tcase_add_test(tests, json_has_what_was_counted);
	tcase_add_test(tests, json_has_the_escapes);
	tcase_add_test(tests, json_is_as_the_schema_says);
	tcase_add_test(tests, the_schema_refuses);
	tcase_add_test(tests, json_ends_counts_at_the_largest_integer);
	tcase_add_test(tests, json_takes_any_file_name);
	tcase_add_test(tests, json_tells_of_a_full_disk);
	tcase_add_test(tests, text_says_it_all);
	tcase_add_test(tests, text_without_color_has_no_escapes);
	tcase_add_test(tests, color_changes_nothing_but_color);
	tcase_add_test(tests, text_bears_a_hostile_guest);
	tcase_add_test(tests, every_end_has_words);
	tcase_add_test(tests, a_guest_without_counters);
	tcase_add_test(tests, json_of_several_cpus);
	tcase_add_test(tests, text_of_several_cpus);
	tcase_add_test(tests, every_counter_is_reported);
	suite_add_tcase(suite, tests);
	return suite;
}
