/* Names, arguments and results of system calls, as --calls tells them. */
#include <check.h>
#include <string.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/calls/call_names.h"

static const struct symbol list[] = {
    {0x1000, 16, "__x64_sys_read"},
    {0x1010, 16, "__x64_sys_getppid"},
    {0x1020, 16, "__do_sys_setsid"},
};
static struct symbols symbols = {.list = (struct symbol *)(uintptr_t)list, .count = 3};

static const char *name_of(const struct call_names *names, uint64_t number)
{
	static char buf[64];

	return call_name_text(names, number, buf, sizeof(buf));
}

START_TEST(names_of_calls)
{
	const struct call_names names = {
	    .symbols = &symbols, .function = {0x1000, 0x1010, 0x1020}, .count = 3};

	ck_assert_str_eq(name_of(&names, 0), "read");
	ck_assert_str_eq(name_of(&names, 1), "getppid");
	ck_assert_str_eq(name_of(&names, 2), "setsid");
	ck_assert_str_eq(name_of(&names, 3), "call 3");
	ck_assert_str_eq(name_of(&names, UINT64_MAX), "call 18446744073709551615");
	ck_assert_str_eq(name_of(&(struct call_names){0}, 0), "call 0");
}
END_TEST

START_TEST(arguments)
{
	ck_assert_uint_eq(call_argument_count("getppid"), 0);
	ck_assert_uint_eq(call_argument_count("read"), 3);
	ck_assert_uint_eq(call_argument_count("mmap"), 6);
	ck_assert_uint_eq(call_argument_count("call 500"), 6);
}
END_TEST

START_TEST(results)
{
	char buf[80];

	ck_assert_str_eq(call_result_text(0, buf, sizeof(buf)), "0");
	ck_assert_str_eq(call_result_text(65535, buf, sizeof(buf)), "65535");
	ck_assert_str_eq(call_result_text(0x7f0000001000, buf, sizeof(buf)), "0x7f0000001000");
	ck_assert_str_eq(call_result_text((uint64_t)-2, buf, sizeof(buf)),
	                 "-2 (No such file or directory)");
	ck_assert_ptr_nonnull(
	    strstr(call_result_text((uint64_t)-4095, buf, sizeof(buf)), "-4095 ("));
	ck_assert_str_eq(call_result_text((uint64_t)-4096, buf, sizeof(buf)), "0xfffffffffffff000");
}
END_TEST

Suite *calls_suite(void)
{
	Suite *suite = suite_create("calls");
	TCase *tcase = tcase_create("calls");

	tcase_add_test(tcase, names_of_calls);
	tcase_add_test(tcase, arguments);
	tcase_add_test(tcase, results);
	suite_add_tcase(suite, tcase);
	return suite;
}
