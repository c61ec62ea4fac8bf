/* Which root is the kernel's and which ring 3's: of our guest, of layouts like Linux's and others,
 * and of hostile tables. */
#include <string.h>

#include "tests/unit_vmm/look_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/look/roots.h"

static struct look_machine *m;
static struct pt tree;
static uint64_t next;

static bool take_frame(void *ctx, uint64_t *frame)
{
	(void)ctx;
	*frame = next;
	next += PAGE_SIZE;
	memset(memory_at(&m->memory, *frame, PAGE_SIZE), 0, PAGE_SIZE);
	return true;
}

static void drop_frame(void *ctx, uint64_t frame)
{
	(void)ctx;
	(void)frame;
}

static uint64_t *frame_at(void *ctx, uint64_t frame)
{
	(void)ctx;
	return memory_at(&m->memory, frame, PAGE_SIZE);
}

/* An empty tree, whose tables lie in the upper half of RAM. */
static void setup(void)
{
	const struct pt_geometry geo = {.levels = 4, .maxphyaddr = 40, .nx = true};

	m = look_machine_make();
	next = LOOK_RAM / 2;
	ck_assert_int_eq(
	    pt_init(&tree, geo, (struct pt_memory){NULL, take_frame, drop_frame, frame_at}), PT_OK);
}

static void map(uint64_t va, uint64_t pa, uint64_t size, uint32_t flags)
{
	ck_assert_int_eq(pt_map(&tree, va, pa, size, flags, NULL), PT_OK);
}

static uint64_t *top_of(const struct pt *of)
{
	return memory_at(&m->memory, of->root, PAGE_SIZE);
}

START_TEST(our_own)
{
	ck_assert_int_eq(roots_kind(&m->kernel), ROOT_KERNEL);
	ck_assert_int_eq(roots_kind(&m->kernel_tree), ROOT_KERNEL);
	ck_assert_int_eq(roots_kind(&m->user), ROOT_USER);
}
END_TEST

/* cpu_entry_area, one page in slot 273, and a 2 MiB page of entry text; the user half may map any
 * frame. */
START_TEST(like_linux)
{
	map(UINT64_C(0xffff88800e801000), 0x1000, PAGE_SIZE, PT_WRITE);
	map(UINT64_C(0xfffffe0000000000), 0x2000, 17 * PAGE_SIZE, PT_SMALL);
	map(UINT64_C(0xffffffff81c00000), 0, 2 << 20, PT_EXEC);
	ck_assert_int_eq(roots_kind(&tree), ROOT_USER);
	map(UINT64_C(0x400000), 0, LOOK_RAM, PT_USER | PT_WRITE);
	ck_assert_int_eq(roots_kind(&tree), ROOT_USER);
	/* KASLR: the map of RAM begins anywhere. */
	map(UINT64_C(0xffff9a0040000000), 0, LOOK_RAM, PT_WRITE);
	ck_assert_int_eq(roots_kind(&tree), ROOT_KERNEL);
}
END_TEST

/* The page before and behind the root's own are not it. */
START_TEST(to_the_page)
{
	map(UINT64_C(0xffffc00000001000), tree.root - PAGE_SIZE, PAGE_SIZE, 0);
	map(UINT64_C(0xffffc00000003000), tree.root + PAGE_SIZE, PAGE_SIZE, 0);
	ck_assert_int_eq(roots_kind(&tree), ROOT_USER);
	map(UINT64_C(0xffffc00000002000), tree.root, PAGE_SIZE, 0);
	ck_assert_int_eq(roots_kind(&tree), ROOT_KERNEL);
}
END_TEST

START_TEST(a_slot_that_leads_back)
{
	map(UINT64_C(0xffffffff80000000), 0, PAGE_SIZE, PT_EXEC);
	ck_assert_int_eq(roots_kind(&tree), ROOT_USER);
	top_of(&tree)[510] = tree.root | 3;
	ck_assert_int_eq(roots_kind(&tree), ROOT_KERNEL);
}
END_TEST

START_TEST(a_kernel_in_the_lower_half)
{
	map(0, 0, LOOK_RAM, PT_WRITE | PT_USER | PT_EXEC);
	ck_assert_int_eq(roots_kind(&tree), ROOT_KERNEL);
}
END_TEST

START_TEST(none_at_all)
{
	ck_assert_int_eq(roots_kind(&tree), ROOT_EMPTY);
	tree.root = LOOK_RAM;
	ck_assert_int_eq(roots_kind(&tree), ROOT_EMPTY);
	tree.root = CR3_FRAME;
	ck_assert_int_eq(roots_kind(&tree), ROOT_EMPTY);
}
END_TEST

