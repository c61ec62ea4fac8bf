/* What the guest's escape gallery hands over: taken only when it is what it should be, and worded
 * the same in every report. */
#include <errno.h>
#include <string.h>

#include <check.h>

#include "shared/x86.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/attempts.h"

static struct rs_escape good_row(void)
{
	return (struct rs_escape){
	    .program = "walls",
	    .host = "manual",
	    .group = "Paging",
	    .name = "U/S: read kernel text",
	    .mode = RS_PTI_PCID,
	    .verdict = RS_ESCAPE_OK,
	    .want = {VECTOR_PF, 4, 0xffffffff80100000},
	    .got = {VECTOR_PF, 4, 0xffffffff80100000},
	};
}

/* A row with one field made wrong is refused, and the one before it is kept. */
START_TEST(rows_are_checked)
{
	static const struct {
		size_t offset, size;
		uint64_t value;
	} wrong[] = {
	    {offsetof(struct rs_escape, program), 1, 0},
	    {offsetof(struct rs_escape, host), 1, 0},
	    {offsetof(struct rs_escape, group), 1, 0},
	    {offsetof(struct rs_escape, name), 1, 0},
	    {offsetof(struct rs_escape, name) + 3, 1, 0x1b},
	    {offsetof(struct rs_escape, why), 1, '\n'},
	    {offsetof(struct rs_escape, mode), 4, RS_PTI_NOPCID + 1},
	    {offsetof(struct rs_escape, verdict), 4, RS_ESCAPE_SKIPPED + 1},
	    {offsetof(struct rs_escape, want.kind), 8, RS_OUTCOME_NOT_TRIED + 1},
	    {offsetof(struct rs_escape, got.kind), 8, UINT64_MAX},
	};
	struct rs_escape rows[2] = {good_row(), good_row()};
	struct attempts escapes = {0};

	memcpy((char *)&rows[1] + wrong[_i].offset, &wrong[_i].value, wrong[_i].size);
	ck_assert_int_eq(attempts_take(&escapes, rows, 2), 1);
	ck_assert_int_eq(attempts_take(&escapes, &rows[1], 1), -EINVAL);
	ck_assert_uint_eq(escapes.count, 1);
	ck_assert_str_eq(escapes.list[0].name, "U/S: read kernel text");
	attempts_free(&escapes);
}
END_TEST
#define WRONG_ROWS 10

START_TEST(a_text_without_an_end_is_refused)
{
	struct rs_escape row = good_row();
	struct attempts escapes = {0};

	memset(row.why, 'x', sizeof(row.why));
	ck_assert_int_eq(attempts_take(&escapes, &row, 1), -EINVAL);
	attempts_free(&escapes);
}
END_TEST

START_TEST(rows_are_bounded)
{
	const struct rs_escape row = good_row();
	struct attempts escapes = {0};

	for (int i = 0; i < RS_MAX_ESCAPES; i++)
		ck_assert_int_eq(attempts_take(&escapes, &row, 1), 1);
	ck_assert_int_eq(attempts_take(&escapes, &row, 1), -ENOSPC);
	ck_assert_uint_eq(escapes.count, RS_MAX_ESCAPES);
	attempts_free(&escapes);
	attempts_free(&escapes);
}
END_TEST

START_TEST(outcomes_have_words)
{
	static const struct {
		struct rs_outcome outcome;
		const char *text;
	} rows[] = {
	    {{VECTOR_PF, 0x15, 0x1000}, "#PF(0x15) at 0x1000"},
	    {{VECTOR_GP, 0x402, 0x1000}, "#GP(0x402)"},
	    {{VECTOR_UD, 7, 7}, "#UD"},
	    {{0x82, 7, 7}, "vector 0x82"},
	    {{RS_OUTCOME_ALLOWED, 7, 7}, "allowed"},
	    {{RS_OUTCOME_ENDED, 7, 7}, "ended"},
	    {{RS_OUTCOME_WRONG, 0x80, 7}, "wrong(0x80)"},
	    {{RS_OUTCOME_NOT_TRIED, 7, 7}, "not tried"},
	    {{VECTOR_PF, UINT64_MAX, UINT64_MAX}, "#PF(0xffffffffffffffff) at 0xffffffffffffffff"},
	    {{UINT64_MAX, 7, 7}, "unknown"},
	};
	char text[OUTCOME_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_str_eq(outcome_text(text, sizeof(text), &rows[i].outcome), rows[i].text);
	ck_assert_str_eq(escape_verdict(RS_ESCAPE_DEPARTS), "departs");
	ck_assert_str_eq(escape_verdict(99), "unknown");
}
END_TEST

Suite *attempts_suite(void)
{
	Suite *suite = suite_create("escapes");
	TCase *tests = tcase_create("escapes");

	tcase_add_loop_test(tests, rows_are_checked, 0, WRONG_ROWS);
	tcase_add_test(tests, a_text_without_an_end_is_refused);
	tcase_add_test(tests, rows_are_bounded);
	tcase_add_test(tests, outcomes_have_words);
	suite_add_tcase(suite, tests);
	return suite;
}
