/* Who has which PCID (shared/pcid.h): its words, one by one.  What they are good for, over a model
 * of TLBs, is tests/unit_space's. */
#include <check.h>

#include "shared/pcid.h"
#include "tests/unit/tree.h"

/* Two spaces that may have the same PCID, and one that may not. */
enum { ONE = 5, ANOTHER = 5 + PCID_COUNT, ELSEWHERE = 6 };

START_TEST(pcids_are_given_from_1_on)
{
	bool seen[PCID_COUNT + 1] = {false};

	for (uint64_t space = 1; space <= 4 * PCID_COUNT; space++) {
		ck_assert_uint_ge(pcid_of(space), 1);
		ck_assert_uint_le(pcid_of(space), PCID_COUNT);
		ck_assert_uint_eq(pcid_of(space) & PCID_USER, 0);
		seen[pcid_of(space)] = true;
	}
	for (unsigned i = 1; i <= PCID_COUNT; i++)
		ck_assert(seen[i]);
	ck_assert_uint_eq(pcid_of(ONE), pcid_of(ANOTHER));
	ck_assert_uint_ne(pcid_of(ONE), pcid_of(ELSEWHERE));
}
END_TEST

START_TEST(nobody_has_one_at_first)
{
	struct pcid_pool pool = {0};

	ck_assert(!pcid_is_good(&pool, ONE, 0));
	ck_assert(!pcid_take(&pool, ONE, 0)); /* from nobody */
	ck_assert(pcid_is_good(&pool, ONE, 0));
	ck_assert(!pcid_is_good(&pool, ANOTHER, 0));
}
END_TEST

START_TEST(a_generation_makes_it_old)
{
	struct pcid_pool pool = {0};

	pcid_take(&pool, ONE, 7);
	ck_assert(pcid_is_good(&pool, ONE, 7));
	ck_assert(!pcid_is_good(&pool, ONE, 8));
	ck_assert(!pcid_is_good(&pool, ONE, 6));
	ck_assert(!pcid_take(&pool, ONE, 8)); /* it was its own */
	ck_assert(pcid_is_good(&pool, ONE, 8));
}
END_TEST

START_TEST(it_changes_hands)
{
	struct pcid_pool pool = {0};

	pcid_take(&pool, ONE, 7);
	ck_assert(pcid_take(&pool, ANOTHER, 7));
	ck_assert(!pcid_is_good(&pool, ONE, 7));
	ck_assert(pcid_is_good(&pool, ANOTHER, 7));
	ck_assert(!pcid_take(&pool, ELSEWHERE, 7));
	ck_assert(pcid_is_good(&pool, ANOTHER, 7));
}
END_TEST

/* Only who has it: another one's flush says nothing of what is under this PCID. */
START_TEST(what_was_flushed_is_of_now)
{
	struct pcid_pool pool = {0};

	pcid_take(&pool, ONE, 7);
	pcid_flushed(&pool, ONE, 9);
	ck_assert(pcid_is_good(&pool, ONE, 9));
	pcid_flushed(&pool, ANOTHER, 10);
	ck_assert(pcid_is_good(&pool, ONE, 9));
	ck_assert(!pcid_is_good(&pool, ANOTHER, 10));
}
END_TEST

Suite *suite_pcid(void)
{
	Suite *suite = suite_create("pcid");
	TCase *tests = tcase_create("pcid");

	tcase_add_test(tests, pcids_are_given_from_1_on);
	tcase_add_test(tests, nobody_has_one_at_first);
	tcase_add_test(tests, a_generation_makes_it_old);
	tcase_add_test(tests, it_changes_hands);
	tcase_add_test(tests, what_was_flushed_is_of_now);
	suite_add_tcase(suite, tests);
	return suite;
}
