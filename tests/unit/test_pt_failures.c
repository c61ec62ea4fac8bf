/*
 * All or nothing: every operation with an allocator that fails at its first call, its second, and
 * so on until there is none left to fail.  After each failure all memory is as before, to the bit.
 */
#include "tests/unit/tree.h"

#include <stdlib.h>

struct operation {
	const char *name;
	/* What is there before ... */
	void (*prepare)(struct pt *pt, struct pt *other);
	/* ... and what is tried. */
	enum pt_status (*run)(struct pt *pt, struct pt *other, struct pt_change *change);
	unsigned calls[2]; /* of alloc, for 4 levels and for 5 */
};

static void nothing(struct pt *pt, struct pt *other)
{
	(void)pt;
	(void)other;
}

static void large(struct pt *pt, struct pt *other)
{
	(void)other;
	want(pt_map(pt, 0, 0, 2 * GIB, PT_WRITE, NULL), PT_OK);
}

static void mixed(struct pt *pt, struct pt *other)
{
	want(pt_map(pt, 0, 0, GIB, PT_WRITE, NULL), PT_OK);
	want(pt_map(pt, 3 * GIB - 4 * MIB, 0, 4 * MIB, PT_WRITE, NULL), PT_OK);
	want(pt_map(pt, 5 * GIB + 0x3000, 0, 0x1000, PT_WRITE, NULL), PT_OK);
	want(pt_map(other, 0x1000, 0, 0x1000, PT_USER, NULL), PT_OK);
	want(pt_map(other, GIB, 0, 4 * MIB, PT_USER, NULL), PT_OK);
	want(pt_map(other, 3 * GIB, 0, GIB, PT_USER, NULL), PT_OK);
	want(pt_map(other, 513 * GIB, 0, 0x1000, PT_USER, NULL), PT_OK);
}

static void pieces(struct pt *pt, struct pt *other)
{
	(void)pt;
	want(pt_map(other, GIB - 2 * MIB, 0, 0x1000, PT_USER, NULL), PT_OK);
	want(pt_map(other, GIB, 0, 0x1000, PT_USER, NULL), PT_OK);
	want(pt_map(other, 2 * GIB, 0, 0x1000, PT_USER, NULL), PT_OK);
}

static enum pt_status map_page(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_map(pt, 0x5000, 0, 0x1000, PT_USER, change);
}

static enum pt_status map_ragged(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_map(pt, 511 * GIB + 0x1000, 0x1000, 3 * GIB, PT_USER, change);
}

static enum pt_status map_between(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_map(pt, 3 * GIB - 8 * MIB, 0x1000, 4 * MIB, 0, change);
}

static enum pt_status map_over(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_map(pt, GIB - 0x3000, 2 * GIB - 0x3000, 3 * GIB, PT_EXEC | PT_REPLACE, change);
}

static enum pt_status map_top(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_map(pt, 0 - UINT64_C(0x201000), 0, 0x201000, PT_EXEC, change);
}

static enum pt_status unmap_page(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_unmap(pt, 0x5000, 0x1000, change);
}

static enum pt_status unmap_ends(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_unmap(pt, 0x5000, 2 * GIB - 0xa000, change);
}

static enum pt_status unmap_2m(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_unmap(pt, 2 * MIB, GIB - 2 * MIB, change);
}

static enum pt_status protect_ends(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_protect(pt, 0x5000, 2 * GIB - 0xa000, PT_EXEC, change);
}

static enum pt_status protect_inside(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_protect(pt, 2 * MIB + 0x1000, 4 * MIB, PT_EXEC, change);
}

static enum pt_status reserve(struct pt *pt, struct pt *other, struct pt_change *change)
{
	(void)other;
	return pt_reserve(pt, 0, UINT64_C(5) << (3 + 9 * pt->geo.levels), change);
}

static enum pt_status share_wide(struct pt *pt, struct pt *other, struct pt_change *change)
{
	return pt_share(pt, other, 511 * GIB, 4 * GIB, 0, change);
}

static enum pt_status share_pieces(struct pt *pt, struct pt *other, struct pt_change *change)
{
	return pt_share(pt, other, GIB - 2 * MIB, GIB + 4 * MIB, PT_SHARE_NX, change);
}

