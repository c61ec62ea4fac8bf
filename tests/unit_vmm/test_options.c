/* The command line's numbers at their bounds, and how a run's end is told to the shell. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/cli/command_line.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/instruments/trace/trace.h"
#include "vmm/run/outcome.h"

static struct options options;

static enum options_result parse(const char *option, const char *value)
{
	static char program[] = "vmm", guest[] = "g.elf", words[2][64];
	char *argv[] = {program, words[0], words[1], guest, NULL};

	strcpy(words[0], option);
	strcpy(words[1], value);
	optind = 0;
	memset(&options, 0, sizeof(options));
	return options_parse(&options, 4, argv);
}

START_TEST(sizes_of_ram)
{
	static const struct {
		const char *word;
		uint64_t size;
	} want[] = {
	    {"1M", 1 << 20},
	    {"1024K", 1 << 20},
	    {"1024k", 1 << 20},
	    {"1048576", 1 << 20},
	    {"3g", UINT64_C(3) << 30},
	    {"64G", UINT64_C(64) << 30},
	    {"65536M", UINT64_C(64) << 30},
	    {"1028K", 1028 << 10},
	};

	ck_assert_int_eq(parse("--mem", want[_i].word), OPTIONS_RUN);
	ck_assert_uint_eq(options.plan.mem, want[_i].size);
	ck_assert_str_eq(options.plan.guest, "g.elf");
}
END_TEST

/* Of a guest for which --mem does not say it. */
START_TEST(ram_by_default)
{
	static const struct {
		char *guest;
		uint64_t size;
	} want[] = {{"g.elf", 64 << 20},
	            {"linux", 256 << 20},
	            {"linux:6.12", 256 << 20},
	            {"linuxes", 64 << 20}};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		char *argv[] = {"vmm", want[i].guest, "--", "./program", NULL};

		optind = 0;
		memset(&options, 0, sizeof(options));
		ck_assert_int_eq(options_parse(&options, 4, argv), OPTIONS_RUN);
		ck_assert_uint_eq(options.plan.mem, want[i].size);
		ck_assert(options.linux_guest.wanted == (want[i].size == 256 << 20));
		linux_guest_free(&options);
	}
}
END_TEST

START_TEST(no_sizes_of_ram)
{
	static const char *const wrong[] = {"1023K",
	                                    "1048575",
	                                    "1025K",
	                                    "1049088", /* a multiple of 512 */
	                                    "65G",
	                                    "65537M",
	                                    "17179869185G", /* 1 GiB, were it not for the rest */
	                                    "18446744073709551616",
	                                    "-1M",
	                                    "+1M",
	                                    " 1M",
	                                    "M",
	                                    "",
	                                    "1MM",
	                                    "1T",
	                                    "1M ",
	                                    "0x100000"};

	ck_assert_int_eq(parse("--mem", wrong[_i]), OPTIONS_WRONG);
}
END_TEST

START_TEST(numbers_of_cpus)
{
	ck_assert_int_eq(parse("--cpus", "1"), OPTIONS_RUN);
	ck_assert_uint_eq(options.plan.cpus, 1);
	ck_assert_int_eq(parse("--cpus", "8"), OPTIONS_RUN);
	ck_assert_uint_eq(options.plan.cpus, 8);
}
END_TEST

START_TEST(no_numbers_of_cpus)
{
	static const char *const wrong[] = {"0",  "9",  "-1", "+2",         " 2",
	                                    "2 ", "2x", "",   "4294967297", "18446744073709551617"};

	ck_assert_int_eq(parse("--cpus", wrong[_i]), OPTIONS_WRONG);
}
END_TEST

START_TEST(limits_of_a_trace)
{
	static const struct {
		const char *word;
		uint64_t size; /* 0: wrong */
	} want[] = {{"16K", 16 << 10},
	            {"16383", 0},
	            {"64G", UINT64_C(64) << 30},
	            {"65G", 0},
	            {"16384", 16384},
	            {"1m", 1 << 20},
	            {"-16K", 0},
	            {"16KK", 0},
	            {"17179869184G", 0},
	            {"", 0}};

	ck_assert_int_eq(parse("--trace-limit", want[_i].word),
	                 want[_i].size ? OPTIONS_RUN : OPTIONS_WRONG);
	if (want[_i].size)
		ck_assert_uint_eq(options.trace.limit, want[_i].size);
}
END_TEST

START_TEST(times)
{
	static const struct {
		const char *word;
		uint64_t ns; /* UINT64_MAX: wrong */
	} want[] = {
	    {"1", 1000000000},   {"0.5", 500000000},  {"10000000", UINT64_C(10000000) * 1000000000},
	    {"-1", UINT64_MAX},  {"x", UINT64_MAX},   {"1s", UINT64_MAX},
	    {"nan", UINT64_MAX}, {"inf", UINT64_MAX}, {"10000001", UINT64_MAX},
	    {"", UINT64_MAX}};

	ck_assert_int_eq(parse("--timeout", want[_i].word),
	                 want[_i].ns != UINT64_MAX ? OPTIONS_RUN : OPTIONS_WRONG);
	if (want[_i].ns != UINT64_MAX)
		ck_assert_uint_eq(options.plan.timeout_ns, want[_i].ns);
}
END_TEST

/* ---- Modules ------------------------------------------------------------------------------- */

