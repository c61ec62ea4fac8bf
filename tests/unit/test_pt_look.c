/* Walk, each, diff, count, audit, CR3: looking without changing. */
#include "tests/unit/tree.h"

#include <string.h>

#define RW  PT_WRITE
#define RX  PT_EXEC
#define RWU (PT_WRITE | PT_USER)
#define END                                                                                        \
	{                                                                                          \
		.len = 0                                                                           \
	}

#define NX (UINT64_C(1) << 63)

/* ---- Walk --------------------------------------------------------------------------------- */

static struct pt_ram flat(uint64_t size)
{
	return (struct pt_ram){{{0, size}}};
}

START_TEST(walk_tells_every_step)
{
	struct fixture fix;
	struct pt_walk walk;
	unsigned levels = (unsigned)_i;
	uint64_t va = UINT64_C(0x7f8040604123);

	fixture_init(&fix, levels, 16);
	want(pt_map(&fix.pt, va & ~UINT64_C(0xfff), 0x9000, 4096, RWU | PT_PAT(6), NULL), PT_OK);
	pt_walk(&fix.pt, va, &walk);
	ck_assert_uint_eq(walk.steps, levels);
	ck_assert(walk.mapped);
	ck_assert(!walk.corrupt);
	ck_assert(!walk.reserved);
	ck_assert_uint_eq(walk.pa, 0x9123);
	ck_assert_uint_eq(walk.page_size, 4096);
	ck_assert_uint_eq(walk.rights, RWU | PT_PAT(6));
	for (unsigned i = 0; i < levels; i++) {
		/* Indices from the top: 0 (with 5 levels), 255, 1, 3, 4. */
		static const unsigned index[] = {0, 255, 1, 3, 4};
		const struct pt_step *step = &walk.step[i];
		unsigned level = levels - i;

		ck_assert_uint_eq(step->level, level);
		ck_assert_uint_eq(step->index, index[5 - level]);
		ck_assert_uint_eq(step->entry, *tree_slot(&fix.pt, va, level));
		ck_assert_uint_eq(step->table,
		                  i ? walk.step[i - 1].entry & 0x000ffffffffff000 : fix.pt.root);
		ck_assert(step->write);
		ck_assert(step->user);
		ck_assert_int_eq(step->exec, level > 1);
	}
	fixture_done(&fix);
}
END_TEST

START_TEST(walk_of_each_size)
{
	struct fixture fix;
	struct pt_walk walk;
	unsigned levels = (unsigned)_i;

	fixture_init(&fix, levels, 16);
	fix.pt.geo.pku = true;
	want(pt_map(&fix.pt, GIB, 5 * GIB, GIB, RX | PT_PAT(4) | PT_PKEY(9), NULL), PT_OK);
	want(pt_map(&fix.pt, 6 * MIB, 8 * MIB, 2 * MIB, RW | PT_PAT(7), NULL), PT_OK);
	pt_walk(&fix.pt, GIB + 0x12345678, &walk);
	ck_assert_uint_eq(walk.pa, 5 * GIB + 0x12345678);
	ck_assert_uint_eq(walk.page_size, GIB);
	ck_assert_uint_eq(walk.rights, RX | PT_PAT(4) | PT_PKEY(9));
	ck_assert_uint_eq(walk.steps, levels - 2);
	pt_walk(&fix.pt, 8 * MIB - 1, &walk);
	ck_assert_uint_eq(walk.pa, 10 * MIB - 1);
	ck_assert_uint_eq(walk.page_size, 2 * MIB);
	ck_assert_uint_eq(walk.rights, RW | PT_PAT(7));
	ck_assert_uint_eq(walk.steps, levels - 1);
	/* Without keys their bits mean nothing. */
	fix.pt.geo.pku = false;
	pt_walk(&fix.pt, GIB, &walk);
	ck_assert_uint_eq(walk.rights, RX | PT_PAT(4));
	/* Not mapped: the steps that were taken. */
	pt_walk(&fix.pt, 8 * MIB, &walk);
	ck_assert(!walk.mapped);
	ck_assert_uint_eq(walk.steps, levels - 1);
	ck_assert_uint_eq(walk.pa, 0);
	ck_assert_uint_eq(walk.page_size, 0);
	ck_assert_uint_eq(walk.rights, 0);
	pt_walk(&fix.pt, 0 - UINT64_C(1), &walk);
	ck_assert(!walk.mapped);
	ck_assert_uint_eq(walk.steps, 1);
	fixture_done(&fix);
}
END_TEST

