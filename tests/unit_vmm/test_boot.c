/* What boot_build leaves in guest RAM, looked at as a processor would: tables, IDT, GDT, TSS, and
 * the boot page.  No KVM. */
#include <stdio.h>
#include <string.h>

#include "shared/desc.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/boot/ringscope.h"

enum { PAGES = 1024 };
#define RAM  ((uint64_t)PAGES * PAGE_SIZE)
#define TEXT (RS_IMAGE_BASE + 0x100000)

static struct boot boot;
static struct memory memory;
static struct image image;
static struct plan plan;
static struct host host;
static char *const words[] = {"one", ""};

static void setup(void)
{
	memset(&boot, 0, sizeof(boot));
	ck_assert(memory_create(&memory, RAM));
	host = (struct host){
	    .maxphyaddr = 46,
	    .cpuid_features = RS_FEATURE_NX | RS_FEATURE_GIB_PAGES,
	    .features = RS_FEATURE_NX,
	    .tsc_khz = 2600000,
	};
	plan = (struct plan){.mem = RAM, .cpus = 1, .guest = "g.elf", .argc = 2, .argv = words};
	image = (struct image){
	    .entry = TEXT,
	    .count = 4,
	    .segments =
	        {{.header = 0, .va = TEXT, .gpa = 0x100000, .memsz = 0x1801, .flags = 5},
	         {.header = 1, .va = TEXT + 0x2010, .gpa = 0x102010, .memsz = 0xff0, .flags = 6},
	         {.header = 2, .va = RS_ENTRY_BASE, .gpa = 0x103000, .memsz = 1, .flags = 5},
	         {.header = 3, .va = 0x400000, .gpa = 0x104000, .memsz = 1, .flags = 4}},
	    .end = 0x105000,
	    .noted = true,
	    .note = {.abi = RS_ABI_VERSION,
	             .size = sizeof(struct rs_note),
	             .vectors = TEXT + 0x100,
	             .vector_stride = 16,
	             .vector_count = 200,
	             .user_vectors = {1 << 3, 0, 1, 0},
	             .trap_gates = {0, 0, 1, 0x80},
	             .ist = {[2] = 2, [8] = 1, [31] = 7}},
	};
}

static void teardown(void)
{
	memory_destroy(&memory);
}

static void build(void)
{
	ck_assert(boot_build(&boot, &memory, &image, &host, &plan));
}

/* The byte at a virtual address, by the tables alone. */
static void *virtual(uint64_t va)
{
	struct pt_walk walk;

	pt_walk(&boot.kernel, va, &walk);
	ck_assert_msg(walk.mapped, "0x%lx is not mapped", va);
	return memory_at(&memory, walk.pa, 1);
}

/* ---- Tables -------------------------------------------------------------------------------- */

enum { RW = PT_WRITE | PT_GLOBAL, RO = PT_GLOBAL, RX = PT_EXEC | PT_GLOBAL };

static const struct {
	uint64_t va;
	unsigned pages;
	uint32_t rights;
	uint64_t pa; /* 0: anywhere behind the image */
} expected[] = {
    {RS_DIRECT_BASE, PAGES, RW, 0},
    {TEXT, 2, RX, 0x100000},
    {TEXT + 0x2000, 1, RW, 0x102000},
    {RS_ENTRY_BASE, 1, RX, 0x103000},
    {RS_BOOT_PAGE, 1, RO, 0},
    {RS_ENTRY_IDT, 1, RO, 0},
    {RS_ENTRY_CPU_BASE + RS_ENTRY_WORDS, 3, RW, 0}, /* words, GDT, TSS */
    {RS_ENTRY_CPU_BASE + RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE, 1, RW, 0},
    {RS_ENTRY_CPU_BASE + RS_IST_TOP(1) - RS_IST_SIZE, 2, RW, 0},
    {RS_ENTRY_CPU_BASE + RS_IST_TOP(2) - RS_IST_SIZE, 2, RW, 0},
    {RS_ENTRY_CPU_BASE + RS_IST_TOP(3) - RS_IST_SIZE, 2, RW, 0},
    {RS_ENTRY_CPU_BASE + RS_IST_TOP(4) - RS_IST_SIZE, 2, RW, 0},
    {RS_ENTRY_CPU_BASE + RS_IST_TOP(5) - RS_IST_SIZE, 2, RW, 0},
    {RS_ENTRY_CPU_BASE + RS_IST_TOP(6) - RS_IST_SIZE, 2, RW, 0},
    {RS_ENTRY_CPU_BASE + RS_IST_TOP(7) - RS_IST_SIZE, 2, RW, 0},
    {RS_KERNEL_CPU_BASE + RS_KERNEL_STATS, 3, RW, 0}, /* statistics and call pages */
    {RS_KERNEL_CPU_BASE + RS_KERNEL_BOOT_STACK_TOP - RS_KERNEL_BOOT_STACK_SIZE, 2, RW, 0},
};

