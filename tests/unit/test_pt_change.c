/* Map, unmap, protect, reserve: whole trees against expected lists, leaf sizes, edges, flushes. */
#include "tests/unit/tree.h"

#include <string.h>

#define RW  (PT_WRITE)
#define RX  (PT_EXEC)
#define RWU (PT_WRITE | PT_USER)
#define END                                                                                        \
	{                                                                                          \
		.len = 0                                                                           \
	}

static uint64_t user_end(unsigned levels)
{
	return levels == 5 ? UINT64_C(1) << 56 : UINT64_C(1) << 47;
}

/* ---- Init --------------------------------------------------------------------------------- */

START_TEST(init_refuses_odd_geometry)
{
	struct arena arena;
	struct pt pt;
	struct pt_geometry geo = geometry(4);

	arena_init(&arena, 4);
	for (unsigned levels = 0; levels < 8; levels++) {
		geo.levels = (uint8_t)levels;
		want(pt_init(&pt, geo, arena_memory(&arena)),
		     levels == 4 || levels == 5 ? PT_OK : PT_ERIGHTS);
		if (levels == 4 || levels == 5)
			pt_destroy(&pt);
	}
	geo.levels = 4;
	for (unsigned width = 30; width < 56; width++) {
		geo.maxphyaddr = (uint8_t)width;
		want(pt_init(&pt, geo, arena_memory(&arena)),
		     width >= 32 && width <= 52 ? PT_OK : PT_ERIGHTS);
		if (width >= 32 && width <= 52)
			pt_destroy(&pt);
	}
	arena_done(&arena);
}
END_TEST

/* An allocator whose frames do not fit the geometry, or that `at` does not know. */
static bool alloc_far(void *ctx, uint64_t *frame)
{
	(void)ctx;
	*frame = UINT64_C(1) << 40;
	return true;
}

static unsigned far_freed;

static void free_far(void *ctx, uint64_t frame)
{
	(void)ctx;
	ck_assert_uint_eq(frame, UINT64_C(1) << 40);
	far_freed++;
}

static uint64_t far_table[512];

static uint64_t *at_far(void *ctx, uint64_t frame)
{
	(void)ctx;
	return frame == UINT64_C(1) << 40 ? far_table : NULL;
}

static uint64_t *at_nowhere(void *ctx, uint64_t frame)
{
	(void)ctx;
	(void)frame;
	return NULL;
}

START_TEST(frames_beyond_the_width_are_refused)
{
	struct fixture fix;
	struct pt_geometry geo = geometry(4);
	struct pt pt;
	struct pt_change change;

	geo.maxphyaddr = 40;
	far_freed = 0;
	want(pt_init(&pt, geo, (struct pt_memory){NULL, alloc_far, free_far, at_far}), PT_EWIDTH);
	ck_assert_uint_eq(far_freed, 1);

	fixture_init(&fix, 4, 16);
	pt = fix.pt;
	pt.geo.maxphyaddr = 40;
	pt.mem.alloc = alloc_far;
	pt.mem.free = free_far;
	want(pt_map(&pt, 0x1000, 0, 4096, 0, &change), PT_ECORRUPT);
	fail_is(&change, 0x1000, 3);
	ck_assert_uint_eq(far_freed, 2);
	ck_assert_uint_eq(tree_sane(&fix.pt), 1);

	pt.mem.at = at_nowhere;
	want(pt_map(&pt, 0x1000, 0, 4096, 0, &change), PT_ECORRUPT);
	fail_is(&change, 0x1000, 4);
	fixture_done(&fix);
}
END_TEST

/* ---- Map ---------------------------------------------------------------------------------- */

START_TEST(map_one_page)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, (unsigned)_i, 16);
	want(pt_map(&fix.pt, 0x401000, 0x12345000, 4096, RWU, &change), PT_OK);
	no_flush(&change);
	ck_assert_uint_eq(tree_sane(&fix.pt), (unsigned)_i);
	tree_is(&fix.pt,
	        (struct pt_run[]){{0x401000, 0x12345000, 4096, RWU, false, {1, 0, 0}}, END});
	/* The entry itself, bit by bit: P, W, U, NX. */
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0x401000, 1), UINT64_C(0x8000000012345007));
	fixture_done(&fix);
}
END_TEST

START_TEST(map_raw_bits)
{
	static const struct {
		uint32_t rights;
		uint64_t small, large;
	} rows[] = {
	    {0, 0x8000000000000001, 0x8000000000000081},
	    {PT_EXEC, 0x1, 0x81},
	    {PT_WRITE, 0x8000000000000003, 0x8000000000000083},
	    {PT_USER, 0x8000000000000005, 0x8000000000000085},
	    {PT_GLOBAL, 0x8000000000000101, 0x8000000000000181},
	    {PT_PAT(1), 0x8000000000000009, 0x8000000000000089},
	    {PT_PAT(2), 0x8000000000000011, 0x8000000000000091},
	    {PT_PAT(4), 0x8000000000000081, 0x8000000000001081},
	    {PT_PAT(7) | PT_EXEC, 0x99, 0x1099},
	    {PT_PKEY(1), 0x8800000000000001, 0x8800000000000081},
	    {PT_PKEY(10) | PT_EXEC, 0x5000000000000001, 0x5000000000000081},
	    {PT_PKEY(15), 0xf800000000000001, 0xf800000000000081},
	};
	struct fixture fix;

	fixture_init(&fix, 4, 16);
	fix.pt.geo.pku = true;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		want(pt_map(&fix.pt, 0, 0x40000000, GIB, rows[i].rights, NULL), PT_OK);
		ck_assert_uint_eq(*tree_slot(&fix.pt, 0, 3), rows[i].large | 0x40000000);
		tree_is(&fix.pt, (struct pt_run[]){
		                     {0, 0x40000000, GIB, rows[i].rights, false, {0, 0, 1}}, END});
		/* Split twice: the neighbours keep all but the place of PAT. */
		want(pt_unmap(&fix.pt, 0x5000, 4096, NULL), PT_OK);
		ck_assert_uint_eq(*tree_slot(&fix.pt, 0x200000, 2), rows[i].large | 0x40200000);
		ck_assert_uint_eq(*tree_slot(&fix.pt, 0x6000, 1), rows[i].small | 0x40006000);
		tree_is(
		    &fix.pt,
		    (struct pt_run[]){
		        {0, 0x40000000, 0x5000, rows[i].rights, false, {5, 0, 0}},
		        {0x6000, 0x40006000, GIB - 0x6000, rows[i].rights, false, {506, 511, 0}},
		        END});
		want(pt_unmap(&fix.pt, 0, GIB, NULL), PT_OK);
	}
	fixture_done(&fix);
}
END_TEST

