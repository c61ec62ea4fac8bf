/* What crossings cost, added up from what passes between stops. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/calls/costs.h"

static struct costs costs;
static char text[4096];

enum { EMPTY = 100, EMPTY_FAULT = 120, ROOT = 0x5000, OTHER = 0x6000 };

static const struct seen_crossing getppid = {
    .kind = CROSSING_SYSCALL, .root = ROOT, .number = 110, .name = "getppid"};
static const struct seen_crossing fault = {.kind = CROSSING_FAULT, .root = ROOT, .number = 14};

static void setup(void)
{
	memset(&costs, 0, sizeof(costs));
	costs.instructions = true;
	costs_calibrate(&costs, EMPTY + 50);
	costs_calibrate(&costs, EMPTY);
	costs_calibrate(&costs, EMPTY + 1);
	costs.kind = CROSSING_FAULT;
	costs_calibrate(&costs, EMPTY_FAULT);
}

/* `instructions` in one entry of KVM_RUN. */
static void pass(uint64_t instructions)
{
	costs_pass(&costs, &(struct costs_passed){.ticks = EMPTY + instructions, .runs = 1}, false);
}

static const char *table(void)
{
	FILE *out = fmemopen(text, sizeof(text), "w");

	ck_assert_ptr_nonnull(out);
	costs_print(&costs, out);
	fclose(out);
	return text;
}

#define HAS(what) ck_assert_msg(strstr(table(), (what)), "no \"%s\" in %s", (what), text)

START_TEST(a_call)
{
	pass(7); /* before the first: nobody's */
	for (int i = 0; i < 3; i++) {
		costs_enter(&costs, &getppid, true);
		pass(i ? 300 : 9000); /* an interrupt of the host's */
		costs_leave(&costs, ROOT, &getppid);
		pass(10);
	}
	HAS("       3           300             9,600  SYSCALL getppid\n");
	HAS("3 by SYSCALL, 0 by INT 0x80, 0 by #PF, 0 by interrupts; ring 0: 9,600, ring 3: 30\n");
	HAS("instructions, which the TSC counts here\n");
	HAS("  behind SYSCALL         100, the least of 3; the middle half: 100 to 101\n");
}
END_TEST

/* An instruction that was stepped is one; #BP's is not the guest's. */
START_TEST(what_the_engine_did)
{
	const struct costs_passed passed = {.ticks = EMPTY + 300, .runs = 1, .steps = 5};

	costs_enter(&costs, &getppid, true);
	costs_pass(&costs, &passed, true);
	ck_assert_int_eq(costs.rows[0].sum, 304);
	costs.instructions = false; /* of cycles nobody knows */
	costs_pass(&costs, &passed, true);
	ck_assert_int_eq(costs.rows[0].sum, 604);
	HAS("TSC ticks; the TSC does not count instructions here\n");
}
END_TEST

/* An exit of the guest's own in between is not known to the last instruction, and so is what ran
 * for another process meanwhile: only sums have them. */
START_TEST(not_one_of_a_kind)
{
	costs_enter(&costs, &getppid, true);
	pass(100);
	pass(100);
	costs_leave(&costs, ROOT, &getppid);
	costs_enter(&costs, &getppid, true);
	pass(50);
	costs_leave(&costs, OTHER, NULL);
	pass(1000);
	costs_enter(&costs, &fault, true);
	pass(70 + EMPTY_FAULT - EMPTY);
	costs_leave(&costs, ROOT, &getppid); /* it comes back now */
	pass(3);
	HAS("       2             -               250  SYSCALL getppid\n");
	HAS("       1             -                70  #PF\n");
	HAS("CR3 0x6000\n");
	HAS("ring 0: 320, ring 3: 3\n");
	HAS("ring 0: 0, ring 3: 1,000\n");
}
END_TEST

START_TEST(nowhere_to_plant)
{
	costs_enter(&costs, &fault, false);
	pass(500 + EMPTY_FAULT - EMPTY);
	costs_enter(&costs, &getppid, true);
	pass(20);
	HAS("could be planted: 500; crossings that had no row: 0\n");
	HAS("ring 0: 20, ring 3: 0\n");
}
END_TEST