static void check_tables(void)
{
	/* A frame belongs to one mapping, the direct map apart. */
	static bool used[PAGES];
	struct pt_counts counts;
	uint64_t pages = 0;

	memset(used, 0, sizeof(used));
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		for (unsigned page = 0; page < expected[i].pages; page++) {
			uint64_t va = expected[i].va + (uint64_t)page * PAGE_SIZE;
			struct pt_walk walk;

			pt_walk(&boot.kernel, va, &walk);
			ck_assert_msg(walk.mapped, "0x%lx is not mapped", va);
			ck_assert_msg(walk.rights == expected[i].rights,
			              "0x%lx: rights 0x%x, wanted 0x%x", va, walk.rights,
			              expected[i].rights);
			if (i == 0) {
				ck_assert_uint_eq(walk.pa, (uint64_t)page * PAGE_SIZE);
				continue;
			}
			if (expected[i].pa)
				ck_assert_uint_eq(walk.pa,
				                  expected[i].pa + (uint64_t)page * PAGE_SIZE);
			else
				ck_assert_uint_ge(walk.pa, image.end);
			ck_assert_uint_lt(walk.pa, boot.next_frame);
			ck_assert_msg(!used[walk.pa / PAGE_SIZE], "0x%lx shares its frame", va);
			used[walk.pa / PAGE_SIZE] = true;
		}
		pages += expected[i].pages;
	}
	/* ... and that is all. */
	ck_assert_int_eq(pt_count(&boot.kernel, 0, UINT64_MAX, &counts), PT_OK);
	ck_assert_uint_eq(counts.pages, pages);
	ck_assert_uint_eq(counts.user_pages, 0);
	ck_assert_uint_eq(pt_audit(&boot.kernel, memory_ram(&memory), NULL, NULL), 0);
}

START_TEST(the_tables_map_what_the_contract_lists_and_nothing_else)
{
	plan.la57 = _i;
	build();
	ck_assert_uint_eq(boot.kernel.geo.levels, _i ? 5 : 4);
	check_tables();
}
END_TEST

START_TEST(what_address_spaces_share_exists_from_the_start)
{
	static const uint64_t shared[] = {RS_DIRECT_BASE, RS_STACKS_BASE, RS_IMAGE_BASE};

	build();

	const uint64_t *root = memory_at(&memory, boot.kernel.root, PAGE_SIZE);

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		ck_assert_uint_ne(root[shared[i] >> 39 & 511], 0);
	ck_assert_uint_eq(root[256], 0);
	for (unsigned i = 0; i < 256; i++)
		ck_assert_uint_eq(root[i], 0);
}
END_TEST

START_TEST(no_room_is_an_error)
{
	build();
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr)); /* a message for each size */

	uint64_t need = boot.next_frame;

	for (uint64_t size = image.end; size < need; size += PAGE_SIZE) {
		memory_destroy(&memory);
		ck_assert(memory_create(&memory, size));
		ck_assert(!boot_build(&boot, &memory, &image, &host, &plan));
		ck_assert_uint_le(boot.next_frame, size);
	}
}
END_TEST

