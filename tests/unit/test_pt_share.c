/* Share: the KPTI mirror.  Who sees what, who frees what, and what stays when something goes. */
#include "tests/unit/tree.h"

#define RW  PT_WRITE
#define RX  PT_EXEC
#define RXU (PT_EXEC | PT_USER)
#define END                                                                                        \
	{                                                                                          \
		.len = 0                                                                           \
	}

#define ENTRY  UINT64_C(0xffffffffc0000000)
#define DIRECT UINT64_C(0xffff888000000000)

/* Two trees in one memory. */
struct pair {
	struct fixture fix;
	struct pt *from, to;
};

static void pair_init(struct pair *pair, unsigned levels)
{
	fixture_init(&pair->fix, levels, 64);
	pair->from = &pair->fix.pt;
	want(pt_init(&pair->to, geometry(levels), arena_memory(&pair->fix.arena)), PT_OK);
}

static void pair_done(struct pair *pair)
{
	tree_sane(&pair->to);
	pt_destroy(&pair->to);
	fixture_done(&pair->fix);
}

START_TEST(share_the_entry_area)
{
	struct pair pair;
	struct pt_change change;
	struct pt_counts counts;

	pair_init(&pair, (unsigned)_i);
	want(pt_map(pair.from, DIRECT, 0, GIB, RW, NULL), PT_OK);
	want(pt_map(pair.from, ENTRY, 0x5000, 0x2000, RX, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, ENTRY, GIB, 0, &change), PT_OK);
	no_flush(&change);
	tree_is(&pair.to, (struct pt_run[]){{ENTRY, 0x5000, 0x2000, RX, true, {2, 0, 0}}, END});
	/* One entry at the 1 GiB level; the tables above are its own. */
	want(pt_count(&pair.to, 0, UINT64_MAX, &counts), PT_OK);
	ck_assert_uint_eq(counts.shared, 1);
	ck_assert_uint_eq(tree_sane(&pair.to), (unsigned)_i - 2);
	ck_assert_uint_eq(*tree_slot(&pair.to, ENTRY, 3) & 0x000ffffffffff000,
	                  *tree_slot(pair.from, ENTRY, 3) & 0x000ffffffffff000);
	/* What happens below is seen at once. */
	want(pt_map(pair.from, ENTRY + 8 * MIB, 0x9000, 0x1000, RW, NULL), PT_OK);
	want(pt_protect(pair.from, ENTRY, 0x1000, RW, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){{ENTRY, 0x5000, 0x1000, RW, true, {1, 0, 0}},
	                                    {ENTRY + 0x1000, 0x6000, 0x1000, RX, true, {1, 0, 0}},
	                                    {ENTRY + 8 * MIB, 0x9000, 0x1000, RW, true, {1, 0, 0}},
	                                    END});
	pair_done(&pair);
}
END_TEST

START_TEST(shared_tables_outlive_their_contents)
{
	struct pair pair;

	pair_init(&pair, (unsigned)_i);
	want(pt_map(pair.from, ENTRY, 0x5000, 0x2000, RX, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, ENTRY, GIB, 0, NULL), PT_OK);
	/* Everything goes, but not the table that `to` points to. */
	want(pt_unmap(pair.from, ENTRY, GIB, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){END});
	ck_assert_uint_eq(tree_sane(pair.from), (unsigned)_i - 1);
	want(pt_map(pair.from, ENTRY, 0x7000, 0x1000, RW, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){{ENTRY, 0x7000, 0x1000, RW, true, {1, 0, 0}}, END});
	/* Nor does a large leaf take its place. */
	want(pt_map(pair.from, ENTRY, 0, GIB, RX | PT_REPLACE, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){{ENTRY, 0, GIB, RX, true, {0, 512, 0}}, END});
	pair_done(&pair);
}
END_TEST

