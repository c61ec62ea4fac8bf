#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/unit_vmm/schema.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/probe/probe_report.h"

/* Answers that nobody has to run a guest for. */
static struct probe_result *results;
static struct host host;

static void set_up(void)
{
	results = calloc(probe_count, sizeof(*results));
	ck_assert_ptr_nonnull(results);
	host = (struct host){.kernel = "6.1.0", .vendor = "GenuineIntel", .brand = "A CPU"};
	for (size_t i = 0; i < probe_count; i++) {
		results[i] = (struct probe_result){.verdict = PROBE_AS_MANUAL,
		                                   .manual = "the manual's",
		                                   .meaning = "What it means."};
		snprintf(results[i].answer, sizeof(results[i].answer), "answer %zu", i);
	}
}

static void tear_down(void)
{
	free(results);
}

static char *text_of(bool color)
{
	struct {
		char *text;
		size_t size;
	} stream = {0};
	FILE *out = open_memstream(&stream.text, &stream.size);

	probe_report_text(out, &host, results, 1234567, color);
	fclose(out);
	return stream.text;
}

/* The text with every run of blanks and line ends as one blank. */
static char *joined(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		char c = *from == '\n' ? ' ' : *from;

		if (c != ' ' || to == text || to[-1] != ' ')
			*to++ = c;
	}
	*to = '\0';
	return text;
}

static void check_says(const char *what)
{
	char *text = joined(text_of(false));

	ck_assert_msg(strstr(text, what) != NULL, "'%s' is missing in:\n%s", what, text);
	free(text);
}

START_TEST(every_question_has_its_words)
{
	for (size_t i = 0; i < probe_count; i++) {
		ck_assert_uint_gt(strlen(probe_question(i)), 0);
		ck_assert_uint_le(strlen(probe_question(i)), 36);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(probe_name(i), probe_name(j));
		check_says(probe_question(i));
		check_says(results[i].answer);
	}
}
END_TEST

START_TEST(in_short)
{
	char expected[256];

	check_says("In short: this KVM behaves as the manuals say in all that was asked ");
	results[0].verdict = PROBE_NOT_OFFERED;
	results[1].verdict = PROBE_MEASURED;
	check_says("In short: this KVM behaves as the manuals say in all that was asked ");
	results[2].verdict = PROBE_DIFFERS;
	results[4].verdict = PROBE_DIFFERS;
	results[5].verdict = PROBE_NO_ANSWER;
	snprintf(
	    expected, sizeof(expected),
	    "In short: this KVM behaves as the manuals say, except: %s; %s (1 without an answer) ",
	    probe_question(2), probe_question(4));
	check_says(expected);
	check_says("What it means.");
}
END_TEST

START_TEST(columns_are_aligned)
{
	char *text = text_of(false), *line;
	long column = -1;

	for (line = strstr(text, "\n\n") + 2; *line != '\n'; line = strchr(line, '\n') + 1) {
		const char *verdict = strstr(line, "as the manual");

		if (column < 0)
			column = strstr(line, "verdict") - line;
		else
			ck_assert_int_eq(verdict - line, column);
	}
	free(text);
}
END_TEST

START_TEST(color_changes_nothing_but_color)
{
	char *plain, *colored, *to;

	results[3].verdict = PROBE_DIFFERS;
	plain = text_of(false);
	to = colored = text_of(true);
	ck_assert_ptr_null(strchr(plain, '\033'));
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

START_TEST(json)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	json_t *root, *probe;

	results[1].verdict = PROBE_DIFFERS;
	results[1].values[0] = (struct probe_value){"min_ns", 12.5};
	ck_assert(probe_report_json(out, &host, results, 77));
	fclose(out);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(root);
	ck_assert_uint_eq(json_array_size(json_object_get(root, "probes")), probe_count);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "elapsed_ns")), 77);
	probe = json_array_get(json_object_get(root, "probes"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(probe, "name")), probe_name(1));
	ck_assert_str_eq(json_string_value(json_object_get(probe, "verdict")), "differs");
	ck_assert_str_eq(json_string_value(json_object_get(probe, "meaning")), "What it means.");
	ck_assert_double_eq(
	    json_real_value(json_object_get(json_object_get(probe, "values"), "min_ns")), 12.5);
	probe = json_array_get(json_object_get(root, "probes"), 2);
	ck_assert_str_eq(json_string_value(json_object_get(probe, "verdict")), "as-manual");
	ck_assert_str_eq(json_string_value(json_object_get(probe, "meaning")), "");
	json_decref(root);

	int status = schema_status("vmm/instruments/probe/probe.schema.json", text, true);

	ck_assert_msg(status == 0, "not as the schema says, or no python3-jsonschema: %s", text);
	free(text);
}
END_TEST

Suite *probe_report_suite(void)
{
	Suite *suite = suite_create("probe_report");
	TCase *tests = tcase_create("probe_report");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, every_question_has_its_words);
	tcase_add_test(tests, in_short);
	tcase_add_test(tests, columns_are_aligned);
	tcase_add_test(tests, color_changes_nothing_but_color);
	tcase_add_test(tests, json);
	suite_add_tcase(suite, tests);
	return suite;
}