/* ---- Descriptors --------------------------------------------------------------------------- */

START_TEST(the_idt_is_what_the_note_says)
{
	build();

	const uint64_t(*idt)[2] = virtual(RS_ENTRY_IDT);

	for (unsigned v = 0; v < 256; v++) {
		struct desc_gate gate;

		desc_gate_decode(idt[v], &gate);
		if (v >= 200) {
			ck_assert(idt[v][0] == 0 && idt[v][1] == 0);
			continue;
		}
		ck_assert(gate.present);
		ck_assert_uint_eq(gate.offset, TEXT + 0x100 + v * 16);
		ck_assert_uint_eq(gate.selector, RS_SEL_KERNEL_CODE);
		ck_assert_uint_eq(gate.dpl, v == 3 || v == 128 ? 3 : 0);
		ck_assert_uint_eq(gate.type,
		                  v == 128 || v == 199 ? DESC_TRAP_GATE : DESC_INTERRUPT_GATE);
		ck_assert_uint_eq(gate.ist, v == 2 ? 2 : v == 8 ? 1 : v == 31 ? 7 : 0);
	}
}
END_TEST

START_TEST(the_gdt_has_the_selectors_of_the_contract)
{
	static const struct {
		uint16_t selector;
		bool code, code64;
	} wanted[] = {
	    {RS_SEL_KERNEL_CODE, true, true},  {RS_SEL_KERNEL_DATA, false, false},
	    {RS_SEL_USER_CODE32, true, false}, {RS_SEL_USER_DATA, false, false},
	    {RS_SEL_USER_CODE, true, true},    {RS_SEL_USER_DATA2, false, false},
	};
	struct desc_segment segment;

	build();

	const uint64_t *gdt = virtual(RS_ENTRY_CPU(0) + RS_ENTRY_GDT);

	ck_assert_uint_eq(gdt[0], 0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		desc_segment_decode(&gdt[selector_index(wanted[i].selector)], &segment);
		ck_assert(segment.present && !segment.system && segment.base == 0);
		ck_assert_uint_eq(segment.limit, 0xffffffff);
		ck_assert_uint_eq(segment.dpl, selector_rpl(wanted[i].selector));
		ck_assert_uint_eq(segment.type, wanted[i].code ? DESC_CODE_RX : DESC_DATA_RW);
		ck_assert_int_eq(segment.code64, wanted[i].code64);
	}
	desc_segment_decode(&gdt[selector_index(RS_SEL_TSS)], &segment);
	ck_assert(segment.present && segment.system && segment.type == DESC_TSS_AVAILABLE);
	ck_assert_uint_eq(segment.base, RS_ENTRY_CPU(0) + RS_ENTRY_TSS);
	ck_assert_uint_eq(segment.limit, RS_TSS_LIMIT);
	for (unsigned i = selector_index(RS_SEL_TSS) + 2; i < RS_GDT_ENTRIES; i++)
		ck_assert_uint_eq(gdt[i], 0);
}
END_TEST

START_TEST(the_tss_has_its_stacks_and_denies_every_port)
{
	build();

	const struct desc_tss *tss = virtual(RS_ENTRY_CPU(0) + RS_ENTRY_TSS);
	const uint8_t *bytes = (const uint8_t *)tss;

	ck_assert_uint_eq(desc_tss_rsp(tss, 0), RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP);
	for (unsigned i = 1; i <= 7; i++)
		ck_assert_uint_eq(desc_tss_ist(tss, i), RS_ENTRY_CPU(0) + RS_IST_TOP(i));
	ck_assert_uint_eq(tss->iomap_base, RS_IO_BITMAP_OFFSET);
	for (unsigned i = RS_IO_BITMAP_OFFSET; i <= RS_TSS_LIMIT; i++)
		ck_assert_uint_eq(bytes[i], 0xff);
	ck_assert_uint_eq(bytes[RS_TSS_LIMIT + 1], 0);
}
END_TEST