START_TEST(walk_not_canonical)
{
	struct fixture fix;
	struct pt_walk walk;
	unsigned levels = (unsigned)_i, bit = levels == 5 ? 56 : 47;

	fixture_init(&fix, levels, 16);
	for (unsigned i = bit; i < 64; i++) {
		pt_walk(&fix.pt, UINT64_C(1) << i, &walk);
		ck_assert_uint_eq(walk.steps, 0);
		ck_assert(!walk.mapped);
		pt_walk(&fix.pt, ~(UINT64_C(1) << i), &walk);
		ck_assert_uint_eq(walk.steps, 0);
	}
	pt_walk(&fix.pt, (UINT64_C(1) << bit) - 1, &walk);
	ck_assert_uint_eq(walk.steps, 1);
	pt_walk(&fix.pt, 0 - (UINT64_C(1) << bit), &walk);
	ck_assert_uint_eq(walk.steps, 1);
	ck_assert_uint_eq(walk.step[0].index, 256);
	fixture_done(&fix);
}
END_TEST

START_TEST(walk_of_corrupt_trees)
{
	unsigned levels = (unsigned)_i;

	for (unsigned level = 2; level <= levels; level++) {
		struct fixture fix;
		struct pt_walk walk;
		struct pt_verdict verdict;
		uint64_t good;

		fixture_init(&fix, levels, 16);
		want(pt_map(&fix.pt, 0, 0, 4096, RW, NULL), PT_OK);
		good = *tree_slot(&fix.pt, 0, level);
		*tree_slot(&fix.pt, 0, level) = UINT64_C(0x3ffff0000003);
		pt_walk(&fix.pt, 0, &walk);
		ck_assert(walk.corrupt);
		ck_assert(!walk.mapped);
		ck_assert_uint_eq(walk.steps, levels - level + 1);
		pt_explain(&fix.pt, 0, (struct pt_access){.kind = PT_READ}, &verdict);
		ck_assert_int_eq(verdict.reason, PT_BROKEN);
		ck_assert_uint_eq(verdict.level, level);
		ck_assert_uint_eq(verdict.vector, 0);
		*tree_slot(&fix.pt, 0, level) = good;
		fixture_done(&fix);
	}
}
END_TEST

START_TEST(root_outside_memory)
{
	struct fixture fix;
	struct pt pt;
	struct pt_walk walk;
	struct pt_verdict verdict;
	struct pt_counts counts;

	fixture_init(&fix, 4, 16);
	pt = pt_attach(fix.pt.geo, fix.pt.mem, UINT64_C(0x3ffff0000000));
	pt_walk(&pt, 0, &walk);
	ck_assert(walk.corrupt);
	ck_assert_uint_eq(walk.steps, 0);
	pt_explain(&pt, 0, (struct pt_access){.kind = PT_READ}, &verdict);
	ck_assert_int_eq(verdict.reason, PT_BROKEN);
	ck_assert_uint_eq(verdict.level, 0);
	want(pt_count(&pt, 0, UINT64_MAX, &counts), PT_ECORRUPT);
	ck_assert_uint_eq(counts.tables[4], 0);
	ck_assert_uint_eq(pt_audit(&pt, flat(UINT64_MAX), NULL, NULL), PT_RULE_OUTSIDE);
	want(pt_share(&fix.pt, &pt, 0, 2 * MIB, 0, NULL), PT_ECORRUPT);
	want(pt_unmap(&pt, 0, 2 * MIB, NULL), PT_ECORRUPT);
	pt_destroy(&pt);
	fixture_done(&fix);
}
END_TEST

/* ---- Each --------------------------------------------------------------------------------- */