START_TEST(map_without_nx_is_executable)
{
	struct fixture fix;

	fixture_init(&fix, 4, 16);
	fix.pt.geo.nx = false;
	want(pt_map(&fix.pt, 0, 0, 4096, RW, NULL), PT_OK);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0, 1), 3);
	tree_is(&fix.pt, (struct pt_run[]){{0, 0, 4096, RW | PT_EXEC, false, {1, 0, 0}}, END});
	want(pt_protect(&fix.pt, 0, 4096, PT_USER, NULL), PT_OK);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0, 1), 5);
	fixture_done(&fix);
}
END_TEST

START_TEST(map_chooses_leaves)
{
	static const struct {
		uint64_t va, pa, len;
		uint32_t flags;
		bool gib;
		uint64_t leaves[3];
	} rows[] = {
	    {0, 0, GIB, 0, true, {0, 0, 1}},
	    {0, 0, GIB, 0, false, {0, 512, 0}},
	    {0, 0, GIB, PT_MAX_2M, true, {0, 512, 0}},
	    {0, 0, 4 * MIB, PT_SMALL, true, {1024, 0, 0}},
	    {0, 0, 2 * MIB, PT_MAX_2M | PT_SMALL, true, {512, 0, 0}},
	    {0, 0, 2 * MIB - 4096, 0, true, {511, 0, 0}},
	    {0, 0, 2 * MIB + 4096, 0, true, {1, 1, 0}},
	    {0, 0, GIB - 4096, 0, true, {511, 511, 0}},
	    {0x1ff000, 0x1ff000, 2 * MIB + 8192, 0, true, {2, 1, 0}},
	    {0, 4096, 4 * MIB, 0, true, {1024, 0, 0}},
	    {0, 2 * MIB, 2 * GIB, 0, true, {0, 1024, 0}},
	    {0x3fe00000, 0x3fe00000, GIB + 4 * MIB, 0, true, {0, 2, 1}},
	    {0x3fffe000, 0x7fffe000, GIB + 0x4000, 0, true, {4, 0, 1}},
	    {0x3fffe000, 0x3fffe000, 3 * GIB + 0x205000, 0, true, {5, 1, 3}},
	    {511 * GIB, 0, 2 * GIB, 0, true, {0, 0, 2}},
	};
	struct fixture fix;

	fixture_init(&fix, (unsigned)_i, 64);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pt_run run = {rows[i].va, rows[i].pa, rows[i].len, RW, false, {0}};
		struct pt_change change;

		memcpy(run.leaves, rows[i].leaves, sizeof(run.leaves));
		fix.pt.geo.gib_pages = rows[i].gib;
		want(pt_map(&fix.pt, run.va, run.pa, run.len, RW | rows[i].flags, &change), PT_OK);
		no_flush(&change);
		tree_is(&fix.pt, (struct pt_run[]){run, END});
		/* Not one table more than needed was asked for. */
		ck_assert_uint_eq(fix.arena.live, tree_sane(&fix.pt));
		want(pt_unmap(&fix.pt, run.va, run.len, &change), PT_OK);
		flush_is(&change, run.va, run.va + run.len,
		         run.leaves[0] + run.leaves[1] + run.leaves[2], false, false);
		tree_is(&fix.pt, (struct pt_run[]){END});
		ck_assert_uint_eq(fix.arena.live, 1);
	}
	fixture_done(&fix);
}
END_TEST

START_TEST(map_takes_exactly_the_tables_it_needs)
{
	struct fixture fix;

	fixture_init(&fix, (unsigned)_i, 64);
	arena_fail_at(&fix.arena, 0);
	want(pt_map(&fix.pt, 511 * GIB + 510 * MIB + 0x1fe000, 0x1fe000, 2 * GIB, RW, NULL), PT_OK);
	ck_assert_uint_eq(fix.arena.calls + 1, tree_sane(&fix.pt));
	ck_assert_uint_eq(fix.arena.live, tree_sane(&fix.pt));
	fixture_done(&fix);
}
END_TEST