/* ---- Several CPUs -------------------------------------------------------------------------- */

START_TEST(each_cpu_has_pages_of_its_own)
{
	static bool used[PAGES];
	struct pt_walk walk;

	memset(used, 0, sizeof(used));
	plan.cpus = 3;
	build();
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		const uint64_t *gdt = virtual(RS_ENTRY_CPU(cpu) + RS_ENTRY_GDT);
		const struct desc_tss *tss = virtual(RS_ENTRY_CPU(cpu) + RS_ENTRY_TSS);
		struct desc_segment segment;

		desc_segment_decode(&gdt[selector_index(RS_SEL_TSS)], &segment);
		ck_assert_uint_eq(segment.base, RS_ENTRY_CPU(cpu) + RS_ENTRY_TSS);
		ck_assert_uint_eq(desc_tss_rsp(tss, 0), RS_ENTRY_CPU(cpu) + RS_ENTRY_STACK_TOP);
		for (unsigned i = 1; i <= 7; i++)
			ck_assert_uint_eq(desc_tss_ist(tss, i), RS_ENTRY_CPU(cpu) + RS_IST_TOP(i));
		ck_assert_ptr_eq(boot.call[cpu], virtual(RS_KERNEL_CPU(cpu) + RS_KERNEL_CALL));
		ck_assert_ptr_eq(boot.stats[cpu], virtual(RS_KERNEL_CPU(cpu) + RS_KERNEL_STATS));
		/* The same offsets are mapped as of CPU 0, each to a frame of its own. */
		for (uint64_t at = 0; at < RS_CPU_STRIDE; at += PAGE_SIZE) {
			for (unsigned kernel = 0; kernel < 2; kernel++) {
				bool first;

				pt_walk(&boot.kernel,
				        (kernel ? RS_KERNEL_CPU(0) : RS_ENTRY_CPU(0)) + at, &walk);
				first = walk.mapped;
				pt_walk(&boot.kernel,
				        (kernel ? RS_KERNEL_CPU(cpu) : RS_ENTRY_CPU(cpu)) + at,
				        &walk);
				ck_assert_int_eq(walk.mapped, first);
				if (!first)
					continue;
				ck_assert(!used[walk.pa / PAGE_SIZE]);
				used[walk.pa / PAGE_SIZE] = true;
			}
		}
	}
	pt_walk(&boot.kernel, RS_ENTRY_CPU(3) + RS_ENTRY_GDT, &walk);
	ck_assert(!walk.mapped);
	boot_publish(&boot, &image, &host, &plan, RS_PTI_OFF);
	ck_assert_uint_eq(boot.page->cpus, 3);
}
END_TEST

START_TEST(the_counters_of_all_cpus_add_up)
{
	struct rs_stats sum;

	plan.cpus = 8;
	build();
	for (unsigned cpu = 0; cpu < 8; cpu++) {
		boot.stats[cpu]->vectors[0] = 1;
		boot.stats[cpu]->syscall64 = UINT64_C(1) << (8 * cpu);
		boot.stats[cpu]->external80 = cpu;
	}
	sum = boot_counts(&boot);
	ck_assert_uint_eq(sum.vectors[0], 8);
	ck_assert_uint_eq(sum.vectors[255], 0);
	ck_assert_uint_eq(sum.syscall64, 0x0101010101010101);
	ck_assert_uint_eq(sum.external80, 28);
}
END_TEST

/* ---- The boot page ------------------------------------------------------------------------- */

