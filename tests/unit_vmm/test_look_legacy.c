/* --walk, --map and --audit on tables of 32-bit protected mode, written by hand, and on none. */
#include <stdlib.h>
#include <string.h>

#include "shared/x86.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/look/audit.h"
#include "vmm/look/map.h"
#include "vmm/look/view.h"
#include "vmm/look/walk.h"

#define RAM       (UINT64_C(4) << 20)
#define DIRECTORY 0x10000
#define TABLE     0x11000
#define POINTERS  0x12fe0 /* PAE: aligned to 32 bytes */
#define P         UINT64_C(1)
#define W         UINT64_C(2)
#define U         UINT64_C(4)
#define PS        UINT64_C(0x80)
#define G         UINT64_C(0x100)
#define NX        X86_BIT(63)

static struct memory memory;
static struct look_moment moment;
static struct look look;
static struct places places;
static struct audit audit;
static const struct symbols no_symbols;

static void setup(void)
{
	ck_assert(memory_create(&memory, RAM));
	moment = (struct look_moment){
	    .memory = &memory,
	    .geometry = {.levels = 4, .maxphyaddr = 40},
	    .foreign = true,
	    .cpus = 1,
	    .when = "now",
	    .symbols = &no_symbols,
	    .sregs = {.cr0 = CR0_PE | CR0_WP | CR0_PG, .cr3 = DIRECTORY, .cr4 = CR4_PSE},
	};
}

static void teardown(void)
{
	memory_destroy(&memory);
}

static void begin(void)
{
	look_init(&look, &moment);
	places_make(&places, &look);
}

static void put32(uint64_t table, unsigned index, uint64_t entry)
{
	const uint32_t word = (uint32_t)entry;

	ck_assert_uint_eq(entry, word);
	memcpy(memory_at(&memory, table + 4 * index, 4), &word, 4);
}

static void put64(uint64_t table, unsigned index, uint64_t entry)
{
	memcpy(memory_at(&memory, table + 8 * index, 8), &entry, 8);
}

/* A table for 8000_0000 on, and large pages. */
static void make_32(void)
{
	put32(DIRECTORY, 0x200, TABLE | P | W | U);
	put32(TABLE, 0, 0x1000 | P | W | U);
	put32(TABLE, 0x1ff, 0x2000 | P | W);
	put32(TABLE, 0x200, 0x3000 | P | U);
	put32(TABLE, 0x3ff, 0x4000 | P | G | 0xe00);
	put32(DIRECTORY, 0x300, 0x00400000 | P | W | PS | G);
	put32(DIRECTORY, 0x3ff, 0xffc00000 | 0x1fe000 | P | PS);
}

static void make_pae(void)
{
	moment.sregs.cr3 = POINTERS;
	moment.sregs.cr4 |= CR4_PAE;
	moment.sregs.efer = EFER_NXE;
	put64(POINTERS, 3, DIRECTORY | P);
	put64(DIRECTORY, 0, TABLE | P | W | U);
	put64(TABLE, 5, 0x5000 | P | W | U | NX);
	put64(DIRECTORY, 0x1ff, 0x200000 | P | W | PS);
}

static struct pt_walk walk_to(uint64_t va)
{
	struct pt_walk walk;

	begin();
	look_begin_scan(&look);
	pt_walk(&look.pt[LOOK_KERNEL], va, &walk);
	legacy_walk(&look.tables.legacy, look.cr3[LOOK_KERNEL], va, &walk);
	return walk;
}

/* What gdb, a death's account and backtraces read by is the same as what --walk shows. */
static void check_view(uint64_t va, const struct pt_walk *walk)
{
	const uint32_t asked = PT_WRITE | PT_USER | PT_EXEC;
	const struct view view = view_make(&memory, &moment.regs, &moment.sregs, moment.geometry);
	uint64_t pa = 0;
	uint32_t rights = 0;

	ck_assert_int_eq(view_translate(&view, va, &pa, &rights), walk->mapped && !walk->reserved);
	if (!walk->mapped || walk->reserved)
		return;
	ck_assert_uint_eq(pa, walk->pa);
	ck_assert_uint_eq(rights & asked, walk->rights & asked);
}