START_TEST(map_edges)
{
	struct fixture fix;
	struct pt_change change;
	uint64_t top = user_end((unsigned)_i), hole_end = -top;
	const uint64_t last = UINT64_MAX - 4095;

	fixture_init(&fix, (unsigned)_i, 32);
	/* Last page of the user half, first and last of the kernel half. */
	want(pt_map(&fix.pt, top - 4096, 0x1000, 4096, RWU, &change), PT_OK);
	want(pt_map(&fix.pt, hole_end, 0x2000, 4096, RW, &change), PT_OK);
	want(pt_map(&fix.pt, last, 0x3000, 4096, RX, &change), PT_OK);
	tree_is(&fix.pt, (struct pt_run[]){{top - 4096, 0x1000, 4096, RWU, false, {1, 0, 0}},
	                                   {hole_end, 0x2000, 4096, RW, false, {1, 0, 0}},
	                                   {last, 0x3000, 4096, RX, false, {1, 0, 0}},
	                                   END});
	ck_assert_uint_eq(*tree_slot(&fix.pt, last, 1), 0x3001);
	/* The hole, from every side. */
	want(pt_map(&fix.pt, top, 0, 4096, 0, &change), PT_ECANONICAL);
	fail_is(&change, top, 0);
	want(pt_map(&fix.pt, top - 8192, 0, 12288, 0, NULL), PT_ECANONICAL);
	want(pt_map(&fix.pt, hole_end - 4096, 0, 8192, 0, NULL), PT_ECANONICAL);
	want(pt_map(&fix.pt, top / 2, 0, 0 - top, 0, NULL), PT_ECANONICAL);
	want(pt_map(&fix.pt, last, 0, 8192, 0, NULL), PT_ECANONICAL);
	want(pt_unmap(&fix.pt, 0, 0 - UINT64_C(4096), NULL), PT_ECANONICAL);
	want(pt_protect(&fix.pt, top, 4096, 0, NULL), PT_ECANONICAL);
	want(pt_reserve(&fix.pt, top, 4096, NULL), PT_ECANONICAL);
	/* Whole halves. */
	want(pt_unmap(&fix.pt, 0, top, &change), PT_OK);
	flush_is(&change, top - 4096, top, 1, false, false);
	want(pt_unmap(&fix.pt, hole_end, top, &change), PT_OK);
	flush_is(&change, hole_end, 0, 2, false, false);
	ck_assert_uint_eq(tree_sane(&fix.pt), 1);
	fixture_done(&fix);
}
END_TEST

START_TEST(the_level_below_the_other)
{
	struct fixture fix;

	/* What is canonical with 5 levels only. */
	fixture_init(&fix, 5, 16);
	want(pt_map(&fix.pt, UINT64_C(1) << 55, 0, 4096, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, UINT64_C(0xff00000000000000), 0, 4096, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, UINT64_C(0xfe00000000000000), 0, 4096, RW, NULL), PT_ECANONICAL);
	fixture_done(&fix);
	fixture_init(&fix, 4, 16);
	want(pt_map(&fix.pt, UINT64_C(1) << 55, 0, 4096, RW, NULL), PT_ECANONICAL);
	want(pt_map(&fix.pt, UINT64_C(0xff00000000000000), 0, 4096, RW, NULL), PT_ECANONICAL);
	fixture_done(&fix);
}
END_TEST

START_TEST(map_every_index)
{
	struct fixture fix;
	unsigned level = (unsigned)_i;
	uint64_t span = UINT64_C(1) << (3 + 9 * level);

	fixture_init(&fix, 5, 4096);
	for (unsigned i = 0; i < 512; i++) {
		uint64_t va = i * span;

		if (level == 5 && i >= 256)
			va |= UINT64_C(0xff) << 56;
		want(pt_map(&fix.pt, va, i * UINT64_C(4096), 4096, RW, NULL), PT_OK);
	}
	for (unsigned i = 0; i < 512; i++) {
		struct pt_walk walk;
		uint64_t va = i * span;

		if (level == 5 && i >= 256)
			va |= UINT64_C(0xff) << 56;
		pt_walk(&fix.pt, va + 0x123, &walk);
		ck_assert(walk.mapped);
		ck_assert_uint_eq(walk.pa, i * UINT64_C(4096) + 0x123);
		ck_assert_uint_eq(walk.step[5 - level].index, i);
	}
	tree_sane(&fix.pt);
	fixture_done(&fix);
}
END_TEST

START_TEST(map_bad_arguments)
{
	struct fixture fix;
	struct pt_change change;
	const uint64_t width = UINT64_C(1) << 46;

	fixture_init(&fix, 4, 16);
	want(pt_map(&fix.pt, 1, 0, 4096, 0, &change), PT_EALIGN);
	fail_is(&change, 1, 0);
	want(pt_map(&fix.pt, 0, 0x800, 4096, 0, NULL), PT_EALIGN);
	want(pt_map(&fix.pt, 0, 0, 4095, 0, NULL), PT_EALIGN);
	want(pt_map(&fix.pt, 0, 0, 0, 0, NULL), PT_EALIGN);
	want(pt_unmap(&fix.pt, 0, 0, NULL), PT_EALIGN);
	want(pt_unmap(&fix.pt, 0x10, 4096, NULL), PT_EALIGN);
	want(pt_protect(&fix.pt, 0, 1, 0, NULL), PT_EALIGN);
	want(pt_reserve(&fix.pt, 0, 1, NULL), PT_EALIGN);
	want(pt_map(&fix.pt, 0, width - 4096, 4096, 0, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x1000, width, 4096, 0, &change), PT_EWIDTH);
	fail_is(&change, 0x1000, 0);
	want(pt_map(&fix.pt, 0x1000, width - 4096, 8192, 0, NULL), PT_EWIDTH);
	want(pt_map(&fix.pt, 0x1000, 0 - UINT64_C(4096), 4096, 0, NULL), PT_EWIDTH);
	want(pt_map(&fix.pt, 0x1000, 0 - UINT64_C(4096), 8192, 0, NULL), PT_EWIDTH);
	for (unsigned bit = 0; bit < 32; bit++) {
		bool known = bit < 7 || (bit >= 8 && bit <= 10);
		uint32_t flag = UINT32_C(1) << bit;

		want(pt_map(&fix.pt, 0x2000, 0, 4096, flag, NULL), known ? PT_OK : PT_ERIGHTS);
		want(pt_unmap(&fix.pt, 0x2000, 4096, NULL), PT_OK);
		known = bit < 4 || (bit >= 8 && bit <= 10);
		want(pt_protect(&fix.pt, 0, 4096, flag, NULL), known ? PT_OK : PT_ERIGHTS);
	}
	fix.pt.geo.pku = true;
	want(pt_protect(&fix.pt, 0, 4096, PT_PKEY(15), NULL), PT_OK);
	tree_is(&fix.pt,
	        (struct pt_run[]){{0, width - 4096, 4096, PT_PKEY(15), false, {1, 0, 0}}, END});
	fixture_done(&fix);
}
END_TEST