START_TEST(the_boot_page_tells_the_guest_all)
{
	build();
	boot_publish(&boot, &image, &host, &plan, RS_PTI_NOPCID);

	const struct rs_boot *page = virtual(RS_BOOT_PAGE);

	ck_assert_ptr_eq(page, boot.page);
	ck_assert(page->magic == RS_BOOT_MAGIC && page->abi == RS_ABI_VERSION);
	ck_assert_uint_eq(page->size, sizeof(*page));
	ck_assert_uint_eq(page->ram_size, RAM);
	ck_assert_uint_eq(page->free_start, boot.next_frame);
	ck_assert_uint_eq(page->free_end, RAM);
	ck_assert(page->high_end == RS_HIGH_RAM && page->ram_total == RAM);
	ck_assert_uint_eq(page->kernel_root, boot.kernel.root);
	ck_assert_uint_eq(page->features, RS_FEATURE_NX);
	ck_assert(page->levels == 4 && page->maxphyaddr == 46 && page->cpus == 1);
	ck_assert_uint_eq(page->pti_mode, RS_PTI_NOPCID);
	ck_assert_uint_eq(page->tsc_khz, 2600000);
	ck_assert_uint_eq(page->segment_count, 4);
	ck_assert(page->segments[0].va == TEXT && page->segments[0].size == 0x2000);
	ck_assert(page->segments[1].va == TEXT + 0x2000 && page->segments[1].gpa == 0x102000 &&
	          page->segments[1].size == 0x1000 && page->segments[1].flags == 6);
	ck_assert(page->segments[2].user == 0 && page->segments[3].user == 1);
	ck_assert_uint_eq(page->argc, 3);
	ck_assert_mem_eq(page->cmdline, "g.elf\0one\0\0", 12);
	/* The frames that the guest gets are zero. */
	for (uint64_t at = page->free_start; at < page->free_end; at += 8)
		ck_assert_uint_eq(*(const uint64_t *)memory_at(&memory, at, 8), 0);

	boot_set_quirk(&boot, RS_QUIRK_NO_STAC);
	ck_assert_uint_eq(page->quirks, RS_QUIRK_NO_STAC);
}
END_TEST

/* ---- RAM with a hole ----------------------------------------------------------------------- */

#define HOLE (RS_HIGH_RAM - RS_HOLE)

