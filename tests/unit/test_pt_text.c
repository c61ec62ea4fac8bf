/* The words. */
#include "tests/unit/tree.h"

#include <string.h>

START_TEST(status_words)
{
	for (int i = PT_OK; i <= PT_ECORRUPT; i++) {
		ck_assert_ptr_nonnull(pt_status_text((enum pt_status)i));
		ck_assert_str_ne(pt_status_text((enum pt_status)i), "unknown status");
		for (int j = PT_OK; j < i; j++)
			ck_assert_str_ne(pt_status_text((enum pt_status)i),
			                 pt_status_text((enum pt_status)j));
	}
	ck_assert_str_eq(pt_status_text((enum pt_status)99), "unknown status");
}
END_TEST

START_TEST(rights_words)
{
	char buf[8];

	ck_assert_str_eq(pt_rights_text(buf, 0), "r----");
	ck_assert_str_eq(pt_rights_text(buf, PT_WRITE), "rw---");
	ck_assert_str_eq(pt_rights_text(buf, PT_EXEC), "r-x--");
	ck_assert_str_eq(pt_rights_text(buf, PT_USER), "r--u-");
	ck_assert_str_eq(pt_rights_text(buf, PT_GLOBAL), "r---g");
	ck_assert_str_eq(pt_rights_text(buf, PT_RIGHTS), "rwxug");
}
END_TEST

static void change_text_is(enum pt_status status, const struct pt_change *change,
                           const char *wanted)
{
	char buf[256], shorter[20];
	int len = pt_change_text(buf, sizeof(buf), "pt_map", 0x1000, 0x2000, status, change);

	ck_assert_str_eq(buf, wanted);
	ck_assert_int_eq(len, (int)strlen(wanted));
	ck_assert_int_eq(
	    pt_change_text(shorter, sizeof(shorter), "pt_map", 0x1000, 0x2000, status, change),
	    len);
	ck_assert_uint_eq(strlen(shorter), sizeof(shorter) - 1);
}

START_TEST(change_words)
{
	struct pt_change change = {.va = 0x1000, .level = 2};

	change_text_is(PT_ENOMEM, &change,
	               "pt_map va 0x1000 len 0x2000: no memory for a level-2 table (at 0x1000)");
	change_text_is(PT_EEXIST, &change,
	               "pt_map va 0x1000 len 0x2000: something is mapped there already "
	               "(page directory entry of 0x1000)");
	change.level = 5;
	change_text_is(PT_ESHARED, &change,
	               "pt_map va 0x1000 len 0x2000: the table belongs to another tree "
	               "(PML5 entry of 0x1000)");
	change.level = 6;
	change_text_is(PT_ESHARED, &change,
	               "pt_map va 0x1000 len 0x2000: the table belongs to another tree "
	               "(? entry of 0x1000)");
	change.level = 0;
	change_text_is(PT_ECANONICAL, &change,
	               "pt_map va 0x1000 len 0x2000: the range is not canonical");
	change_text_is(PT_ENOMEM, NULL, "pt_map va 0x1000 len 0x2000: no memory for a table");
	change_text_is(PT_OK, &change, "pt_map va 0x1000 len 0x2000: done");
}
END_TEST

static void verdict_text_is(const struct pt *pt, uint64_t va, struct pt_access access,
                            const char *wanted)
{
	struct pt_verdict verdict;
	char buf[256];
	int len;

	pt_explain(pt, va, access, &verdict);
	len = pt_verdict_text(buf, sizeof(buf), va, access, &verdict);
	ck_assert_str_eq(buf, wanted);
	ck_assert_int_eq(len, (int)strlen(wanted));
}

START_TEST(verdict_words)
{
	struct fixture fix;
	struct pt_access read = {.kind = PT_READ, .cpl = 3};
	struct pt_access write = {.kind = PT_STORE, .cpl = 3};
	struct pt_access fetch = {.kind = PT_FETCH, .smep = true};
	struct pt_access stack = {.kind = PT_STORE, .cpl = 3, .stack = true};
	struct pt_verdict odd = {.reason = (enum pt_reason)99, .vector = 14};
	char buf[256];
	uint64_t good;

	fixture_init(&fix, 4, 16);
	want(pt_map(&fix.pt, 0x1000, 0x5000, 4096, PT_USER | PT_EXEC, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x2000, 0x6000, 4096, 0, NULL), PT_OK);
	want(pt_map(&fix.pt, 4 * MIB, 0, 2 * MIB, 0, NULL), PT_OK);
	verdict_text_is(&fix.pt, 0x1234, read, "ring 3 read of 0x1234: allowed, physical 0x5234");
	verdict_text_is(&fix.pt, 0x1234, write,
	                "ring 3 write of 0x1234: #PF 0x7 at the page table entry: read-only (R/W)");
	verdict_text_is(
	    &fix.pt, 0x1234, fetch,
	    "ring 0 fetch of 0x1234: #PF 0x11 at the page table entry: a user page (SMEP)");
	verdict_text_is(
	    &fix.pt, 0x2000, fetch,
	    "ring 0 fetch of 0x2000: #PF 0x11 at the page table entry: no-execute (NX)");
	verdict_text_is(
	    &fix.pt, 4 * MIB, read,
	    "ring 3 read of 0x400000: #PF 0x5 at the page directory entry: supervisor only (U/S)");
	verdict_text_is(
	    &fix.pt, UINT64_C(0xffff888000000000), read,
	    "ring 3 read of 0xffff888000000000: #PF 0x4 at the PML4 entry: not present");
	verdict_text_is(&fix.pt, UINT64_C(0x800000000000), read,
	                "ring 3 read of 0x800000000000: #GP 0x0: not canonical");
	verdict_text_is(&fix.pt, UINT64_C(0x800000000000), stack,
	                "ring 3 write of 0x800000000000: #SS 0x0: not canonical");
	good = *tree_slot(&fix.pt, 0x1000, 3);
	*tree_slot(&fix.pt, 0x1000, 3) = UINT64_C(0x3ffff0000003);
	verdict_text_is(
	    &fix.pt, 0x1000, read,
	    "ring 3 read of 0x1000: unknown at the PDPT entry: the table lies outside memory");
	*tree_slot(&fix.pt, 0x1000, 3) = good;
	pt_verdict_text(buf, sizeof(buf), 0, read, &odd);
	ck_assert_str_eq(buf, "ring 3 read of 0x0: #PF 0x0: unknown reason");
	odd.reason = PT_READ_ONLY;
	odd.vector = 99;
	pt_verdict_text(buf, sizeof(buf), 0, read, &odd);
	ck_assert_str_eq(buf, "ring 3 read of 0x0: no fault known 0x0: read-only (R/W)");
	fixture_done(&fix);
}
END_TEST

Suite *suite_pt_text(void)
{
	Suite *suite = suite_create("pt_text");
	TCase *tc = tcase_create("text");

	tcase_add_test(tc, status_words);
	tcase_add_test(tc, rights_words);
	tcase_add_test(tc, change_words);
	tcase_add_test(tc, verdict_words);
	suite_add_tcase(suite, tc);
	return suite;
}