START_TEST(map_exists)
{
	struct fixture fix;
	struct pt_change change;
	struct arena_copy copy;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_map(&fix.pt, 0x7000, 0, 4096, 0, NULL), PT_OK);
	want(pt_map(&fix.pt, 4 * MIB, 4 * MIB, 2 * MIB, 0, NULL), PT_OK);
	want(pt_map(&fix.pt, 2 * GIB, 2 * GIB, GIB, 0, NULL), PT_OK);
	copy = arena_copy(&fix.arena);
	want(pt_map(&fix.pt, 0x5000, 0, 0x3000, 0, &change), PT_EEXIST);
	fail_is(&change, 0x7000, 1);
	want(pt_map(&fix.pt, 0, 0, 2 * MIB, 0, &change), PT_EEXIST);
	fail_is(&change, 0x7000, 1);
	want(pt_map(&fix.pt, 0, 0, GIB, 0, &change), PT_EEXIST);
	fail_is(&change, 0x7000, 1);
	want(pt_map(&fix.pt, 4 * MIB + 0x3000, 0, 4096, 0, &change), PT_EEXIST);
	fail_is(&change, 4 * MIB + 0x3000, 2);
	want(pt_map(&fix.pt, 2 * MIB, 0, 6 * MIB, 0, &change), PT_EEXIST);
	fail_is(&change, 4 * MIB, 2);
	want(pt_map(&fix.pt, 2 * GIB + 6 * MIB, 0, 4 * MIB, 0, &change), PT_EEXIST);
	fail_is(&change, 2 * GIB + 6 * MIB, 3);
	want(pt_map(&fix.pt, GIB, 0, 2 * GIB, 0, &change), PT_EEXIST);
	fail_is(&change, 2 * GIB, 3);
	arena_same(&fix.arena, &copy);
	fixture_done(&fix);
}
END_TEST

START_TEST(map_replace)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_map(&fix.pt, 0, 0, GIB, RW | PT_GLOBAL, NULL), PT_OK);
	/* A page in a large leaf. */
	want(pt_map(&fix.pt, 0x5000, 0x9000, 4096, RX | PT_REPLACE, &change), PT_OK);
	flush_is(&change, 0x5000, 0x6000, 1, true, false);
	tree_is(&fix.pt, (struct pt_run[]){
	                     {0, 0, 0x5000, RW | PT_GLOBAL, false, {5, 0, 0}},
	                     {0x5000, 0x9000, 4096, RX, false, {1, 0, 0}},
	                     {0x6000, 0x6000, GIB - 0x6000, RW | PT_GLOBAL, false, {506, 511, 0}},
	                     END});
	ck_assert_uint_eq(tree_sane(&fix.pt), (unsigned)_i);
	/* A large leaf in place of a page table; the table goes. */
	want(pt_map(&fix.pt, 0, 6 * MIB, 2 * MIB, RW | PT_REPLACE, &change), PT_OK);
	flush_is(&change, 0, 2 * MIB, 512, true, false);
	ck_assert_uint_eq(tree_sane(&fix.pt), (unsigned)_i - 1);
	/* And of everything. */
	want(pt_unmap(&fix.pt, 8 * MIB + 0x3000, 4096, NULL), PT_OK);
	want(pt_map(&fix.pt, 0, GIB, GIB, RX | PT_REPLACE, &change), PT_OK);
	flush_is(&change, 0, GIB, 511 + 511, true, false);
	tree_is(&fix.pt, (struct pt_run[]){{0, GIB, GIB, RX, false, {0, 0, 1}}, END});
	ck_assert_uint_eq(tree_sane(&fix.pt), (unsigned)_i - 2);
	/* The same again, or into empty space: nothing to flush; accessed and dirty stay. */
	*tree_slot(&fix.pt, 0, 3) |= 0x60;
	want(pt_map(&fix.pt, 0, GIB, 2 * GIB, RX | PT_REPLACE, &change), PT_OK);
	no_flush(&change);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0, 3) & 0x60, 0x60);
	/* Another mapping begins with A and D clear, which is more than widening. */
	want(pt_map(&fix.pt, 0, GIB, GIB, RX | PT_GLOBAL | PT_REPLACE, &change), PT_OK);
	flush_is(&change, 0, GIB, 1, false, false);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0, 3) & 0x60, 0);
	want(pt_map(&fix.pt, 0, GIB, GIB, RX | PT_REPLACE, &change), PT_OK);
	flush_is(&change, 0, GIB, 1, true, false);
	/* Wider rights, in place. */
	want(pt_map(&fix.pt, 0, GIB, 2 * GIB, RX | RW | PT_REPLACE, &change), PT_OK);
	flush_is(&change, 0, 2 * GIB, 2, false, true);
	/* A mixture of tables and leaves in one directory. */
	want(pt_map(&fix.pt, GIB - 2 * MIB, 0, 4 * MIB + 0x1000, RW | PT_REPLACE, &change), PT_OK);
	want(pt_map(&fix.pt, GIB - 0x3000, 0x1000, 0x6000, RW | PT_REPLACE, &change), PT_OK);
	want(pt_map(&fix.pt, GIB - 4 * MIB, 0, 8 * MIB, RW | PT_REPLACE, &change), PT_OK);
	tree_part_is(&fix.pt, GIB - 4 * MIB, GIB + 4 * MIB - 1,
	             (struct pt_run[]){{GIB - 4 * MIB, 0, 8 * MIB, RW, false, {0, 4, 0}}, END});
	fixture_done(&fix);
}
END_TEST

