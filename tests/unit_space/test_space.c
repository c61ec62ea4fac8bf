/*
 * The guest's address spaces (guest/space.c, shared/pcid.h) over a model of TLBs: more spaces than
 * PCIDs, on several CPUs, changing their mappings all the time, must never see a translation that
 * is not in their tables any more.  The same program over a space.c without the flush of PCIDs that
 * change hands must.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "guest/cpu.h"
#include "guest/frames.h"
#include "guest/space.h"
#include "shared/pcid.h"
#include "tests/unit/arena.h"
#include "tests/unit_space/suites.h"
#include "tests/unit_space/tlb.h"

enum {
	SPACES = 3 * PCID_COUNT,
	PAGES = 6, /* user pages that a space may have */
	STEPS = 20000,
};
#define USER_VA(page)   (0x400000 + (uint64_t)(page)*PAGE_SIZE)
#define KERNEL_VA(page) (RS_STACKS_BASE + (uint64_t)(page)*PAGE_SIZE)

static struct arena arena;
static struct pt kernel;
static struct rs_boot boot;

static bool table_alloc(void *ctx, uint64_t *frame)
{
	return arena_memory(ctx).alloc(arena_memory(ctx).ctx, frame);
}

static void table_free(void *ctx, uint64_t frame)
{
	arena_memory(ctx).free(arena_memory(ctx).ctx, frame);
}

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	return arena_memory(ctx).at(arena_memory(ctx).ctx, frame);
}

const struct pt_memory frames_pt_memory = {
    .ctx = &arena, .alloc = table_alloc, .free = table_free, .at = table_at};

static struct {
	struct space space;
	bool alive;
	int cpu; /* that runs it; -1: none */
	bool mapped[PAGES];
} spaces[SPACES];
static int running[TLB_CPUS]; /* by CPU: which space; -1: the kernel's own */
static bool kernel_mapped[PAGES];
static uint64_t next_frame = 0x10000000; /* pages are never looked into: any frame will do */
static unsigned stale;

static unsigned pick(unsigned n)
{
	return (unsigned)rand() % n;
}

static uint64_t new_frame(void)
{
	return next_frame += PAGE_SIZE;
}

/* ---- What a kernel does ------------------------------------------------------------------------
 */

static void make(int i)
{
	ck_assert(space_create(&spaces[i].space));
	spaces[i].alive = true;
	spaces[i].cpu = -1;
	for (int page = 0; page < PAGES; page++)
		spaces[i].mapped[page] = false;
}

static void change(int i)
{
	const unsigned page = pick(PAGES);
	struct space *space = &spaces[i].space;

	/* A running one changes its own memory; who does not run is changed by its parent. */
	if (spaces[i].cpu >= 0)
		tlb_on_cpu((uint32_t)spaces[i].cpu);
	if (spaces[i].mapped[page]) {
		ck_assert(space_unmap(space, USER_VA(page), PAGE_SIZE) == PT_OK);
	} else {
		ck_assert(space_map(space, USER_VA(page), new_frame(), PAGE_SIZE, PT_WRITE) ==
		          PT_OK);
		ck_assert(space_mirror(space, USER_VA(page), PAGE_SIZE) == PT_OK);
	}
	spaces[i].mapped[page] ^= true;
}

static void end(int i)
{
	for (int page = 0; page < PAGES; page++)
		if (spaces[i].mapped[page])
			space_unmap(&spaces[i].space, USER_VA(page), PAGE_SIZE);
	space_destroy(&spaces[i].space);
	spaces[i].alive = false;
}

static void run(int i, uint32_t cpu)
{
	tlb_on_cpu(cpu);
	if (running[cpu] >= 0)
		spaces[running[cpu]].cpu = -1;
	running[cpu] = i;
	if (i >= 0)
		spaces[i].cpu = (int)cpu;
	space_load(i >= 0 ? &spaces[i].space : space_kernel());
}

static void change_kernel(void)
{
	const unsigned page = pick(PAGES);

	tlb_on_cpu(pick(TLB_CPUS));
	if (kernel_mapped[page])
		ck_assert(space_unmap_kernel(KERNEL_VA(page), PAGE_SIZE) == PT_OK);
	else
		ck_assert(space_map_kernel(KERNEL_VA(page), new_frame()) == PT_OK);
	kernel_mapped[page] ^= true;
}

/* ---- What a CPU sees ----------------------------------------------------------------------------
 */

static void look(void)
{
	for (int page = 0; page < PAGES; page++) {
		stale += tlb_access(USER_VA(page)) != tlb_truth(USER_VA(page));
		stale += tlb_access(KERNEL_VA(page)) != tlb_truth(KERNEL_VA(page));
	}
}

/* In ring 0, in ring 3 as entry.S goes there, and in ring 0 again. */
static void look_through_both_roots(uint32_t cpu)
{
	tlb_on_cpu(cpu);
	look();
	write_cr3(this_cpu()->user_cr3);
	look();
	write_cr3(this_cpu()->kernel_cr3);
	look();
}

/* ---- At random ----------------------------------------------------------------------------------
 */