/* Entries that lead in circles, through tables that are full: it ends. */
START_TEST(circles)
{
	uint64_t a, b;

	take_frame(NULL, &a);
	take_frame(NULL, &b);
	for (unsigned i = 0; i < 512; i++) {
		frame_at(NULL, a)[i] = b | 7;
		frame_at(NULL, b)[i] = a | 7;
		top_of(&tree)[i] = a | 7;
	}
	ck_assert_int_eq(roots_kind(&tree), ROOT_KERNEL);
	memset(top_of(&tree), 0xff, PAGE_SIZE);
	ck_assert_int_ne(roots_kind(&tree), ROOT_USER);
}
END_TEST

/* One of the two, with its PCID, is what was given. */
START_TEST(side_by_side)
{
	const struct roots_cr3 by_kernel = roots_of_linux(0x5612005);
	const struct roots_cr3 by_user = roots_of_linux(0x5613805);

	ck_assert_uint_eq(by_kernel.kernel, 0x5612005);
	ck_assert_uint_eq(by_kernel.user, 0x5613000);
	ck_assert_uint_eq(by_user.kernel, 0x5612000);
	ck_assert_uint_eq(by_user.user, 0x5613805);
}
END_TEST

/* ---- Both of a kernel that says nothing ------------------------------------------------------ */

static void look_at(struct look *look, uint64_t cr3)
{
	m->moment.noted = false;
	m->moment.kernel_cr3 = m->moment.user_cr3 = 0;
	m->moment.sregs.cr3 = cr3;
	m->moment.sregs.cr0 |= CR0_PG;
	m->moment.sregs.efer |= EFER_LMA;
	m->moment.sregs.idt.base = RS_ENTRY_IDT;
	look_init(look, &m->moment);
}

/* Copies of the process's two roots, side by side as Linux has them. */
START_TEST(both_side_by_side)
{
	const uint64_t kernel = LOOK_RAM / 2 + 2 * PAGE_SIZE, user = kernel + PAGE_SIZE;
	struct look look;

	memcpy(memory_at(&m->memory, kernel, PAGE_SIZE), top_of(&m->kernel), PAGE_SIZE);
	memcpy(memory_at(&m->memory, user, PAGE_SIZE), top_of(&m->user), PAGE_SIZE);
	look_at(&look, kernel | 0x3);
	ck_assert(look.two_roots);
	ck_assert_uint_eq(look.cr3[LOOK_KERNEL], kernel | 0x3);
	ck_assert_uint_eq(look.cr3[LOOK_USER], user);
	look_at(&look, user | 0x803);
	ck_assert(look.two_roots);
	ck_assert_uint_eq(look.cr3[LOOK_KERNEL], kernel);
	ck_assert_uint_eq(look.cr3[LOOK_USER], user | 0x803);
	/* Of another process. */
	((uint64_t *)memory_at(&m->memory, user, PAGE_SIZE))[77] = 0x3007;
	look_at(&look, kernel);
	ck_assert(!look.two_roots);
	((uint64_t *)memory_at(&m->memory, kernel, PAGE_SIZE))[77] = 0x4007;
	look_at(&look, kernel);
	ck_assert(!look.two_roots);
	((uint64_t *)memory_at(&m->memory, user, PAGE_SIZE))[77] = 0;
	((uint64_t *)memory_at(&m->memory, kernel, PAGE_SIZE))[77] = 0;
	/* Two of the kernel's. */
	memcpy(memory_at(&m->memory, user, PAGE_SIZE), top_of(&m->kernel), PAGE_SIZE);
	look_at(&look, kernel);
	ck_assert(!look.two_roots);
	look_at(&look, LOOK_RAM - PAGE_SIZE);
	ck_assert(!look.two_roots);
}
END_TEST

START_TEST(words_that_no_kernel_could_run_on)
{
	struct look look;

	m->moment.kernel_cr3 = m->moment.sregs.cr3 = m->user.root;
	m->moment.user_cr3 = m->kernel.root;
	look_init(&look, &m->moment);
	ck_assert(!look.two_roots);
	ck_assert_ptr_nonnull(look.distrust);
}
END_TEST

Suite *roots_suite(void)
{
	Suite *suite = suite_create("roots");
	TCase *tests = tcase_create("roots");

	tcase_add_checked_fixture(tests, setup, look_machine_free);
	tcase_add_test(tests, our_own);
	tcase_add_test(tests, like_linux);
	tcase_add_test(tests, to_the_page);
	tcase_add_test(tests, a_slot_that_leads_back);
	tcase_add_test(tests, a_kernel_in_the_lower_half);
	tcase_add_test(tests, none_at_all);
	tcase_add_test(tests, circles);
	tcase_add_test(tests, side_by_side);
	tcase_add_test(tests, both_side_by_side);
	tcase_add_test(tests, words_that_no_kernel_could_run_on);
	suite_add_tcase(suite, tests);
	return suite;
}