START_TEST(each_joins_neighbours)
{
	struct fixture fix;
	uint64_t half = UINT64_C(1) << (2 + 9 * ((unsigned)_i + 1));

	fixture_init(&fix, (unsigned)_i, 64);
	/* Across sizes and tables; not across a jump, other rights, or the hole. */
	want(pt_map(&fix.pt, 2 * MIB - 0x1000, 4 * MIB - 0x1000, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 2 * MIB, 4 * MIB, 2 * MIB + 0x1000, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 4 * MIB + 0x1000, 6 * MIB + 0x1000, 0x1000, RW | PT_PAT(1), NULL),
	     PT_OK);
	want(pt_map(&fix.pt, 4 * MIB + 0x2000, 6 * MIB + 0x3000, 0x1000, RW | PT_PAT(1), NULL),
	     PT_OK);
	want(pt_map(&fix.pt, 4 * MIB + 0x4000, 6 * MIB + 0x5000, 0x1000, RW | PT_PAT(1), NULL),
	     PT_OK);
	want(pt_map(&fix.pt, half - 0x1000, 0x1000, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 0 - half, 0x2000, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 0 - 2 * GIB, 4 * GIB, GIB, RX, NULL), PT_OK);
	want(pt_map(&fix.pt, 0 - GIB, 5 * GIB, GIB, RX | PT_MAX_2M, NULL), PT_OK);
	tree_is(&fix.pt,
	        (struct pt_run[]){
	            {2 * MIB - 0x1000, 4 * MIB - 0x1000, 2 * MIB + 0x2000, RW, false, {2, 1, 0}},
	            {4 * MIB + 0x1000, 6 * MIB + 0x1000, 0x1000, RW | PT_PAT(1), false, {1, 0, 0}},
	            {4 * MIB + 0x2000, 6 * MIB + 0x3000, 0x1000, RW | PT_PAT(1), false, {1, 0, 0}},
	            {4 * MIB + 0x4000, 6 * MIB + 0x5000, 0x1000, RW | PT_PAT(1), false, {1, 0, 0}},
	            {half - 0x1000, 0x1000, 0x1000, RW, false, {1, 0, 0}},
	            {0 - half, 0x2000, 0x1000, RW, false, {1, 0, 0}},
	            {0 - 2 * GIB, 4 * GIB, 2 * GIB, RX, false, {0, 512, 1}},
	            END});
	fixture_done(&fix);
}
END_TEST

START_TEST(each_of_a_part)
{
	struct fixture fix;
	uint64_t half = UINT64_C(1) << (2 + 9 * ((unsigned)_i + 1));

	fixture_init(&fix, (unsigned)_i, 64);
	want(pt_map(&fix.pt, GIB, 0, GIB, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 2 * GIB, GIB, 0x2000, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 0 - half, 0, 0x1000, RX, NULL), PT_OK);
	/* Cut to whole pages, whatever the ends. */
	tree_part_is(
	    &fix.pt, GIB + 0x5678, 2 * GIB + 0x0fff,
	    (struct pt_run[]){{GIB + 0x5000, 0x5000, GIB - 0x4000, RW, false, {1, 0, 1}}, END});
	tree_part_is(&fix.pt, GIB + 0x5678, GIB + 0x5678,
	             (struct pt_run[]){{GIB + 0x5000, 0x5000, 0x1000, RW, false, {0, 0, 1}}, END});
	tree_part_is(
	    &fix.pt, 2 * GIB + 0x1000, 2 * GIB + 0x1000,
	    (struct pt_run[]){{2 * GIB + 0x1000, GIB + 0x1000, 0x1000, RW, false, {1, 0, 0}}, END});
	tree_part_is(&fix.pt, 2 * GIB + 0x2000, half - 1, (struct pt_run[]){END});
	tree_part_is(&fix.pt, 0, GIB - 1, (struct pt_run[]){END});
	/* Ends in the hole, and the wrong way round. */
	tree_part_is(&fix.pt, 2 * GIB + 0x2000, half + 0x10000, (struct pt_run[]){END});
	tree_part_is(&fix.pt, half + 0x10000, UINT64_MAX,
	             (struct pt_run[]){{0 - half, 0, 0x1000, RX, false, {1, 0, 0}}, END});
	tree_part_is(&fix.pt, half + 0x10000, half + 0x20000, (struct pt_run[]){END});
	tree_part_is(&fix.pt, 2 * GIB, GIB, (struct pt_run[]){END});
	tree_part_is(
	    &fix.pt, 2 * GIB + 0x1000, 0 - half,
	    (struct pt_run[]){{2 * GIB + 0x1000, GIB + 0x1000, 0x1000, RW, false, {1, 0, 0}},
	                      {0 - half, 0, 0x1000, RX, false, {1, 0, 0}},
	                      END});
	fixture_done(&fix);
}
END_TEST

static bool stop_at_two(void *ctx, const struct pt_run *run)
{
	unsigned *count = ctx;

	(void)run;
	return ++*count < 2;
}