START_TEST(more_than_there_are_rows)
{
	for (unsigned i = 0; i < COSTS_ROWS + 2; i++) {
		struct seen_crossing crossing = getppid;

		crossing.number = i;
		costs_enter(&costs, &crossing, true);
		pass(1);
		costs_leave(&costs, (uint64_t)i << 12, &crossing);
		pass(1);
	}
	ck_assert_uint_eq(costs.row_count, COSTS_ROWS);
	ck_assert_uint_eq(costs.space_count, COSTS_SPACES);
	ck_assert_uint_eq(costs.missing, 2);
}
END_TEST

/* Each kind's, until there are enough; not while ring 3 runs. */
START_TEST(when_to_calibrate)
{
	memset(&costs, 0, sizeof(costs));
	ck_assert(!costs_wants_calibration(&costs));
	costs_enter(&costs, &getppid, true);
	for (int i = 0; i < COSTS_EMPTY; i++) {
		ck_assert(costs_wants_calibration(&costs));
		costs_calibrate(&costs, 1);
	}
	ck_assert(!costs_wants_calibration(&costs));
	costs_enter(&costs, &fault, false);
	ck_assert(costs_wants_calibration(&costs));
	costs_leave(&costs, ROOT, NULL);
	ck_assert(!costs_wants_calibration(&costs));
}
END_TEST

/* More of one kind than samples are kept: the sum has all. */
START_TEST(more_than_samples)
{
	for (unsigned i = 0; i < COSTS_SAMPLES + 10; i++) {
		costs_enter(&costs, &getppid, true);
		pass(2);
		costs_leave(&costs, ROOT, &getppid);
	}
	ck_assert_uint_eq(costs.rows[0].each.count, COSTS_SAMPLES);
	ck_assert_int_eq(costs.rows[0].each.sum, 2 * (COSTS_SAMPLES + 10));
}
END_TEST

/* The same numbers for programs; of what never came back alone there is no median. */
START_TEST(as_json)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	json_t *root, *costs_of, *space, *row;

	costs_enter(&costs, &getppid, true);
	pass(300);
	costs_leave(&costs, ROOT, &getppid);
	pass(10);
	costs_enter(&costs, &fault, true);
	pass(20);
	ck_assert_ptr_nonnull(out);
	ck_assert(costs_print_json(&costs, out));
	fclose(out);
	root = json_loads(text, 0, NULL);
	costs_of = json_object_get(root, "costs");
	ck_assert_str_eq(json_string_value(json_object_get(costs_of, "unit")), "instructions");
	ck_assert_int_eq(
	    json_integer_value(json_object_get(json_object_get(costs_of, "taken_off"), "SYSCALL")),
	    EMPTY);
	space = json_array_get(json_object_get(costs_of, "spaces"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(space, "cr3")), "0x5000");
	ck_assert_int_eq(json_integer_value(json_object_get(space, "ring0")), 300);
	ck_assert_int_eq(json_integer_value(json_object_get(space, "ring3")), 10);
	row = json_array_get(json_object_get(space, "crossings"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(row, "crossing")), "SYSCALL getppid");
	ck_assert_int_eq(json_integer_value(json_object_get(row, "each")), 300);
	row = json_array_get(json_object_get(space, "crossings"), 1);
	ck_assert_str_eq(json_string_value(json_object_get(row, "crossing")), "#PF");
	ck_assert(json_is_null(json_object_get(row, "each")));
	json_decref(root);
}
END_TEST

Suite *costs_suite(void)
{
	Suite *suite = suite_create("costs");
	TCase *tcase = tcase_create("costs");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, a_call);
	tcase_add_test(tcase, what_the_engine_did);
	tcase_add_test(tcase, not_one_of_a_kind);
	tcase_add_test(tcase, nowhere_to_plant);
	tcase_add_test(tcase, more_than_there_are_rows);
	tcase_add_test(tcase, when_to_calibrate);
	tcase_add_test(tcase, more_than_samples);
	tcase_add_test(tcase, as_json);
	suite_add_tcase(suite, tcase);
	return suite;
}