START_TEST(kept_tables_below_a_large_leaf)
{
	struct pair pair;

	/* Shared at the 2 MiB level, replaced at the 1 GiB level. */
	pair_init(&pair, 4);
	want(pt_map(pair.from, 2 * MIB, 0x5000, 0x2000, RX, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, 2 * MIB, 2 * MIB, 0, NULL), PT_OK);
	want(pt_map(pair.from, 0, 0, GIB, RX | PT_REPLACE, NULL), PT_OK);
	tree_is(pair.from, (struct pt_run[]){{0, 0, GIB, RX, false, {512, 511, 0}}, END});
	tree_is(&pair.to,
	        (struct pt_run[]){{2 * MIB, 2 * MIB, 2 * MIB, RX, true, {512, 0, 0}}, END});
	/* And `to` replaces nothing that holds another's table. */
	want(pt_map(&pair.to, 4 * MIB, 0, 0x1000, RX, NULL), PT_OK);
	want(pt_map(&pair.to, 0, 0, GIB, RX | PT_REPLACE, NULL), PT_ESHARED);
	pair_done(&pair);
}
END_TEST

START_TEST(share_top_level_no_execute)
{
	struct pair pair;
	unsigned levels = (unsigned)_i;
	uint64_t half = UINT64_C(1) << (2 + 9 * (levels + 1));
	struct pt_counts counts;
	struct pt_change change;

	pair_init(&pair, levels);
	want(pt_map(pair.from, 0x400000, 0x1000, 0x3000, RXU, NULL), PT_OK);
	want(pt_map(pair.from, half - 0x2000, 0x8000, 0x2000, RW | PT_USER, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, 0, half, PT_SHARE_NX, &change), PT_OK);
	no_flush(&change);
	tree_is(pair.from,
	        (struct pt_run[]){{0x400000, 0x1000, 0x3000, RXU, false, {3, 0, 0}},
	                          {half - 0x2000, 0x8000, 0x2000, RW | PT_USER, false, {2, 0, 0}},
	                          END});
	tree_is(&pair.to,
	        (struct pt_run[]){{0x400000, 0x1000, 0x3000, PT_USER, true, {3, 0, 0}},
	                          {half - 0x2000, 0x8000, 0x2000, RW | PT_USER, true, {2, 0, 0}},
	                          END});
	want(pt_count(&pair.to, 0, UINT64_MAX, &counts), PT_OK);
	ck_assert_uint_eq(counts.shared, 2);
	ck_assert_uint_eq(tree_sane(&pair.to), 1);
	/* The same again: nothing to do, and no memory needed. */
	arena_fail_at(&pair.fix.arena, 1);
	*tree_slot(&pair.to, 0, levels) |= 0x20;
	want(pt_share(&pair.to, pair.from, 0, half, PT_SHARE_NX, &change), PT_OK);
	no_flush(&change);
	ck_assert(*tree_slot(&pair.to, 0, levels) & 0x20);
	/* Without NX this time: rights grow, in a table whose contents are another's. */
	want(pt_share(&pair.to, pair.from, 0, half, 0, &change), PT_OK);
	ck_assert(change.flush);
	ck_assert(change.flush_global);
	ck_assert_uint_eq(change.flush_start, 0);
	ck_assert_uint_eq(change.flush_end, half);
	ck_assert_uint_eq(change.flush_pages, 2 * (half / 256 / 4096));
	pair_done(&pair);
}
END_TEST