static const struct {
	uint64_t va, pa, size;
	uint32_t rights;
	unsigned steps, index[3];
} ways_32[] = {
    {0x80000123, 0x1123, 0x1000, PT_WRITE | PT_EXEC | PT_USER, 2, {0x200, 0}},
    {0x801ff000, 0x2000, 0x1000, PT_WRITE | PT_EXEC, 2, {0x200, 0x1ff}},
    {0x80200000, 0x3000, 0x1000, PT_EXEC | PT_USER, 2, {0x200, 0x200}},
    {0x803fffff, 0x4fff, 0x1000, PT_EXEC | PT_GLOBAL, 2, {0x200, 0x3ff}},
    {0xc03fffff, 0x7fffff, 0x400000, PT_WRITE | PT_EXEC | PT_GLOBAL, 1, {0x300}},
    {0xffffffff, 0xffffffffff, 0x400000, PT_EXEC, 1, {0x3ff}},
    {0x80001000, 0, 0, 0, 2, {0x200, 1}},
    {0x80400000, 0, 0, 0, 1, {0x201}},
    {0x180000123, 0, 0, 0, 0, {0}},
};

START_TEST(walks_of_32_bits)
{
	struct pt_walk walk;

	make_32();
	walk = walk_to(ways_32[_i].va);
	check_view(ways_32[_i].va, &walk);
	ck_assert_int_eq(walk.mapped, ways_32[_i].size != 0);
	ck_assert_uint_eq(walk.steps, ways_32[_i].steps);
	for (unsigned i = 0; i < walk.steps; i++) {
		ck_assert_uint_eq(walk.step[i].index, ways_32[_i].index[i]);
		ck_assert_uint_eq(walk.step[i].level, 2 - i);
		ck_assert_uint_eq(walk.step[i].table, i ? TABLE : DIRECTORY);
	}
	if (!walk.mapped)
		return;
	ck_assert_uint_eq(walk.pa, ways_32[_i].pa);
	ck_assert_uint_eq(walk.page_size, ways_32[_i].size);
	ck_assert_uint_eq(walk.rights, ways_32[_i].rights);
}
END_TEST

/* Without PSE the bit says nothing: a table lies there. */
START_TEST(no_large_pages)
{
	struct pt_walk walk;

	make_32();
	moment.sregs.cr4 = 0;
	put32(DIRECTORY, 0x300, TABLE | P | W | U | PS);
	walk = walk_to(0xc0000000);
	ck_assert(walk.mapped && walk.pa == 0x1000);
	check_view(0xc0000000, &walk);
	ck_assert_uint_eq(walk.step[0].entry, TABLE | P | W | U | PS);
}
END_TEST

START_TEST(walks_of_pae)
{
	struct pt_walk walk;

	make_pae();
	walk = walk_to(0xc0005678);
	check_view(0xc0005678, &walk);
	ck_assert(walk.mapped);
	ck_assert_uint_eq(walk.pa, 0x5678);
	ck_assert_uint_eq(walk.rights, PT_WRITE | PT_USER);
	ck_assert_uint_eq(walk.steps, 3);
	ck_assert_uint_eq(walk.step[0].table, POINTERS);
	ck_assert_uint_eq(walk.step[0].index, 3);
	ck_assert_uint_eq(walk.step[0].entry, DIRECTORY | P);
	ck_assert_uint_eq(walk.step[2].table, TABLE);
	walk = walk_to(0xffe12345);
	ck_assert(walk.mapped && walk.pa == 0x212345 && walk.page_size == 0x200000);
	check_view(0xffe12345, &walk);
	walk = walk_to(0);
	check_view(0, &walk);
	ck_assert(!walk.mapped && walk.steps == 1 && walk.step[0].entry == 0);
	walk = walk_to(0x1c0005678);
	check_view(0x1c0005678, &walk);
	ck_assert(!walk.mapped && walk.steps == 0);
}
END_TEST

START_TEST(no_paging)
{
	struct pt_walk walk;

	moment.sregs.cr0 = CR0_PE;
	walk = walk_to(0xfee00010);
	ck_assert(walk.mapped && walk.pa == 0xfee00010 && !walk.steps && !walk.page_size);
	ck_assert_uint_eq(walk.rights, PT_WRITE | PT_EXEC | PT_USER);
}
END_TEST