START_TEST(map_narrow_path)
{
	static const uint64_t bits[] = {2, 4, UINT64_C(1) << 63};
	static const uint32_t rights[] = {PT_WRITE, PT_USER, PT_EXEC};
	struct fixture fix;
	struct pt_change change;

	/* Entries above that deny are not made by this code, but may be met. */
	fixture_init(&fix, 4, 16);
	want(pt_map(&fix.pt, 0, 0, 4096, 0, NULL), PT_OK);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned level = 2; level <= 4; level++) {
			*tree_slot(&fix.pt, 0, level) ^= bits[i];
			want(pt_map(&fix.pt, 0x5000, 0, 4096, rights[i], &change), PT_ERIGHTS);
			fail_is(&change, 0x5000, 1);
			want(pt_protect(&fix.pt, 0, 4096, rights[i], &change), PT_ERIGHTS);
			fail_is(&change, 0, 1);
			for (unsigned j = 0; j < 3; j++)
				if (j != i) {
					want(pt_map(&fix.pt, 0x5000, 0, 4096, rights[j], NULL),
					     PT_OK);
					want(pt_unmap(&fix.pt, 0x5000, 4096, NULL), PT_OK);
				}
			*tree_slot(&fix.pt, 0, level) ^= bits[i];
		}
	}
	fixture_done(&fix);
}
END_TEST

/* ---- Unmap -------------------------------------------------------------------------------- */

START_TEST(unmap_holes)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_unmap(&fix.pt, 0x1000, 4096, &change), PT_OK);
	no_flush(&change);
	want(pt_map(&fix.pt, 0x3000, 0, 4096, RW | PT_GLOBAL, NULL), PT_OK);
	want(pt_map(&fix.pt, 0x9000, 0, 4096, RW, NULL), PT_OK);
	want(pt_map(&fix.pt, 3 * GIB, 0, 4096, RW, NULL), PT_OK);
	want(pt_unmap(&fix.pt, 0x4000, 0x5000, &change), PT_OK);
	no_flush(&change);
	want(pt_unmap(&fix.pt, 0x4000, 4 * GIB, &change), PT_OK);
	flush_is(&change, 0x9000, 3 * GIB + 4096, 2, false, false);
	want(pt_unmap(&fix.pt, 0, 4 * GIB, &change), PT_OK);
	flush_is(&change, 0x3000, 0x4000, 1, true, false);
	ck_assert_uint_eq(tree_sane(&fix.pt), 1);
	fixture_done(&fix);
}
END_TEST

START_TEST(unmap_splits)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_map(&fix.pt, 0, 0, 2 * GIB, RW, NULL), PT_OK);
	/* From the middle of one leaf to the middle of the next. */
	want(pt_unmap(&fix.pt, GIB - 0x1000, 2 * MIB + 0x2000, &change), PT_OK);
	flush_is(&change, GIB - 0x1000, GIB + 2 * MIB + 0x1000, 3, false, false);
	tree_is(&fix.pt, (struct pt_run[]){{0, 0, GIB - 0x1000, RW, false, {511, 511, 0}},
	                                   {GIB + 2 * MIB + 0x1000,
	                                    GIB + 2 * MIB + 0x1000,
	                                    GIB - 2 * MIB - 0x1000,
	                                    RW,
	                                    false,
	                                    {511, 510, 0}},
	                                   END});
	ck_assert_uint_eq(tree_sane(&fix.pt), (unsigned)_i - 3 + 1 + 4);
	/* The table of a split leaf goes when its last page does. */
	want(pt_unmap(&fix.pt, GIB - 2 * MIB, 2 * MIB, &change), PT_OK);
	flush_is(&change, GIB - 2 * MIB, GIB - 0x1000, 511, false, false);
	ck_assert_uint_eq(tree_sane(&fix.pt), (unsigned)_i - 3 + 1 + 3);
	fixture_done(&fix);
}
END_TEST

START_TEST(split_keeps_accessed_and_dirty)
{
	struct fixture fix;

	fixture_init(&fix, 4, 16);
	want(pt_map(&fix.pt, 0, 0, GIB, RW, NULL), PT_OK);
	*tree_slot(&fix.pt, 0, 3) |= 0x60;
	want(pt_unmap(&fix.pt, 0x1000, 4096, NULL), PT_OK);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0x2000, 1), UINT64_C(0x8000000000002063));
	ck_assert_uint_eq(*tree_slot(&fix.pt, 2 * MIB, 2), UINT64_C(0x80000000002000e3));
	want(pt_protect(&fix.pt, 0x2000, 4096, RX, NULL), PT_OK);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0x2000, 1), UINT64_C(0x2061));
	fixture_done(&fix);
}
END_TEST

/* ---- Protect ------------------------------------------------------------------------------ */