START_TEST(share_again_brings_up_to_date)
{
	struct pair pair;
	unsigned levels = (unsigned)_i;
	uint64_t slot = UINT64_C(1) << (3 + 9 * levels);
	struct pt_change change;
	struct pt empty;

	pair_init(&pair, levels);
	want(pt_init(&empty, geometry(levels), arena_memory(&pair.fix.arena)), PT_OK);
	want(pt_share(&pair.to, pair.from, 0, 4 * slot, 0, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){END});
	want(pt_map(pair.from, slot, 0, 0x1000, RW, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){END});
	want(pt_share(&pair.to, pair.from, 0, 4 * slot, 0, &change), PT_OK);
	no_flush(&change);
	tree_is(&pair.to, (struct pt_run[]){{slot, 0, 0x1000, RW, true, {1, 0, 0}}, END});
	/* A reserved slot needs no second call. */
	want(pt_reserve(pair.from, 2 * slot, 0x1000, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, 0, 4 * slot, 0, NULL), PT_OK);
	want(pt_map(pair.from, 2 * slot, 0, 0x1000, RX, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){{slot, 0, 0x1000, RW, true, {1, 0, 0}},
	                                    {2 * slot, 0, 0x1000, RX, true, {1, 0, 0}},
	                                    END});
	/* From a tree that has nothing there: let go, and `from` is untouched. */
	want(pt_share(&pair.to, &empty, 0, 4 * slot, 0, &change), PT_OK);
	flush_is(&change, slot, 3 * slot, 2 * slot / 4096, true, false);
	tree_is(&pair.to, (struct pt_run[]){END});
	tree_is(pair.from, (struct pt_run[]){{slot, 0, 0x1000, RW, false, {1, 0, 0}},
	                                     {2 * slot, 0, 0x1000, RX, false, {1, 0, 0}},
	                                     END});
	pt_destroy(&empty);
	pair_done(&pair);
}
END_TEST

START_TEST(share_clears_and_writes_in_one_table)
{
	struct pair pair;
	struct pt other;
	struct pt_change change;

	/* The only shared entry of a table goes while another comes: the table must survive. */
	pair_init(&pair, (unsigned)_i);
	want(pt_init(&other, geometry((unsigned)_i), arena_memory(&pair.fix.arena)), PT_OK);
	want(pt_map(pair.from, 0, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&other, 2 * GIB, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, 0, 4 * GIB, 0, NULL), PT_OK);
	arena_fail_at(&pair.fix.arena, 1);
	want(pt_share(&pair.to, &other, 0, 4 * GIB, 0, &change), PT_OK);
	flush_is(&change, 0, GIB, GIB / 4096, true, false);
	tree_is(&pair.to, (struct pt_run[]){{2 * GIB, 0, 0x1000, RW, true, {1, 0, 0}}, END});
	arena_fail_at(&pair.fix.arena, 0);
	/* And when all goes, the tables above go too. */
	want(pt_share(&pair.to, pair.from, 2 * GIB, 2 * GIB, 0, &change), PT_OK);
	ck_assert_uint_eq(tree_sane(&pair.to), 1);
	tree_sane(&pair.to);
	pt_destroy(&pair.to);
	want(pt_init(&pair.to, geometry((unsigned)_i), arena_memory(&pair.fix.arena)), PT_OK);
	pt_destroy(&other);
	pair_done(&pair);
}
END_TEST