/* Text of both, to be freed. */
static char *look_at(const char *word)
{
	struct walk_request request;
	struct map mapping;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	begin();
	ck_assert(walk_parse(&request, word));
	ck_assert(walk_print(out, &look, &places, &request, false));
	ck_assert(map_make(&mapping, &look, &places));
	map_print(out, &look, &mapping, false);
	map_free(&mapping);
	fclose(out);
	return text;
}

static void want(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

START_TEST(in_words)
{
	char *text;

	make_32();
	text = look_at("c0000000");
	want(text,
	     "through the only root now: CR3 0x10000, paging 32-bit\n"
	     "  2 page directory 0x000000010000 [768] = 0000000000400183  rwx-  maps the page\n"
	     "  physical 0x400000 in a page of 4 MiB, rwx-g, memory\n");
	want(text, "Map now  only root 0x10000  paging 32-bit\n");
	want(text, "  0000000080000000 - 0000000080000fff      4 KiB  rwxu-   memory\n");
	want(text, "  00000000c0000000 - 00000000c03fffff      4 MiB  rwx-g   memory\n");
	want(text, "  8,208 KiB in all\n");
	free(text);
	text = look_at("100000000");
	want(text, "  not mapped; the address is longer than 32 bits\n  with CR0.WP=1");
	free(text);
	moment.sregs.cr0 = CR0_PE;
	text = look_at("1234");
	want(text, "paging off\n  physical 0x1234: paging is off\n");
	want(text, "  0000000000000000 - 00000000ffffffff      4 GiB  rwxu-   memory\n");
	free(text);
}
END_TEST

/* Rules are for long mode's tables. */
START_TEST(no_rules)
{
	make_pae();
	begin();
	audit_make(&audit, &look, &places);
	ck_assert_uint_eq(audit.kept + audit.broken, 0);
	ck_assert_str_eq(audit.result[0].not_asked, "the tables are not long mode's");
}
END_TEST

/* Tables anywhere: nothing outside RAM is read, and all ends. */
START_TEST(hostile_tables)
{
	static const uint64_t roots[] = {RAM,        RAM - 16,   RAM - 32,
	                                 UINT32_MAX, UINT64_MAX, DIRECTORY};
	struct map mapping;

	for (unsigned mode = 0; mode < 2; mode++) {
		for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
			moment.sregs.cr3 = roots[i];
			moment.sregs.cr4 = mode ? CR4_PSE : CR4_PAE;
			for (unsigned n = 0; n < 1024; n++)
				put32(DIRECTORY, n,
				      (n * 0x9e3779b9u & 0xfffff000) | (n & 0xff) | 1);
			begin();
			ck_assert(map_make(&mapping, &look, &places));
			map_free(&mapping);
			audit_make(&audit, &look, &places);
			for (uint64_t va = 0; va < X86_BIT(33); va += 0x12345678) {
				const struct pt_walk walk = walk_to(va);

				check_view(va, &walk);
			}
		}
	}
}
END_TEST

/* KVM is asked under these tables as well. */
static bool translate(void *ctx, uint64_t va, uint64_t *pa)
{
	(void)ctx;
	*pa = va - 0x80000000 + 0x1000;
	return true;
}

START_TEST(kvm_is_asked)
{
	struct look_kvm kvm;

	make_32();
	moment.translate = translate;
	begin();
	kvm = look_ask_kvm(&look, &look.pt[LOOK_KERNEL], 0x80000010, true, 0x1010, PT_USER);
	ck_assert(kvm.asked && kvm.agrees);
}
END_TEST

Suite *look_legacy_suite(void)
{
	Suite *suite = suite_create("look_legacy");
	TCase *tests = tcase_create("look_legacy");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, walks_of_32_bits, 0, sizeof(ways_32) / sizeof(ways_32[0]));
	tcase_add_test(tests, no_large_pages);
	tcase_add_test(tests, walks_of_pae);
	tcase_add_test(tests, no_paging);
	tcase_add_test(tests, in_words);
	tcase_add_test(tests, no_rules);
	tcase_add_test(tests, hostile_tables);
	tcase_add_test(tests, kvm_is_asked);
	suite_add_tcase(suite, tests);
	return suite;
}