START_TEST(protect_changes_rights)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_map(&fix.pt, 0x5000, 0x5000, 0x3000, RW | PT_PAT(7), NULL), PT_OK);
	want(pt_protect(&fix.pt, 0x6000, 0x1000, RX | PT_PAT(2), &change), PT_OK);
	flush_is(&change, 0x6000, 0x7000, 1, false, false);
	tree_is(&fix.pt,
	        (struct pt_run[]){{0x5000, 0x5000, 0x1000, RW | PT_PAT(7), false, {1, 0, 0}},
	                          {0x6000, 0x6000, 0x1000, RX | PT_PAT(2), false, {1, 0, 0}},
	                          {0x7000, 0x7000, 0x1000, RW | PT_PAT(7), false, {1, 0, 0}},
	                          END});
	want(pt_protect(&fix.pt, 0x5000, 0x3000, RX | PT_PAT(2), &change), PT_OK);
	flush_is(&change, 0x5000, 0x8000, 2, false, false);
	want(pt_protect(&fix.pt, 0x5000, 0x3000, RX | PT_PAT(2), &change), PT_OK);
	no_flush(&change);
	fixture_done(&fix);
}
END_TEST

START_TEST(protect_large)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_map(&fix.pt, 0, 0, 2 * GIB, RW | PT_PAT(4), NULL), PT_OK);
	/* Same rights for a part: no split, no memory. */
	arena_fail_at(&fix.arena, 1);
	want(pt_protect(&fix.pt, 0x1000, 0x1000, RW | PT_PAT(4), &change), PT_OK);
	no_flush(&change);
	arena_fail_at(&fix.arena, 0);
	/* A whole leaf: no split. */
	want(pt_protect(&fix.pt, GIB, GIB, RX | PT_PAT(5), &change), PT_OK);
	flush_is(&change, GIB, 2 * GIB, 1, false, false);
	ck_assert_uint_eq(tree_sane(&fix.pt), (unsigned)_i - 2);
	/* Parts of both. */
	want(pt_protect(&fix.pt, GIB - 2 * MIB - 0x2000, 2 * MIB + 0x3000, RX | PT_PAT(5), &change),
	     PT_OK);
	flush_is(&change, GIB - 2 * MIB - 0x2000, GIB, 3, false, false);
	tree_is(&fix.pt, (struct pt_run[]){
	                     {0, 0, GIB - 2 * MIB - 0x2000, RW | PT_PAT(4), false, {510, 510, 0}},
	                     {GIB - 2 * MIB - 0x2000,
	                      GIB - 2 * MIB - 0x2000,
	                      GIB + 2 * MIB + 0x2000,
	                      RX | PT_PAT(5),
	                      false,
	                      {2, 1, 1}},
	                     END});
	fixture_done(&fix);
}
END_TEST

START_TEST(protect_wants_everything_mapped)
{
	struct fixture fix;
	struct pt_change change;
	struct arena_copy copy;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_map(&fix.pt, 0, 0, 2 * GIB, RW, NULL), PT_OK);
	want(pt_unmap(&fix.pt, 0x5000, 4096, NULL), PT_OK);
	want(pt_unmap(&fix.pt, 6 * MIB, 2 * MIB, NULL), PT_OK);
	copy = arena_copy(&fix.arena);
	want(pt_protect(&fix.pt, 0x2000, 0x8000, RX, &change), PT_ENOENT);
	fail_is(&change, 0x5000, 1);
	want(pt_protect(&fix.pt, 2 * MIB, 8 * MIB, RX, &change), PT_ENOENT);
	fail_is(&change, 6 * MIB, 2);
	want(pt_protect(&fix.pt, 6 * MIB + 0x3000, 4096, RX, &change), PT_ENOENT);
	fail_is(&change, 6 * MIB + 0x3000, 2);
	want(pt_protect(&fix.pt, GIB, 2 * GIB, RX, &change), PT_ENOENT);
	fail_is(&change, 2 * GIB, 3);
	want(pt_protect(&fix.pt, 512 * GIB, 4096, RX, &change), PT_ENOENT);
	fail_is(&change, 512 * GIB, 4);
	arena_same(&fix.arena, &copy);
	fixture_done(&fix);
}
END_TEST

/* Every change of W, X, U, G, PAT and key, against the sentences of SDM 4.10.4.3. */
START_TEST(protect_flush_obligations)
{
	static const uint32_t rights[] = {PT_WRITE,  PT_EXEC,   PT_USER,   PT_GLOBAL,
	                                  PT_PAT(1), PT_PAT(4), PT_PKEY(1)};
	struct fixture fix;

	fixture_init(&fix, 4, 16);
	fix.pt.geo.pku = true;
	want(pt_map(&fix.pt, 0, 0, 4096, 0, NULL), PT_OK);
	for (unsigned from = 0; from < 128; from++) {
		for (unsigned to = 0; to < 128; to++) {
			uint32_t old = 0, new = 0;
			struct pt_change change;

			for (unsigned i = 0; i < 7; i++) {
				old |= from >> i & 1 ? rights[i] : 0;
				new |= to >> i & 1 ? rights[i] : 0;
			}
			want(pt_protect(&fix.pt, 0, 4096, old, NULL), PT_OK);
			want(pt_protect(&fix.pt, 0, 4096, new, &change), PT_OK);
			tree_is(&fix.pt,
			        (struct pt_run[]){{0, 0, 4096, new, false, {1, 0, 0}}, END});
			if (from == to) {
				no_flush(&change);
				continue;
			}
			flush_is(&change, 0, 4096, 1, old & PT_GLOBAL,
			         /* W and X gained, nothing else touched */
			         !(from & ~to) && !((from ^ to) & ~3u));
		}
	}
	fixture_done(&fix);
}
END_TEST

/* ---- Reserve ------------------------------------------------------------------------------ */