static void step(void)
{
	const int i = (int)pick(SPACES);
	const uint32_t cpu = pick(TLB_CPUS);

	switch (pick(8)) {
	case 0:
		if (!spaces[i].alive)
			make(i);
		else if (spaces[i].cpu < 0)
			end(i);
		break;
	case 1:
		change_kernel();
		break;
	case 2:
		run(-1, cpu);
		break;
	case 3:
	case 4:
		if (spaces[i].alive && spaces[i].cpu < 0)
			run(i, cpu);
		break;
	default:
		if (spaces[i].alive)
			change(i);
	}
	look_through_both_roots(cpu);
}

static void set_up(uint32_t mode)
{
	const struct pt_geometry geo = {
	    .levels = 4, .maxphyaddr = 46, .nx = true, .gib_pages = true, .pcid = true};

	arena_init(&arena, 2000);
	ck_assert(pt_init(&kernel, geo, arena_memory(&arena)) == PT_OK);
	ck_assert(pt_reserve(&kernel, RS_STACKS_BASE, PAGE_SIZE, NULL) == PT_OK);
	ck_assert(pt_map(&kernel, RS_DIRECT_BASE, 0, 1 << 21, PT_WRITE | PT_GLOBAL, NULL) == PT_OK);
	ck_assert(pt_map(&kernel, RS_IMAGE_BASE, 0, PAGE_SIZE, PT_EXEC | PT_GLOBAL, NULL) == PT_OK);
	ck_assert(pt_map(&kernel, RS_ENTRY_BASE, 0, PAGE_SIZE, PT_EXEC | PT_GLOBAL, NULL) == PT_OK);
	boot = (struct rs_boot){
	    .kernel_root = kernel.root,
	    .levels = 4,
	    .maxphyaddr = 46,
	    .features = RS_FEATURE_NX | RS_FEATURE_PCID | RS_FEATURE_GIB_PAGES,
	    .pti_mode = mode,
	};
	tlb_init(kernel.root);
	ck_assert(space_init(&boot));
	for (uint32_t cpu = 0; cpu < TLB_CPUS; cpu++) {
		tlb_on_cpu(cpu);
		space_set_mode(mode);
		running[cpu] = -1;
		space_load(space_kernel());
	}
}

START_TEST(no_translation_outlives_its_tables)
{
	const uint32_t modes[] = {RS_PTI_OFF, RS_PTI_PCID, RS_PTI_NOPCID};
	const char *given = getenv("RS_SEED");
	const unsigned seed = given ? (unsigned)atoi(given) : (unsigned)time(NULL);
	uint64_t reused = 0;

	srand(seed);
	set_up(modes[_i]);
	for (int n = 0; n < STEPS && !stale; n++)
		step();
	for (uint32_t cpu = 0; cpu < TLB_CPUS; cpu++) {
		tlb_on_cpu(cpu);
		reused += cpu_stats()->pcid_reused;
	}
	ck_assert_msg(!stale, "KPTI mode %u, RS_SEED=%u: a stale translation was used", modes[_i],
	              seed);
	ck_assert_msg(modes[_i] != RS_PTI_PCID || reused > STEPS / 100,
	              "PCIDs changed hands %lu times only", (unsigned long)reused);
}
END_TEST

/* What ring 3 sees of its memory is what ring 0 does, but that ring 0 runs none of it under KPTI.
 */
START_TEST(both_roots_have_the_user_half)
{
	const uint32_t modes[] = {RS_PTI_OFF, RS_PTI_PCID, RS_PTI_NOPCID};
	struct pt_walk user, ring0;
	struct space space;

	set_up(modes[_i]);
	ck_assert(space_create(&space));
	ck_assert(space_map(&space, USER_VA(0), new_frame(), PAGE_SIZE, PT_EXEC) == PT_OK);
	ck_assert(space_mirror(&space, USER_VA(0), PAGE_SIZE) == PT_OK);
	pt_walk(&space.user, USER_VA(0), &user);
	pt_walk(&space.kernel, USER_VA(0), &ring0);
	ck_assert(user.mapped && ring0.mapped && user.pa == ring0.pa);
	ck_assert(user.rights & PT_EXEC);
	ck_assert_uint_eq(ring0.rights & PT_EXEC, modes[_i] == RS_PTI_OFF ? PT_EXEC : 0);
	ck_assert(space_map(&space, RS_USER_END, new_frame(), PAGE_SIZE, 0) != PT_OK);
	ck_assert(space_map(&space, RS_USER_END - PAGE_SIZE, new_frame(), 2 * PAGE_SIZE, 0) !=
	          PT_OK);
	ck_assert(space_unmap(&space, USER_VA(0), PAGE_SIZE) == PT_OK);
	space_destroy(&space);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space");
	TCase *tcase = tcase_create("TLB");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tcase, both_roots_have_the_user_half, 0, 3);
	tcase_add_loop_test(tcase, no_translation_outlives_its_tables, 0, 3);
	tcase_set_timeout(tcase, 0);
	suite_add_tcase(suite, tcase);
	srunner_add_suite(runner, guest_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