static enum pt_status share_part(struct pt *pt, struct pt *other, struct pt_change *change)
{
	return pt_share(pt, other, 3 * GIB + 2 * MIB, 2 * MIB, 0, change);
}

static const struct operation operations[] = {
    {"map a page into nothing", nothing, map_page, {3, 4}},
    {"map across a top-level slot", nothing, map_ragged, {6, 7}},
    {"map beside others", mixed, map_between, {2, 2}},
    {"map over large leaves", mixed, map_over, {4, 4}},
    {"map the last bytes", nothing, map_top, {4, 5}},
    {"unmap a page of a large leaf", large, unmap_page, {2, 2}},
    {"unmap to the middles of two", large, unmap_ends, {4, 4}},
    {"unmap all but 2 MiB", large, unmap_2m, {1, 1}},
    {"protect the middles of two", large, protect_ends, {4, 4}},
    {"protect inside one", large, protect_inside, {3, 3}},
    {"reserve five", nothing, reserve, {5, 5}},
    {"reserve four more", mixed, reserve, {4, 4}},
    {"share pieces of two slots", mixed, share_wide, {1, 1}},
    {"share pieces of one slot", pieces, share_pieces, {3, 4}},
    {"share a part of a leaf", mixed, share_part, {1, 1}},
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* _i: operation, and levels. */
START_TEST(fail_at_every_call)
{
	const struct operation *op = &operations[_i / 2];
	unsigned levels = 4 + (unsigned)_i % 2, failures = 0;
	unsigned wanted = op->calls[_i % 2];
	struct fixture fix;
	struct pt other;

	fixture_init(&fix, levels, 64);
	want(pt_init(&other, geometry(levels), arena_memory(&fix.arena)), PT_OK);
	op->prepare(&fix.pt, &other);
	for (unsigned n = 1; n < 50; n++) {
		struct arena_copy copy = arena_copy(&fix.arena);
		struct pt_change change;
		enum pt_status status;

		arena_fail_at(&fix.arena, n);
		status = op->run(&fix.pt, &other, &change);
		arena_fail_at(&fix.arena, 0);
		if (status == PT_OK) {
			free(copy.frame);
			free(copy.out);
			break;
		}
		want(status, PT_ENOMEM);
		ck_assert_msg(change.level >= 1 && change.level < levels, "%s: level %u", op->name,
		              change.level);
		ck_assert(!change.flush);
		arena_same(&fix.arena, &copy);
		failures++;
	}
	ck_assert_msg(failures == wanted, "%s: %u calls, wanted %u", op->name, failures, wanted);
	/* It was exactly as much as was needed: nothing came back unused. */
	ck_assert_uint_eq(tree_sane(&fix.pt) + tree_sane(&other), fix.arena.live);
	pt_destroy(&other);
	fixture_done(&fix);
}
END_TEST

START_TEST(init_without_memory)
{
	struct arena arena;
	struct pt pt;

	arena_init(&arena, 1);
	arena_fail_at(&arena, 1);
	want(pt_init(&pt, geometry(4), arena_memory(&arena)), PT_ENOMEM);
	arena_done(&arena);
}
END_TEST

START_TEST(the_place_that_lacks_memory_is_named)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, 4, 1);
	want(pt_map(&fix.pt, 0x5000, 0, 0x1000, 0, &change), PT_ENOMEM);
	fail_is(&change, 0x5000, 3);
	want(pt_reserve(&fix.pt, 512 * GIB, 0x1000, &change), PT_ENOMEM);
	fail_is(&change, 512 * GIB, 3);
	fixture_done(&fix);
}
END_TEST

Suite *suite_pt_failures(void)
{
	Suite *suite = suite_create("pt_failures");
	TCase *tc = tcase_create("failures");

	tcase_add_loop_test(tc, fail_at_every_call, 0, 2 * (int)OPERATIONS);
	tcase_add_test(tc, init_without_memory);
	tcase_add_test(tc, the_place_that_lacks_memory_is_named);
	suite_add_tcase(suite, tc);
	return suite;
}