START_TEST(reserve_makes_top_entries)
{
	struct fixture fix;
	struct pt_change change;
	unsigned levels = (unsigned)_i;
	uint64_t slot = UINT64_C(1) << (3 + 9 * levels);

	fixture_init(&fix, levels, 32);
	want(pt_reserve(&fix.pt, slot + 0x1000, slot, &change), PT_OK);
	no_flush(&change);
	ck_assert_uint_eq(tree_sane(&fix.pt), 3);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 0, levels), 0);
	ck_assert_uint_ne(*tree_slot(&fix.pt, slot, levels), 0);
	ck_assert_uint_ne(*tree_slot(&fix.pt, 2 * slot, levels), 0);
	ck_assert_uint_eq(*tree_slot(&fix.pt, 3 * slot, levels), 0);
	/* They stay when what was mapped there goes. */
	want(pt_map(&fix.pt, slot, 0, 4096, RW, NULL), PT_OK);
	want(pt_unmap(&fix.pt, 0, 8 * slot, &change), PT_OK);
	flush_is(&change, slot, slot + 4096, 1, false, false);
	ck_assert_uint_eq(tree_sane(&fix.pt), 3);
	/* One that exists becomes one that stays; the last slot of all. */
	want(pt_map(&fix.pt, 0 - slot, 0, 4096, RW, NULL), PT_OK);
	want(pt_reserve(&fix.pt, 0 - slot, slot, NULL), PT_OK);
	want(pt_unmap(&fix.pt, 0 - slot, 4096, NULL), PT_OK);
	ck_assert_uint_eq(tree_sane(&fix.pt), 4);
	/* A reserved table is no obstacle, and large leaves go below it. */
	want(pt_map(&fix.pt, slot, 0, GIB, RW, NULL), PT_OK);
	tree_is(&fix.pt, (struct pt_run[]){{slot, 0, GIB, RW, false, {0, 0, 1}}, END});
	fixture_done(&fix);
}
END_TEST

/* ---- Trees that something is wrong with, or that others made -------------------------------- */

START_TEST(corrupt_trees_are_refused)
{
	unsigned levels = (unsigned)_i;

	for (unsigned level = 2; level <= levels; level++) {
		struct fixture fix;
		struct pt_change change;
		struct arena_copy copy;
		uint64_t good;

		fixture_init(&fix, levels, 32);
		want(pt_map(&fix.pt, 0, 0, 4096, RW, NULL), PT_OK);
		good = *tree_slot(&fix.pt, 0, level);
		*tree_slot(&fix.pt, 0, level) = (good & 0xfff) | UINT64_C(0x3ffff0000000);
		copy = arena_copy(&fix.arena);
		want(pt_map(&fix.pt, 0x1000, 0, 4096, RW, &change), PT_ECORRUPT);
		fail_is(&change, 0x1000, level);
		want(pt_map(&fix.pt, 0, 0, GIB, RW | PT_REPLACE, &change), PT_ECORRUPT);
		fail_is(&change, 0, level);
		want(pt_unmap(&fix.pt, 0, 4096, &change), PT_ECORRUPT);
		fail_is(&change, 0, level);
		want(pt_protect(&fix.pt, 0, 4096, RX, &change), PT_ECORRUPT);
		fail_is(&change, 0, level);
		arena_same(&fix.arena, &copy);
		/* The same with the mark of a table of ours: PT_REPLACE must not believe it. */
		*tree_slot(&fix.pt, 0, level) |= UINT64_C(2) << 52;
		want(pt_map(&fix.pt, 0, 0, GIB, RW | PT_REPLACE, &change), PT_ECORRUPT);
		*tree_slot(&fix.pt, 0, level) = good;
		if (level > 3) { /* PS is reserved here */
			*tree_slot(&fix.pt, 0, level) |= 0x80;
			copy = arena_copy(&fix.arena);
			want(pt_map(&fix.pt, 0x1000, 0, 4096, RW, &change), PT_ECORRUPT);
			fail_is(&change, 0x1000, level);
			want(pt_unmap(&fix.pt, 0, TIB, &change), PT_ECORRUPT);
			fail_is(&change, 0, level);
			if (level == levels)
				want(pt_reserve(&fix.pt, 0, 4096, &change), PT_ECORRUPT);
			arena_same(&fix.arena, &copy);
			*tree_slot(&fix.pt, 0, level) = good;
		}
		fixture_done(&fix);
	}
}
END_TEST

START_TEST(gib_entry_without_gib_pages_is_corrupt)
{
	struct fixture fix;
	struct pt_change change;

	fixture_init(&fix, 4, 32);
	want(pt_map(&fix.pt, 0, 0, GIB, RW, NULL), PT_OK);
	fix.pt.geo.gib_pages = false;
	want(pt_unmap(&fix.pt, 0, GIB, &change), PT_ECORRUPT);
	fail_is(&change, 0, 3);
	want(pt_reserve(&fix.pt, 0, 1 * TIB, &change), PT_OK);
	*tree_slot(&fix.pt, 512 * GIB, 4) |= 0x80;
	want(pt_reserve(&fix.pt, 0, 1 * TIB, &change), PT_ECORRUPT);
	fail_is(&change, 512 * GIB, 4);
	*tree_slot(&fix.pt, 512 * GIB, 4) &= ~UINT64_C(0x80);
	fixture_done(&fix);
}
END_TEST