START_TEST(each_stops_when_told)
{
	struct fixture fix;
	unsigned count = 0;

	fixture_init(&fix, 4, 16);
	for (uint64_t va = 0; va < 0xa000; va += 0x2000)
		want(pt_map(&fix.pt, va, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_each(&fix.pt, 0, UINT64_MAX, stop_at_two, &count), PT_OK);
	ck_assert_uint_eq(count, 2);
	fixture_done(&fix);
}
END_TEST

static bool add_pages(void *ctx, const struct pt_run *run)
{
	*(uint64_t *)ctx += run->len / 4096;
	return true;
}

/* The first bit above the physical addresses is reserved, the last one below them is not. */
START_TEST(walk_reserved_begins_at_maxphyaddr)
{
	struct fixture fix;
	struct pt_walk walk;
	unsigned width;

	fixture_init(&fix, 4, 16);
	width = fix.pt.geo.maxphyaddr;
	want(pt_map(&fix.pt, 0, 0, 0x1000, RW, NULL), PT_OK);
	*tree_slot(&fix.pt, 0, 1) |= UINT64_C(1) << (width - 1);
	pt_walk(&fix.pt, 0, &walk);
	ck_assert(walk.mapped && !walk.reserved);
	*tree_slot(&fix.pt, 0, 1) ^= UINT64_C(3) << (width - 1);
	pt_walk(&fix.pt, 0, &walk);
	ck_assert(!walk.mapped && walk.reserved);
	*tree_slot(&fix.pt, 0, 1) &= ~(UINT64_C(1) << width);
	fixture_done(&fix);
}
END_TEST

START_TEST(each_skips_what_is_broken)
{
	struct fixture fix;
	uint64_t good, pages = 0;

	fixture_init(&fix, 4, 16);
	want(pt_map(&fix.pt, 0, 0, 0x3000, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 4 * MIB, 0, 0x3000, RW, NULL), PT_OK);
	/* A reserved bit maps nothing; so does an entry that is not present but not zero. */
	*tree_slot(&fix.pt, 0x1000, 1) |= UINT64_C(1) << 51;
	*tree_slot(&fix.pt, 0x2000, 1) = 0xdeadbee0;
	tree_is(&fix.pt, (struct pt_run[]){{0, 0, 0x1000, RW, false, {1, 0, 0}},
	                                   {4 * MIB, 0, 0x3000, RW, false, {3, 0, 0}},
	                                   END});
	*tree_slot(&fix.pt, 0x2000, 1) = 0x2001;
	good = *tree_slot(&fix.pt, 0, 2);
	*tree_slot(&fix.pt, 0, 2) = UINT64_C(0x3ffff0000003);
	want(pt_each(&fix.pt, 0, UINT64_MAX, add_pages, &pages), PT_ECORRUPT);
	ck_assert_uint_eq(pages, 3);
	*tree_slot(&fix.pt, 0, 2) = good;
	*tree_slot(&fix.pt, 0, 3) |= UINT64_C(1) << 51;
	tree_is(&fix.pt, (struct pt_run[]){END});
	*tree_slot(&fix.pt, 0, 3) &= ~(UINT64_C(1) << 51);
	fixture_done(&fix);
}
END_TEST

/* ---- Diff --------------------------------------------------------------------------------- */

struct difference {
	struct pt_run a, b; /* len 0: not there */
};

struct differences {
	const struct difference *wanted;
	unsigned count, stop_after;
};

static void run_equal(const char *which, unsigned nth, const struct pt_run *got,
                      const struct pt_run *wanted)
{
	struct pt_run none = {0};

	if (!got)
		got = &none;
	ck_assert_msg(got->va == wanted->va && got->pa == wanted->pa && got->len == wanted->len &&
	                  got->rights == wanted->rights && got->shared == wanted->shared &&
	                  !memcmp(got->leaves, wanted->leaves, sizeof(got->leaves)),
	              "difference %u, %s\n   got 0x%lx -> 0x%lx len 0x%lx 0x%x %lu/%lu/%lu\n"
	              "wanted 0x%lx -> 0x%lx len 0x%lx 0x%x %lu/%lu/%lu",
	              nth, which, got->va, got->pa, got->len, got->rights, got->leaves[0],
	              got->leaves[1], got->leaves[2], wanted->va, wanted->pa, wanted->len,
	              wanted->rights, wanted->leaves[0], wanted->leaves[1], wanted->leaves[2]);
}

static bool difference_each(void *ctx, const struct pt_run *a, const struct pt_run *b)
{
	struct differences *differences = ctx;

	run_equal("a", differences->count, a, &differences->wanted[differences->count].a);
	run_equal("b", differences->count, b, &differences->wanted[differences->count].b);
	return ++differences->count != differences->stop_after;
}

static void diff_is(const struct pt *a, const struct pt *b, const struct difference *wanted,
                    unsigned count)
{
	struct differences differences = {.wanted = wanted};

	want(pt_diff(a, b, difference_each, &differences), PT_OK);
	ck_assert_uint_eq(differences.count, count);
}

START_TEST(diff_lists_every_difference)
{
	static const struct difference wanted[] = {
	    {{0x1000, 0x1000, 0x1000, RW, false, {1, 0, 0}}, {0}},
	    {{0}, {0x5000, 0x5000, 0x1000, RW, false, {1, 0, 0}}},
	    {{0x6000, 0x6000, 0x1000, RW, false, {1, 0, 0}},
	     {0x6000, 0x7000, 0x1000, RW, false, {1, 0, 0}}},
	    {{0x7000, 0x7000, 0x1000, RW, false, {1, 0, 0}},
	     {0x7000, 0x7000, 0x1000, RX, false, {1, 0, 0}}},
	    {{GIB, 0, GIB, RW, false, {0, 0, 1}}, {GIB, 0, GIB, RX, false, {0, 512, 0}}},
	    {{3 * GIB, 0, 0x3000, RW, false, {0, 1, 0}}, {0}},
	    {{3 * GIB + 0x4000, 0x4000, 2 * MIB - 0x4000, RW, false, {0, 1, 0}}, {0}},
	    {{0}, {UINT64_C(0xfffffffffffff000), 0x1000, 0x1000, RX, false, {1, 0, 0}}},
	};
	struct fixture fix;
	struct pt b;
	struct differences differences = {.wanted = wanted, .stop_after = 3};

	fixture_init(&fix, (unsigned)_i, 64);
	want(pt_init(&b, geometry((unsigned)_i), arena_memory(&fix.arena)), PT_OK);
	diff_is(&fix.pt, &b, NULL, 0);
	want(pt_map(&fix.pt, 0x1000, 0x1000, 0x3000, RW, NULL), PT_OK);
	want(pt_map(&b, 0x2000, 0x2000, 0x2000, RW, NULL), PT_OK);
	want(pt_map(&b, 0x5000, 0x5000, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x6000, 0x6000, 0x2000, RW, NULL), PT_OK);
	want(pt_map(&b, 0x6000, 0x7000, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&b, 0x7000, 0x7000, 0x1000, RX, NULL), PT_OK);
	want(pt_map(&fix.pt, GIB, 0, GIB, RW, NULL), PT_OK);
	want(pt_map(&b, GIB, 0, GIB, RX | PT_MAX_2M, NULL), PT_OK);
	/* The same by other leaves is no difference. */
	want(pt_map(&fix.pt, 2 * GIB, 0, 4 * MIB, RW, NULL), PT_OK);
	want(pt_map(&b, 2 * GIB, 0, 4 * MIB, RW | PT_SMALL, NULL), PT_OK);
	/* A page in the middle of a leaf. */
	want(pt_map(&fix.pt, 3 * GIB, 0, 2 * MIB, RW, NULL), PT_OK);
	want(pt_map(&b, 3 * GIB + 0x3000, 0x3000, 0x1000, RW, NULL), PT_OK);
	want(pt_map(&b, UINT64_C(0xfffffffffffff000), 0x1000, 0x1000, RX, NULL), PT_OK);
	diff_is(&fix.pt, &b, wanted, sizeof(wanted) / sizeof(wanted[0]));
	diff_is(&fix.pt, &fix.pt, NULL, 0);
	want(pt_diff(&fix.pt, &b, difference_each, &differences), PT_OK);
	ck_assert_uint_eq(differences.count, 3);
	pt_destroy(&b);
	fixture_done(&fix);
}
END_TEST

START_TEST(diff_of_a_kpti_pair)
{
	static const struct difference wanted[] = {
	    {{0x400000, 0, 0x2000, PT_USER, true, {2, 0, 0}},
	     {0x400000, 0, 0x2000, PT_USER | RX, false, {2, 0, 0}}},
	    {{UINT64_C(0xffff888000000000), 0, GIB, RW, false, {0, 0, 1}}, {0}},
	};
	struct fixture fix;
	struct pt user;

	fixture_init(&fix, (unsigned)_i, 64);
	want(pt_init(&user, geometry((unsigned)_i), arena_memory(&fix.arena)), PT_OK);
	want(pt_map(&fix.pt, UINT64_C(0xffff888000000000), 0, GIB, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 0 - GIB, 0, 0x3000, RX, NULL), PT_OK);
	want(pt_map(&user, 0x400000, 0, 0x2000, PT_USER | RX, NULL), PT_OK);
	want(pt_share(&user, &fix.pt, 0 - GIB, GIB, 0, NULL), PT_OK);
	want(pt_share(&fix.pt, &user, 0, 512 * GIB, PT_SHARE_NX, NULL), PT_OK);
	/* That a part is shared is no difference. */
	diff_is(&fix.pt, &user, wanted, 2);
	want(pt_unmap(&fix.pt, 0, 512 * GIB, NULL), PT_OK);
	pt_destroy(&user);
	fixture_done(&fix);
}
END_TEST

static bool difference_any(void *ctx, const struct pt_run *a, const struct pt_run *b)
{
	(void)a;
	(void)b;
	++*(unsigned *)ctx;
	return true;
}

START_TEST(diff_of_corrupt_trees)
{
	struct fixture fix;
	struct pt b;
	uint64_t good;
	unsigned count = 0;

	fixture_init(&fix, 4, 16);
	want(pt_init(&b, geometry(4), arena_memory(&fix.arena)), PT_OK);
	want(pt_map(&fix.pt, 0, 0, 0x1000, RW, NULL), PT_OK);
	good = *tree_slot(&fix.pt, 0, 3);
	*tree_slot(&fix.pt, 0, 3) = UINT64_C(0x3ffff0000003);
	want(pt_diff(&fix.pt, &b, difference_any, &count), PT_ECORRUPT);
	want(pt_diff(&b, &fix.pt, difference_any, &count), PT_ECORRUPT);
	want(pt_diff(&fix.pt, &fix.pt, difference_any, &count), PT_ECORRUPT);
	ck_assert_uint_eq(count, 0);
	*tree_slot(&fix.pt, 0, 3) = good;
	pt_destroy(&b);
	fixture_done(&fix);
}
END_TEST

/* ---- Count -------------------------------------------------------------------------------- */

static void count_is(const struct pt *pt, uint64_t start, uint64_t end,
                     const struct pt_counts *wanted)
{
	struct pt_counts got;

	want(pt_count(pt, start, end, &got), PT_OK);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_msg(got.tables[i] == wanted->tables[i], "tables[%u]: got %lu, wanted %lu",
		              i, got.tables[i], wanted->tables[i]);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_msg(got.leaves[i] == wanted->leaves[i], "leaves[%u]: got %lu, wanted %lu",
		              i, got.leaves[i], wanted->leaves[i]);
	ck_assert_uint_eq(got.shared, wanted->shared);
	ck_assert_uint_eq(got.pages, wanted->pages);
	ck_assert_uint_eq(got.user_pages, wanted->user_pages);
}

START_TEST(count_everything)
{
	struct fixture fix;
	struct pt other;

	fixture_init(&fix, 4, 64);
	want(pt_init(&other, geometry(4), arena_memory(&fix.arena)), PT_OK);
	count_is(&fix.pt, 0, UINT64_MAX, &(struct pt_counts){.tables[4] = 1});
	want(pt_map(&fix.pt, 0x1000, 0, 2 * MIB, RWU, NULL), PT_OK);
	want(pt_map(&fix.pt, 4 * MIB, 0, 4 * MIB, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, GIB, 0, 2 * GIB, PT_USER, NULL), PT_OK);
	want(pt_reserve(&fix.pt, 512 * GIB, 0x1000, NULL), PT_OK);
	want(pt_map(&other, 0 - GIB, 0, 0x3000, PT_USER, NULL), PT_OK);
	want(pt_share(&fix.pt, &other, 0 - GIB, GIB, 0, NULL), PT_OK);
	count_is(&fix.pt, 0, UINT64_MAX,
	         &(struct pt_counts){
	             .tables = {0, 2, 1, 3, 1},
	             .shared = 1,
	             .leaves = {512 + 3, 2, 2},
	             .pages = 512 + 3 + 1024 + 2 * 262144,
	             .user_pages = 512 + 3 + 2 * 262144,
	         });
	/* A part: tables on the way, and pages inside. */
	count_is(&fix.pt, 4 * MIB + 0x3000, 6 * MIB + 0x4fff,
	         &(struct pt_counts){.tables = {0, 0, 1, 1, 1}, .leaves = {0, 2, 0}, .pages = 514});
	want(pt_unmap(&fix.pt, 0 - GIB, GIB, NULL), PT_OK);
	pt_destroy(&other);
	fixture_done(&fix);
	fixture_init(&fix, 5, 64);
	want(pt_map(&fix.pt, 0 - UINT64_C(4096), 0, 4096, RW, NULL), PT_OK);
	count_is(&fix.pt, 0, UINT64_MAX,
	         &(struct pt_counts){.tables = {0, 1, 1, 1, 1, 1}, .leaves = {1}, .pages = 1});
	fixture_done(&fix);
}
END_TEST

/* ---- Audit -------------------------------------------------------------------------------- */

struct findings {
	const struct pt_finding *wanted;
	unsigned count, stop_after;
};

static bool finding_each(void *ctx, const struct pt_finding *got)
{
	struct findings *findings = ctx;
	const struct pt_finding *wanted = &findings->wanted[findings->count];

	ck_assert_msg(got->rule == wanted->rule && got->va == wanted->va &&
	                  got->level == wanted->level && got->entry == wanted->entry,
	              "finding %u\n   got rule 0x%x va 0x%lx level %u entry 0x%lx\n"
	              "wanted rule 0x%x va 0x%lx level %u entry 0x%lx",
	              findings->count, got->rule, got->va, got->level, got->entry, wanted->rule,
	              wanted->va, wanted->level, wanted->entry);
	return ++findings->count != findings->stop_after;
}

START_TEST(audit_each_rule)
{
	static const struct pt_finding wanted[] = {
	    {0x1000, 0x1003, PT_RULE_WX, 1},
	    {0x2000, NX | 0x10000001, PT_RULE_OUTSIDE, 1},
	    {0x3000, NX | 0x3105, PT_RULE_GLOBAL_USER, 1},
	    {0x4000, NX | 0x0008000000004001, PT_RULE_RESERVED, 1},
	    {0x40000000, NX | 0x00000081, PT_RULE_OUTSIDE, 3},
	    {0x80000000, NX | 0x00100083, PT_RULE_RESERVED, 3},
	    {0xc0000000, 0x3ffff0000003, PT_RULE_OUTSIDE, 3},
	    {0 - UINT64_C(4096), 0x5107, PT_RULE_WX, 1},
	    {0 - UINT64_C(4096), 0x5107, PT_RULE_USER_KERNEL, 1},
	    {0 - UINT64_C(4096), 0x5107, PT_RULE_GLOBAL_USER, 1},
	};
	const uint64_t ram = 256 * MIB;
	struct findings findings = {.wanted = wanted};
	struct fixture fix;

	fixture_init(&fix, 4, 32);
	ck_assert_uint_eq(pt_audit(&fix.pt, flat(ram), finding_each, &findings), 0);
	/* What is in order: the last page of RAM, all rights but W+X. */
	want(pt_map(&fix.pt, 0, ram - 4096, 4096, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x5000, 0, 4096, RX | PT_USER, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x6000, 0, 4096, RX | PT_GLOBAL, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x7000, 0, 4096, RWU, NULL), PT_OK);
	want(pt_map(&fix.pt, 2 * MIB, ram - 2 * MIB, 2 * MIB, RWU, NULL), PT_OK);
	ck_assert_uint_eq(pt_audit(&fix.pt, flat(ram), finding_each, &findings), 0);
	want(pt_map(&fix.pt, 0x1000, 0x1000, 4096, RW | RX, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x2000, ram, 4096, 0, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x3000, 0x3000, 4096, PT_GLOBAL | PT_USER, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x4000, 0x4000, 4096, 0, NULL), PT_OK);
	want(pt_map(&fix.pt, GIB, 0, GIB, 0, NULL), PT_OK);
	want(pt_map(&fix.pt, 2 * GIB, 0, GIB, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 3 * GIB, 0, GIB, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 0 - UINT64_C(4096), 0x5000, 4096, RW | RX | PT_USER | PT_GLOBAL, NULL),
	     PT_OK);
	*tree_slot(&fix.pt, 0x4000, 1) |= UINT64_C(1) << 51;
	*tree_slot(&fix.pt, 2 * GIB, 3) |= 1 << 20;
	*tree_slot(&fix.pt, 3 * GIB, 3) = UINT64_C(0x3ffff0000003);
	ck_assert_uint_eq(pt_audit(&fix.pt, flat(ram), finding_each, &findings), 31);
	ck_assert_uint_eq(findings.count, sizeof(wanted) / sizeof(wanted[0]));
	/* Told to stop, it asks no more, but the answer is complete. */
	findings.count = 0;
	findings.stop_after = 2;
	ck_assert_uint_eq(pt_audit(&fix.pt, flat(ram), finding_each, &findings), 31);
	ck_assert_uint_eq(findings.count, 2);
	ck_assert_uint_eq(pt_audit(&fix.pt, flat(ram), NULL, NULL), 31);
	*tree_slot(&fix.pt, 3 * GIB, 3) = 0x83;
	fixture_done(&fix);
}
END_TEST

/* RAM in two parts: a page is in one of them, or it is not. */
START_TEST(audit_of_ram_with_a_hole)
{
	const struct pt_ram ram = {{{0, 128 * MIB}, {256 * MIB, 320 * MIB}}};
	static const struct {
		uint64_t pa, len;
		uint32_t broken;
	} cases[] = {
	    {128 * MIB - 4096, 4096, 0},
	    {128 * MIB, 4096, PT_RULE_OUTSIDE},
	    {256 * MIB - 4096, 4096, PT_RULE_OUTSIDE},
	    {256 * MIB, 4096, 0},
	    {320 * MIB - 4096, 4096, 0},
	    {320 * MIB, 4096, PT_RULE_OUTSIDE},
	    {126 * MIB, 2 * MIB, 0},
	    {128 * MIB, 2 * MIB, PT_RULE_OUTSIDE},
	    {254 * MIB, 2 * MIB, PT_RULE_OUTSIDE},
	    {318 * MIB, 2 * MIB, 0},
	    {0, GIB, PT_RULE_OUTSIDE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture fix;

		fixture_init(&fix, 4, 32);
		want(pt_map(&fix.pt, GIB, cases[i].pa, cases[i].len, RW, NULL), PT_OK);
		ck_assert_uint_eq(pt_audit(&fix.pt, ram, NULL, NULL), cases[i].broken);
		fixture_done(&fix);
	}
}
END_TEST

START_TEST(audit_tables_outside)
{
	struct fixture fix;

	/* RAM ends just before, or with, the table. */
	fixture_init(&fix, 4, 32);
	want(pt_map(&fix.pt, 0, 0, 4096, RW, NULL), PT_OK);
	ck_assert_uint_eq(pt_audit(&fix.pt, flat(ARENA_BASE + 32 * 4096), NULL, NULL), 0);
	ck_assert_uint_eq(pt_audit(&fix.pt, flat(4096), NULL, NULL), PT_RULE_OUTSIDE);
	fixture_done(&fix);
}
END_TEST

/* ---- CR3 ---------------------------------------------------------------------------------- */

START_TEST(cr3_values)
{
	struct pt pt = {.geo = geometry(4), .root = 0x12345000};

	ck_assert_uint_eq(pt_cr3(&pt, 0, false), 0x12345000);
	ck_assert_uint_eq(pt_cr3(&pt, 1, false), 0x12345001);
	ck_assert_uint_eq(pt_cr3(&pt, 4095, false), 0x12345fff);
	ck_assert_uint_eq(pt_cr3(&pt, 0x801, true), NX | 0x12345801);
	/* No more than 12 bits may spill into the address. */
	ck_assert_uint_eq(pt_cr3(&pt, 0xf001, false), 0x12345001);
	pt.geo.pcid = false;
	ck_assert_uint_eq(pt_cr3(&pt, 5, true), 0x12345000);
}
END_TEST

Suite *suite_pt_look(void)
{
	Suite *suite = suite_create("pt_look");
	TCase *tc = tcase_create("look");

	tcase_add_loop_test(tc, walk_tells_every_step, 4, 6);
	tcase_add_loop_test(tc, walk_of_each_size, 4, 6);
	tcase_add_loop_test(tc, walk_not_canonical, 4, 6);
	tcase_add_loop_test(tc, walk_of_corrupt_trees, 4, 6);
	tcase_add_test(tc, root_outside_memory);
	tcase_add_loop_test(tc, each_joins_neighbours, 4, 6);
	tcase_add_loop_test(tc, each_of_a_part, 4, 6);
	tcase_add_test(tc, each_stops_when_told);
	tcase_add_test(tc, walk_reserved_begins_at_maxphyaddr);
	tcase_add_test(tc, each_skips_what_is_broken);
	tcase_add_loop_test(tc, diff_lists_every_difference, 4, 6);
	tcase_add_loop_test(tc, diff_of_a_kpti_pair, 4, 6);
	tcase_add_test(tc, diff_of_corrupt_trees);
	tcase_add_test(tc, count_everything);
	tcase_add_test(tc, audit_each_rule);
	tcase_add_test(tc, audit_of_ram_with_a_hole);
	tcase_add_test(tc, audit_tables_outside);
	tcase_add_test(tc, cr3_values);
	suite_add_tcase(suite, tc);
	return suite;
}