/* `count` times --module with this word. */
static enum options_result parse_modules(unsigned count, char *word)
{
	static char program[] = "vmm", guest[] = "g.elf", option[] = "--module";
	char *argv[2 * PLAN_MODULES_MAX + 8] = {program};
	int argc = 1;

	for (unsigned i = 0; i < count; i++) {
		argv[argc++] = option;
		argv[argc++] = word;
	}
	argv[argc++] = guest;
	optind = 0;
	for (unsigned i = 0; i < options.plan.module_count; i++)
		free((char *)(uintptr_t)options.plan.modules[i].path); /* of the last parse */
	memset(&options, 0, sizeof(options));
	return options_parse(&options, argc, argv);
}

START_TEST(a_module_and_its_words)
{
	static const struct {
		char word[32];
		const char *path, *words;
	} want[] = {{"f", "f", ""},
	            {"f a b", "f", "a b"},
	            {"/x/y  two  blanks ", "/x/y", "two  blanks "},
	            {"f ", "f", ""}};
	char word[32];

	strcpy(word, want[_i].word);
	ck_assert_int_eq(parse_modules(2, word), OPTIONS_RUN);
	ck_assert_uint_eq(options.plan.module_count, 2);
	ck_assert_str_eq(options.plan.modules[1].path, want[_i].path);
	ck_assert_str_eq(options.plan.modules[1].words, want[_i].words);
	ck_assert_str_eq(word, want[_i].word); /* for a box */
}
END_TEST

START_TEST(no_modules)
{
	static char nothing[] = "", blank[] = " f";

	ck_assert_int_eq(parse_modules(1, nothing), OPTIONS_WRONG);
	ck_assert_int_eq(parse_modules(1, blank), OPTIONS_WRONG);
}
END_TEST

/* All of them are files that a box must have. */
START_TEST(sixteen_modules)
{
	static char word[] = "file words";
	struct options_file files[OPTIONS_FILES];

	ck_assert_int_eq(parse_modules(PLAN_MODULES_MAX, word), OPTIONS_RUN);
	ck_assert_uint_eq(options_files(&options, files), 1 + PLAN_MODULES_MAX);
	for (unsigned i = 1; i <= PLAN_MODULES_MAX; i++) {
		ck_assert_str_eq(files[i].path, "file");
		ck_assert_str_eq(files[i].option, "module");
		ck_assert_int_eq(files[i].use, FILE_READ);
	}
	ck_assert_int_eq(parse_modules(PLAN_MODULES_MAX + 1, word), OPTIONS_WRONG);
}
END_TEST

/* ---- How it ended
 * ---------------------------------------------------------------------------------- */

START_TEST(statuses)
{
	static const struct {
		struct outcome outcome;
		int status;
		bool of_cpu;
		const char *name;
	} want[] = {
	    {{.reason = END_EXITED, .guest_status = 0}, 0, true, "EXITED"},
	    {{.reason = END_EXITED, .guest_status = 123}, 123, true, "EXITED"},
	    {{.reason = END_BAD_STATUS, .guest_status = 124}, 126, true, "BAD_STATUS"},
	    {{.reason = END_HALTED}, 0, false, "HALTED"},
	    {{.reason = END_PANIC}, 126, true, "PANIC"},
	    {{.reason = END_SHUTDOWN}, 126, true, "SHUTDOWN"},
	    {{.reason = END_INTERNAL_ERROR}, 126, true, "INTERNAL_ERROR"},
	    {{.reason = END_FAIL_ENTRY}, 126, true, "FAIL_ENTRY"},
	    {{.reason = END_UNEXPECTED_EXIT}, 126, true, "UNEXPECTED_EXIT"},
	    {{.reason = END_TIMEOUT, .signal = 14}, 124, false, "TIMEOUT"},
	    {{.reason = END_SIGNAL, .signal = 15}, 143, false, "SIGNAL"},
	    {{.reason = END_VMM_FAILED}, 125, false, "VMM_FAILED"},
	    {{.reason = END_RUNNING}, 125, false, "RUNNING"},
	};

	ck_assert_int_eq(outcome_status(&want[_i].outcome), want[_i].status);
	ck_assert_int_eq(outcome_is_of_cpu(&want[_i].outcome), want[_i].of_cpu);
	ck_assert_str_eq(outcome_name(want[_i].outcome.reason), want[_i].name);
}
END_TEST

Suite *options_suite(void)
{
	Suite *suite = suite_create("options");
	TCase *tests = tcase_create("options");

	tcase_add_loop_test(tests, sizes_of_ram, 0, 8);
	tcase_add_test(tests, ram_by_default);
	tcase_add_loop_test(tests, no_sizes_of_ram, 0, 17);
	tcase_add_test(tests, numbers_of_cpus);
	tcase_add_loop_test(tests, no_numbers_of_cpus, 0, 10);
	tcase_add_loop_test(tests, limits_of_a_trace, 0, 10);
	tcase_add_loop_test(tests, times, 0, 10);
	tcase_add_loop_test(tests, a_module_and_its_words, 0, 4);
	tcase_add_test(tests, no_modules);
	tcase_add_test(tests, sixteen_modules);
	suite_add_tcase(suite, tests);

	tests = tcase_create("outcome");
	tcase_add_loop_test(tests, statuses, 0, 13);
	suite_add_tcase(suite, tests);
	return suite;
}