/* Tables that this code did not allocate are changed on request, never freed or replaced. */
START_TEST(foreign_tables_are_not_freed)
{
	struct fixture fix;
	struct pt_memory mem;
	struct pt_change change;
	uint64_t frame[4];
	struct pt pt;

	fixture_init(&fix, 4, 32);
	mem = arena_memory(&fix.arena);
	for (unsigned i = 0; i < 4; i++)
		ck_assert(mem.alloc(mem.ctx, &frame[i]));
	for (unsigned i = 0; i < 3; i++)
		*mem.at(mem.ctx, frame[i]) = frame[i + 1] | 7;
	mem.at(mem.ctx, frame[3])[5] = 0x5003;
	pt = pt_attach(geometry(4), mem, frame[0] | 0x123);
	ck_assert_uint_eq(pt.root, frame[0]);
	tree_is(&pt, (struct pt_run[]){{0x5000, 0x5000, 4096, RX | RW, false, {1, 0, 0}}, END});
	want(pt_unmap(&pt, 0x5000, 4096, &change), PT_OK);
	flush_is(&change, 0x5000, 0x6000, 1, false, false);
	ck_assert_uint_eq(fix.arena.live, 5);
	/* Maps smaller leaves into them rather than put one in their place. */
	want(pt_map(&pt, 0, 0, 2 * MIB, RW, NULL), PT_OK);
	tree_is(&pt, (struct pt_run[]){{0, 0, 2 * MIB, RW, false, {512, 0, 0}}, END});
	want(pt_map(&pt, 0, 0, GIB, RW | PT_REPLACE, NULL), PT_OK);
	tree_is(&pt, (struct pt_run[]){{0, 0, GIB, RW, false, {512, 511, 0}}, END});
	/* Own tables below foreign ones are freed as usual. */
	want(pt_map(&pt, 3 * GIB, 0, 4096, RW, NULL), PT_OK);
	ck_assert_uint_eq(fix.arena.live, 7);
	want(pt_unmap(&pt, 3 * GIB, GIB, NULL), PT_OK);
	ck_assert_uint_eq(fix.arena.live, 5);
	/* Destroying takes the root alone. */
	pt_destroy(&pt);
	ck_assert_uint_eq(fix.arena.live, 4);
	for (unsigned i = 1; i < 4; i++) {
		memset(mem.at(mem.ctx, frame[i]), 0, 4096);
		mem.free(mem.ctx, frame[i]);
	}
	fixture_done(&fix);
}
END_TEST

START_TEST(attach_goes_on_where_the_other_was)
{
	struct fixture fix;
	struct pt again;

	fixture_init(&fix, (unsigned)_i, 32);
	want(pt_map(&fix.pt, 0x5000, 0, 0x2000, RW, NULL), PT_OK);
	again = pt_attach(fix.pt.geo, fix.pt.mem, pt_cr3(&fix.pt, 5, true));
	want(pt_map(&again, 0x9000, 0, 0x1000, RW, NULL), PT_OK);
	want(pt_unmap(&again, 0, 2 * MIB, NULL), PT_OK);
	ck_assert_uint_eq(fix.arena.live, 1);
	fixture_done(&fix);
}
END_TEST

START_TEST(destroy_frees_all)
{
	struct fixture fix;

	fixture_init(&fix, (unsigned)_i, 128);
	for (unsigned i = 0; i < 20; i++)
		want(pt_map(&fix.pt, i * 37 * GIB + i * 0x1000, 0, (i + 1) * 0x3000, RW, NULL),
		     PT_OK);
	want(pt_map(&fix.pt, 0 - 4 * GIB, 0, 4 * GIB, RW, NULL), PT_OK);
	want(pt_unmap(&fix.pt, 0 - GIB, 0x1000, NULL), PT_OK);
	want(pt_reserve(&fix.pt, 0, 8 * TIB, NULL), PT_OK);
	pt_destroy(&fix.pt);
	ck_assert_uint_eq(fix.pt.root, 0);
	arena_done(&fix.arena);
}
END_TEST

Suite *suite_pt_change(void)
{
	Suite *suite = suite_create("pt_change");
	TCase *tc = tcase_create("change");

	tcase_add_test(tc, init_refuses_odd_geometry);
	tcase_add_test(tc, frames_beyond_the_width_are_refused);
	tcase_add_loop_test(tc, map_one_page, 4, 6);
	tcase_add_test(tc, map_raw_bits);
	tcase_add_test(tc, map_without_nx_is_executable);
	tcase_add_loop_test(tc, map_chooses_leaves, 4, 6);
	tcase_add_loop_test(tc, map_takes_exactly_the_tables_it_needs, 4, 6);
	tcase_add_loop_test(tc, map_edges, 4, 6);
	tcase_add_test(tc, the_level_below_the_other);
	tcase_add_loop_test(tc, map_every_index, 1, 6);
	tcase_add_test(tc, map_bad_arguments);
	tcase_add_loop_test(tc, map_exists, 4, 6);
	tcase_add_loop_test(tc, map_replace, 4, 6);
	tcase_add_test(tc, map_narrow_path);
	tcase_add_loop_test(tc, unmap_holes, 4, 6);
	tcase_add_loop_test(tc, unmap_splits, 4, 6);
	tcase_add_test(tc, split_keeps_accessed_and_dirty);
	tcase_add_loop_test(tc, protect_changes_rights, 4, 6);
	tcase_add_loop_test(tc, protect_large, 4, 6);
	tcase_add_loop_test(tc, protect_wants_everything_mapped, 4, 6);
	tcase_add_test(tc, protect_flush_obligations);
	tcase_add_loop_test(tc, reserve_makes_top_entries, 4, 6);
	tcase_add_loop_test(tc, corrupt_trees_are_refused, 4, 6);
	tcase_add_test(tc, gib_entry_without_gib_pages_is_corrupt);
	tcase_add_test(tc, foreign_tables_are_not_freed);
	tcase_add_loop_test(tc, attach_goes_on_where_the_other_was, 4, 6);
	tcase_add_loop_test(tc, destroy_frees_all, 4, 6);
	suite_add_tcase(suite, tc);
	return suite;
}