START_TEST(ram_lies_below_the_hole_and_from_4_gib_on)
{
	static const struct {
		uint64_t size, low_end, high_end;
	} cases[] = {
	    {PAGE_SIZE, PAGE_SIZE, 0},
	    {RS_HOLE - PAGE_SIZE, RS_HOLE - PAGE_SIZE, 0},
	    {RS_HOLE, RS_HOLE, 0},
	    {RS_HOLE + PAGE_SIZE, RS_HOLE, RS_HIGH_RAM + PAGE_SIZE},
	    {PLAN_MEM_MAX, RS_HOLE, PLAN_MEM_MAX + HOLE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t low = cases[i].low_end, high = cases[i].high_end;
		struct memory ram;

		ck_assert(memory_create(&ram, cases[i].size));
		ck_assert(ram.size == cases[i].size && ram.low_end == low && ram.high_end == high);
		ck_assert_uint_eq(memory_size_of_span(memory_span(&ram)), ram.size);
		ck_assert_ptr_eq(memory_at(&ram, 0, low), ram.base);
		ck_assert_ptr_nonnull(memory_at(&ram, low - 1, 1));
		ck_assert_ptr_nonnull(memory_at(&ram, low, 0));
		ck_assert_ptr_null(memory_at(&ram, low - 1, 2));
		ck_assert_ptr_null(memory_at(&ram, low, 1));
		ck_assert_ptr_null(memory_at(&ram, 0, low + 1));
		ck_assert_ptr_null(memory_at(&ram, 0, UINT64_MAX));
		ck_assert_ptr_null(memory_at(&ram, low + 1, 0));
		ck_assert_ptr_null(memory_at(&ram, RS_HIGH_RAM - 1, 1));
		ck_assert_ptr_null(memory_at(&ram, RS_HIGH_RAM - 1, 2));
		ck_assert_ptr_null(memory_at(&ram, UINT64_MAX, 1));
		ck_assert_int_eq(memory_at(&ram, RS_HIGH_RAM, 1) != NULL, high != 0);
		ck_assert_ptr_null(memory_at(&ram, high ? high : RS_HIGH_RAM, 1));
		if (high) {
			ck_assert_ptr_eq(memory_at(&ram, high - 1, 1), ram.base + high - 1);
			*(uint8_t *)memory_at(&ram, high - 1, 1) = 1;
			ck_assert_ptr_null(memory_at(&ram, high - 1, 2));
		}
		memory_destroy(&ram);
	}
	ck_assert_uint_eq(memory_size_of_span(RS_HOLE + 1), 0);
	ck_assert_uint_eq(memory_size_of_span(RS_HIGH_RAM), 0);
}
END_TEST

START_TEST(the_guest_gets_all_of_it)
{
	const uint64_t size = UINT64_C(8) << 30, high_end = size + HOLE;
	static const uint64_t mapped[] = {0, RS_HOLE - 1, RS_HIGH_RAM,
	                                  (UINT64_C(8) << 30) + HOLE - 1};
	static const uint64_t not_mapped[] = {RS_HOLE, 0xfee00000, RS_HIGH_RAM - 1,
	                                      (UINT64_C(8) << 30) + HOLE};
	struct pt_walk walk;

	for (unsigned gib = 0; gib < 2; gib++) {
		memory_destroy(&memory);
		ck_assert(memory_create(&memory, size));
		host.cpuid_features = RS_FEATURE_NX | (gib ? RS_FEATURE_GIB_PAGES : 0);
		build();
		boot_publish(&boot, &image, &host, &plan, RS_PTI_OFF);
		for (unsigned i = 0; i < 4; i++) {
			pt_walk(&boot.kernel, RS_DIRECT_BASE + mapped[i], &walk);
			ck_assert(walk.mapped && walk.pa == mapped[i]);
			pt_walk(&boot.kernel, RS_DIRECT_BASE + not_mapped[i], &walk);
			ck_assert(!walk.mapped);
		}
		ck_assert_uint_eq(pt_audit(&boot.kernel, memory_ram(&memory), NULL, NULL), 0);
		ck_assert(boot.page->ram_size == RS_HOLE && boot.page->free_end == RS_HOLE);
		ck_assert(boot.page->high_end == high_end && boot.page->ram_total == size);
	}
	/* The addresses count, not the bytes. */
	host.maxphyaddr = 33;
	ck_assert(!boot_build(&boot, &memory, &image, &host, &plan));
}
END_TEST

START_TEST(without_a_note_the_image_is_the_kernels)
{
	struct pt_walk walk;

	image.noted = false;
	build();
	pt_walk(&boot.kernel, 0x400000, &walk);
	ck_assert(walk.mapped && walk.pa == 0x104000 && walk.rights == 0);
	pt_walk(&boot.kernel, RS_ENTRY_IDT, &walk);
	ck_assert(!walk.mapped);
	ck_assert_uint_eq(pt_audit(&boot.kernel, memory_ram(&memory), NULL, NULL), 0);
}
END_TEST

Suite *boot_suite(void);
Suite *boot_suite(void)
{
	Suite *suite = suite_create("boot");
	TCase *tcase = tcase_create("boot");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, the_tables_map_what_the_contract_lists_and_nothing_else, 0, 2);
	tcase_add_test(tcase, what_address_spaces_share_exists_from_the_start);
	tcase_add_test(tcase, no_room_is_an_error);
	tcase_add_test(tcase, the_idt_is_what_the_note_says);
	tcase_add_test(tcase, the_gdt_has_the_selectors_of_the_contract);
	tcase_add_test(tcase, the_tss_has_its_stacks_and_denies_every_port);
	tcase_add_test(tcase, each_cpu_has_pages_of_its_own);
	tcase_add_test(tcase, the_counters_of_all_cpus_add_up);
	tcase_add_test(tcase, the_boot_page_tells_the_guest_all);
	tcase_add_test(tcase, ram_lies_below_the_hole_and_from_4_gib_on);
	tcase_add_test(tcase, the_guest_gets_all_of_it);
	tcase_add_test(tcase, without_a_note_the_image_is_the_kernels);
	suite_add_tcase(suite, tcase);
	return suite;
}