START_TEST(share_mixed_levels)
{
	struct pair pair;
	struct pt_counts counts;
	uint64_t va = GIB - 2 * MIB;

	/* 2 MiB, then two of 1 GiB, then 4 MiB. */
	pair_init(&pair, (unsigned)_i);
	want(pt_map(pair.from, va, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_map(pair.from, GIB + 0x5000, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_map(pair.from, 2 * GIB + 0x5000, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_map(pair.from, 3 * GIB + 0x5000, 0, 4 * MIB, RW, NULL), PT_OK);
	arena_fail_at(&pair.fix.arena, 0);
	want(pt_share(&pair.to, pair.from, va, 2 * GIB + 6 * MIB, 0, NULL), PT_OK);
	want(pt_count(&pair.to, 0, UINT64_MAX, &counts), PT_OK);
	ck_assert_uint_eq(counts.shared, 1 + 2 + 2);
	ck_assert_uint_eq(counts.leaves[0], 3 + 1024 - 5);
	/* Exactly as many tables as needed: two directories and those above. */
	ck_assert_uint_eq(pair.fix.arena.calls, (unsigned)_i - 3 + 2);
	ck_assert_uint_eq(tree_sane(&pair.to), (unsigned)_i - 3 + 2 + 1);
	pair_done(&pair);
}
END_TEST

START_TEST(share_clears_beside_nothing)
{
	struct pair pair;
	struct pt empty;
	struct pt_change change;

	/* Of the two pieces of the range one was never there. */
	pair_init(&pair, (unsigned)_i);
	want(pt_init(&empty, geometry((unsigned)_i), arena_memory(&pair.fix.arena)), PT_OK);
	want(pt_map(pair.from, GIB, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, GIB - 2 * MIB, GIB + 2 * MIB, 0, NULL), PT_OK);
	ck_assert_uint_eq(tree_sane(&pair.to), (unsigned)_i - 2);
	want(pt_share(&pair.to, &empty, GIB - 2 * MIB, GIB + 2 * MIB, 0, &change), PT_OK);
	flush_is(&change, GIB, 2 * GIB, GIB / 4096, true, false);
	ck_assert_uint_eq(tree_sane(&pair.to), 1);
	pt_destroy(&empty);
	pair_done(&pair);
}
END_TEST

START_TEST(share_copies_large_leaves)
{
	struct pair pair;
	struct pt_change change;

	pair_init(&pair, (unsigned)_i);
	want(pt_map(pair.from, 0, GIB, 2 * GIB, RW | PT_PAT(5), NULL), PT_OK);
	*tree_slot(pair.from, 0, 3) |= 0x60;
	/* A whole one, and a piece of one. */
	want(pt_share(&pair.to, pair.from, GIB - 4 * MIB, GIB + 4 * MIB, 0, &change), PT_OK);
	tree_is(
	    &pair.to,
	    (struct pt_run[]){
	        {GIB - 4 * MIB, 2 * GIB - 4 * MIB, GIB + 4 * MIB, RW | PT_PAT(5), true, {0, 2, 1}},
	        END});
	/* Accessed and dirty are each tree's own. */
	ck_assert_uint_eq(*tree_slot(&pair.to, GIB - 4 * MIB, 2) & 0x60, 0);
	/* Copies do not follow by themselves; sharing again does it. */
	want(pt_protect(pair.from, 0, 2 * GIB, RX | PT_PAT(5), NULL), PT_OK);
	want(pt_unmap(pair.from, GIB - 2 * MIB, 2 * MIB, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, GIB - 4 * MIB, GIB + 4 * MIB, 0, &change), PT_OK);
	flush_is(&change, GIB - 4 * MIB, 2 * GIB, 3, false, false);
	tree_is(&pair.to,
	        (struct pt_run[]){
	            {GIB - 4 * MIB, 2 * GIB - 4 * MIB, 2 * MIB, RX | PT_PAT(5), true, {0, 1, 0}},
	            {GIB, 2 * GIB, GIB, RX | PT_PAT(5), true, {0, 0, 1}},
	            END});
	/* Unmapping lets go of whole copies only. */
	want(pt_unmap(&pair.to, GIB + 4 * MIB, 2 * MIB, &change), PT_ESHARED);
	fail_is(&change, GIB + 4 * MIB, 3);
	want(pt_unmap(&pair.to, GIB, GIB, &change), PT_OK);
	flush_is(&change, GIB, 2 * GIB, 1, false, false);
	pair_done(&pair);
}
END_TEST

START_TEST(shared_entries_are_not_changed)
{
	struct pair pair;
	struct pt_change change;
	struct arena_copy copy;

	pair_init(&pair, (unsigned)_i);
	want(pt_map(pair.from, 0, 0, 0x2000, RW, NULL), PT_OK);
	want(pt_map(pair.from, 2 * GIB, 0, GIB, RW, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, 0, GIB, 0, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, 2 * GIB, GIB, 0, NULL), PT_OK);
	copy = arena_copy(&pair.fix.arena);
	want(pt_map(&pair.to, 0x5000, 0, 0x1000, 0, &change), PT_ESHARED);
	fail_is(&change, 0x5000, 3);
	want(pt_map(&pair.to, 0, 0, GIB, PT_REPLACE, &change), PT_ESHARED);
	fail_is(&change, 0, 3);
	want(pt_map(&pair.to, 2 * GIB, 0, GIB, PT_REPLACE, &change), PT_ESHARED);
	fail_is(&change, 2 * GIB, 3);
	want(pt_map(&pair.to, GIB, 0, 2 * GIB, PT_REPLACE, &change), PT_ESHARED);
	fail_is(&change, 2 * GIB, 3);
	want(pt_unmap(&pair.to, 0, 0x1000, &change), PT_ESHARED);
	fail_is(&change, 0, 3);
	want(pt_unmap(&pair.to, 0x1000, GIB, &change), PT_ESHARED);
	fail_is(&change, 0x1000, 3);
	want(pt_unmap(&pair.to, 0, 2 * GIB + 2 * MIB, &change), PT_ESHARED);
	fail_is(&change, 2 * GIB, 3);
	want(pt_protect(&pair.to, 0, 0x1000, RX, &change), PT_ESHARED);
	fail_is(&change, 0, 3);
	want(pt_protect(&pair.to, 2 * GIB, GIB, RX, &change), PT_ESHARED);
	fail_is(&change, 2 * GIB, 3);
	want(pt_share(&pair.to, pair.from, 2 * MIB, 2 * MIB, 0, &change), PT_ESHARED);
	fail_is(&change, 2 * MIB, 3);
	arena_same(&pair.fix.arena, &copy);
	/* A large leaf of its own beside a shared one, protected together. */
	want(pt_map(&pair.to, GIB, GIB, GIB, RW, NULL), PT_OK);
	want(pt_protect(&pair.to, GIB, 2 * GIB, RX, &change), PT_ESHARED);
	fail_is(&change, 2 * GIB, 3);
	/* Letting go leaves the other tree as it was. */
	want(pt_unmap(&pair.to, 0, 4 * GIB, &change), PT_OK);
	flush_is(&change, 0, 3 * GIB, GIB / 4096 + 2, true, false);
	ck_assert_uint_eq(tree_sane(&pair.to), 1);
	tree_is(pair.from, (struct pt_run[]){{0, 0, 0x2000, RW, false, {2, 0, 0}},
	                                     {2 * GIB, 0, GIB, RW, false, {0, 0, 1}},
	                                     END});
	pair_done(&pair);
}
END_TEST

START_TEST(share_onto_own_mappings)
{
	struct pair pair;
	struct pt_change change;
	struct arena_copy copy;

	pair_init(&pair, (unsigned)_i);
	want(pt_map(pair.from, 0, 0, 4 * GIB, RW, NULL), PT_OK);
	want(pt_map(&pair.to, GIB + 0x5000, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&pair.to, 3 * GIB, 0, GIB, RW, NULL), PT_OK);
	copy = arena_copy(&pair.fix.arena);
	want(pt_share(&pair.to, pair.from, 0, 2 * GIB, 0, &change), PT_EEXIST);
	fail_is(&change, GIB, 3);
	want(pt_share(&pair.to, pair.from, GIB, 2 * MIB, 0, &change), PT_EEXIST);
	fail_is(&change, GIB, 2);
	want(pt_share(&pair.to, pair.from, 3 * GIB + 2 * MIB, 2 * MIB, 0, &change), PT_EEXIST);
	fail_is(&change, 3 * GIB + 2 * MIB, 3);
	want(pt_share(&pair.to, pair.from, 3 * GIB, GIB, 0, &change), PT_EEXIST);
	fail_is(&change, 3 * GIB, 3);
	/* A tree with itself. */
	want(pt_share(pair.from, pair.from, 0, 2 * GIB, 0, &change), PT_EEXIST);
	arena_same(&pair.fix.arena, &copy);
	pair_done(&pair);
}
END_TEST

START_TEST(share_bad_arguments)
{
	struct pair pair;
	struct pt five;
	struct pt_change change;

	pair_init(&pair, 4);
	want(pt_init(&five, geometry(5), arena_memory(&pair.fix.arena)), PT_OK);
	want(pt_share(&pair.to, pair.from, 0x1000, 2 * MIB, 0, &change), PT_EALIGN);
	fail_is(&change, 0x1000, 0);
	want(pt_share(&pair.to, pair.from, 0, MIB, 0, NULL), PT_EALIGN);
	want(pt_share(&pair.to, pair.from, 0, 0, 0, NULL), PT_EALIGN);
	want(pt_share(&pair.to, pair.from, 0, UINT64_C(1) << 48, 0, NULL), PT_ECANONICAL);
	want(pt_share(&pair.to, pair.from, 0, 2 * MIB, 2, &change), PT_ERIGHTS);
	fail_is(&change, 0, 0);
	want(pt_share(&pair.to, &five, 0, 2 * MIB, 0, NULL), PT_ERIGHTS);
	want(pt_share(&five, &pair.to, 0, 2 * MIB, 0, NULL), PT_ERIGHTS);
	pair.to.geo.nx = false;
	want(pt_share(&pair.to, pair.from, 0, 2 * MIB, PT_SHARE_NX, NULL), PT_ERIGHTS);
	pt_destroy(&five);
	pair_done(&pair);
}
END_TEST

START_TEST(share_keeps_what_tables_above_deny)
{
	struct pair pair;

	/* Such entries come from other code; the mirror must not be wider than the original. */
	pair_init(&pair, 4);
	want(pt_map(pair.from, 0, 0, 0x1000, PT_WRITE | PT_EXEC | PT_USER, NULL), PT_OK);
	want(pt_map(pair.from, 2 * GIB, 0, GIB, PT_WRITE | PT_EXEC | PT_USER, NULL), PT_OK);
	*tree_slot(pair.from, 0, 4) &= ~UINT64_C(6);
	*tree_slot(pair.from, 0, 4) |= UINT64_C(1) << 63;
	want(pt_share(&pair.to, pair.from, 0, 4 * GIB, 0, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){{0, 0, 0x1000, 0, true, {1, 0, 0}},
	                                    {2 * GIB, 0, GIB, 0, true, {0, 0, 1}},
	                                    END});
	*tree_slot(pair.from, 0, 4) ^= (UINT64_C(1) << 63) | 2;
	want(pt_share(&pair.to, pair.from, 0, 4 * GIB, 0, NULL), PT_OK);
	tree_is(&pair.to, (struct pt_run[]){{0, 0, 0x1000, PT_WRITE | PT_EXEC, true, {1, 0, 0}},
	                                    {2 * GIB, 0, GIB, PT_WRITE | PT_EXEC, true, {0, 0, 1}},
	                                    END});
	pair_done(&pair);
}
END_TEST

START_TEST(share_from_a_sharing_tree)
{
	struct pair pair;
	struct pt third;

	/* from -> to -> third: the owner keeps the table as long as it lives. */
	pair_init(&pair, (unsigned)_i);
	want(pt_init(&third, geometry((unsigned)_i), arena_memory(&pair.fix.arena)), PT_OK);
	want(pt_map(pair.from, ENTRY, 0, 0x1000, RX, NULL), PT_OK);
	want(pt_share(&pair.to, pair.from, 0 - 512 * GIB, 512 * GIB, PT_SHARE_NX, NULL), PT_OK);
	want(pt_share(&third, &pair.to, ENTRY, 2 * MIB, 0, NULL), PT_OK);
	tree_is(&third, (struct pt_run[]){{ENTRY, 0, 0x1000, 0, true, {1, 0, 0}}, END});
	want(pt_unmap(pair.from, ENTRY, 0x1000, NULL), PT_OK);
	want(pt_map(pair.from, ENTRY + 0x1000, 0, 0x1000, RW, NULL), PT_OK);
	tree_is(&third, (struct pt_run[]){{ENTRY + 0x1000, 0, 0x1000, RW, true, {1, 0, 0}}, END});
	pt_destroy(&third);
	pair_done(&pair);
}
END_TEST

START_TEST(share_of_corrupt_trees)
{
	for (unsigned level = 2; level <= 4; level++) {
		struct pair pair;
		struct pt_change change;
		struct arena_copy copy;
		uint64_t good;

		pair_init(&pair, 4);
		want(pt_map(pair.from, 0, 0, 0x1000, RW, NULL), PT_OK);
		good = *tree_slot(pair.from, 0, level);
		*tree_slot(pair.from, 0, level) = UINT64_C(0x3ffff0000007);
		copy = arena_copy(&pair.fix.arena);
		/* An entry that is copied is not followed; one above is. */
		if (level > 2)
			want(pt_share(&pair.to, pair.from, 0, 2 * MIB, 0, &change), PT_ECORRUPT);
		if (level == 4) { /* PS there is reserved, whether met on the way or copied */
			*tree_slot(pair.from, 0, level) |= 0x80;
			want(pt_share(&pair.to, pair.from, 0, 2 * MIB, 0, &change), PT_ECORRUPT);
			fail_is(&change, 0, 4);
			want(pt_share(&pair.to, pair.from, 0, 512 * GIB, 0, &change), PT_ECORRUPT);
			fail_is(&change, 0, 4);
			*tree_slot(pair.from, 0, level) &= ~UINT64_C(0x80);
		}
		arena_same(&pair.fix.arena, &copy);
		*tree_slot(pair.from, 0, level) = good;
		/* The same in the tree that is to be changed. */
		want(pt_map(&pair.to, GIB, 0, 0x1000, RW, NULL), PT_OK);
		good = *tree_slot(&pair.to, GIB, level);
		*tree_slot(&pair.to, GIB, level) = UINT64_C(0x3ffff0000007);
		want(pt_share(&pair.to, pair.from, GIB, 2 * MIB, 0, &change),
		     level > 2 ? PT_ECORRUPT : PT_EEXIST);
		fail_is(&change, GIB, level);
		*tree_slot(&pair.to, GIB, level) = good;
		pair_done(&pair);
	}
}
END_TEST

Suite *suite_pt_share(void)
{
	Suite *suite = suite_create("pt_share");
	TCase *tc = tcase_create("share");

	tcase_add_loop_test(tc, share_the_entry_area, 4, 6);
	tcase_add_loop_test(tc, shared_tables_outlive_their_contents, 4, 6);
	tcase_add_test(tc, kept_tables_below_a_large_leaf);
	tcase_add_loop_test(tc, share_top_level_no_execute, 4, 6);
	tcase_add_loop_test(tc, share_again_brings_up_to_date, 4, 6);
	tcase_add_loop_test(tc, share_clears_and_writes_in_one_table, 4, 6);
	tcase_add_loop_test(tc, share_mixed_levels, 4, 6);
	tcase_add_loop_test(tc, share_clears_beside_nothing, 4, 6);
	tcase_add_loop_test(tc, share_copies_large_leaves, 4, 6);
	tcase_add_loop_test(tc, shared_entries_are_not_changed, 4, 6);
	tcase_add_loop_test(tc, share_onto_own_mappings, 4, 6);
	tcase_add_test(tc, share_bad_arguments);
	tcase_add_test(tc, share_keeps_what_tables_above_deny);
	tcase_add_loop_test(tc, share_from_a_sharing_tree, 4, 6);
	tcase_add_test(tc, share_of_corrupt_trees);
	suite_add_tcase(suite, tc);
	return suite;
}
