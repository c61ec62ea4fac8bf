/* --map and --audit of a kernel that is not ours: one made by hand, as Linux with KPTI leaves its
 * tables.  All that is known is registers and memory.  Every rule that binds such a kernel is
 * broken once. */
#include <stdlib.h>
#include <string.h>

#include "shared/desc.h"
#include "shared/x86.h"
#include "tests/unit_vmm/look_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/look/audit.h"
#include "vmm/look/map.h"
#include "vmm/look/roots.h"

static struct look_machine *m;
static struct look look;
static struct places places;
static struct audit audit;

static void setup(void)
{
	m = look_machine_make_linux();
}

static void begin(void)
{
	look_init(&look, &m->moment);
	places_make(&places, &look);
}

static void map_page(struct pt *pt, uint64_t va, uint32_t rights)
{
	uint64_t frame = m->boot.next_frame;

	m->boot.next_frame += PAGE_SIZE;
	ck_assert_int_eq(pt_map(pt, va, frame, PAGE_SIZE, rights, NULL), PT_OK);
}

/* ---- Roots --------------------------------------------------------------------------------- */

START_TEST(roots_side_by_side)
{
	begin();
	ck_assert(look.two_roots);
	ck_assert_uint_eq(look.pt[LOOK_KERNEL].root, m->kernel.root);
	ck_assert_uint_eq(look.pt[LOOK_USER].root, m->user.root);
	ck_assert_str_eq(look.roots_from, "they lie side by side, as Linux has them");
	/* The same in ring 3. */
	m->moment.sregs.cr3 = m->user.root | 0x801;
	begin();
	ck_assert(look.two_roots);
	ck_assert_uint_eq(look.pt[LOOK_KERNEL].root, m->kernel.root);
	ck_assert_uint_eq(look.cr3[LOOK_USER], m->user.root | 0x801);
	ck_assert_int_eq(roots_kind(&m->user), ROOT_USER);
	ck_assert_int_eq(roots_kind(&m->kernel), ROOT_KERNEL);
}
END_TEST

static void user_root_with_direct_map(void)
{
	((uint64_t *)memory_at(&m->memory, m->user.root, PAGE_SIZE))[273] =
	    *entry_of(&m->kernel, RS_DIRECT_BASE, 4);
}

static void another_process(void)
{
	((uint64_t *)memory_at(&m->memory, m->user.root, PAGE_SIZE))[7] =
	    *entry_of(&m->kernel, RS_DIRECT_BASE, 4);
}

static void user_root_without_idt(void)
{
	*entry_of(&m->user, LINUX_AREA, 4) = 0;
}

static void user_root_with_another_idt(void)
{
	*entry_of(&m->user, LINUX_AREA, 4) = 0;
	map_page(&m->user, LINUX_AREA, 0);
}

static void both_without_themselves(void)
{
	*entry_of(&m->kernel, RS_DIRECT_BASE, 4) = 0;
}

static void kernel_root_at_an_odd_place(void)
{
	m->moment.sregs.cr3 = m->user.root + PAGE_SIZE;
}

static void the_last_page_of_ram(void)
{
	m->moment.sregs.cr3 = LOOK_RAM;
}

static void a_guest_with_a_note(void)
{
	m->moment.noted = true;
}

static void paging_off(void)
{
	m->moment.sregs.cr0 &= ~CR0_PG;
}

static void (*const no_pairs[])(void) = {
    user_root_with_direct_map, another_process,      user_root_without_idt,
    both_without_themselves,   the_last_page_of_ram, kernel_root_at_an_odd_place,
    a_guest_with_a_note,       paging_off,           user_root_with_another_idt,
};

START_TEST(what_is_no_pair)
{
	no_pairs[_i]();
	begin();
	ck_assert(!look.two_roots);
}
END_TEST

/* ---- The map ------------------------------------------------------------------------------- */

static struct map mapping;

static const char *name_at(uint64_t va)
{
	for (size_t i = 0; i < mapping.count; i++) {
		if (va - mapping.rows[i].va < mapping.rows[i].len)
			return mapping.rows[i].name;
	}
	return "";
}

START_TEST(names_from_registers)
{
	begin();
	ck_assert(map_make(&mapping, &look, &places));
	ck_assert_str_eq(name_at(LINUX_AREA), "IDT");
	ck_assert_str_eq(name_at(LINUX_AREA + 0x1000), "GDT");
	/* The page of the direct map that is in the user root, too. */
	ck_assert_str_eq(name_at(RS_DIRECT_BASE + 0x13000), "TSS, other address");
	ck_assert_str_eq(name_at(RS_DIRECT_BASE + 0x14000), "kernel memory");
	ck_assert_str_eq(name_at(LINUX_AREA + 0x2000), "RSP0 stack");
	ck_assert_str_eq(name_at(LINUX_AREA + 0x7fff), "TSS");
	ck_assert_str_eq(name_at(LINUX_AREA + 0x9000), "IST1 stack");
	ck_assert_str_eq(name_at(LINUX_AREA + 0xb000), "IST2 stack");
	ck_assert_str_eq(name_at(RS_DIRECT_BASE), "kernel memory");
	ck_assert_str_eq(name_at(LINUX_ENTRY), "entry text");
	ck_assert_str_eq(name_at(LINUX_TEXT), "kernel memory");
	map_free(&mapping);
}
END_TEST

/* A small kernel's tables, all in one page of its data. */
START_TEST(tables_in_a_page)
{
	m->moment.sregs.gdt.base = LINUX_AREA + 0x800;
	m->moment.sregs.idt.limit = 0x7ff;
	begin();
	ck_assert_str_eq(places_name(&places, LINUX_AREA), "IDT, GDT");
}
END_TEST

static void write_variable(uint64_t pa, uint64_t value)
{
	memcpy(memory_at(&m->memory, pa, sizeof(value)), &value, sizeof(value));
}

START_TEST(names_from_symbols)
{
	struct symbol list[] = {
	    {LINUX_TEXT, 0, (char[]){"_text"}},
	    {LINUX_TEXT + 0x100, 8, (char[]){"page_offset_base"}},
	    {LINUX_TEXT + 0x7000, 0, (char[]){"_etext"}},
	    {LINUX_ENTRY, 0, (char[]){"__entry_text_start"}},
	    {LINUX_ENTRY + 0x80, 0, (char[]){"entry_SYSCALL_64"}},
	    {LINUX_ENTRY + 0x1fff01, 0, (char[]){"__entry_text_end"}},
	};
	const struct symbols symbols = {.list = list, .count = sizeof(list) / sizeof(list[0])};

	m->moment.symbols = &symbols;
	write_variable(0x40100, RS_DIRECT_BASE - 0x1000);
	begin();
	ck_assert_str_eq(places_name(&places, LINUX_TEXT), "kernel text");
	ck_assert_str_eq(places_name(&places, LINUX_TEXT + 0x7000), "kernel memory");
	ck_assert_str_eq(places_name(&places, LINUX_ENTRY + 0x1ff000), "entry text");
	ck_assert_str_eq(places_name(&places, RS_DIRECT_BASE - 0x800), "direct map of RAM");
	ck_assert_str_eq(places_name(&places, LINUX_AREA + 0x8000), "cpu_entry_area");
	ck_assert_str_eq(places_name(&places, LINUX_AREA + 0x9000), "IST1 stack");
	ck_assert_str_eq(places_name(&places, 0xffffffffff600000), "vsyscall");
	/* Whatever the variable says, the map ends. */
	write_variable(0x40100, UINT64_MAX);
	begin();
	ck_assert_str_eq(places_name(&places, LINUX_AREA), "IDT");
}
END_TEST

/* ---- The audit ----------------------------------------------------------------------------- */

static const struct audit_result *result_of(const char *rule)
{
	for (unsigned i = 0; i < AUDIT_RULES; i++) {
		if (!strcmp(audit.result[i].name, rule))
			return &audit.result[i];
	}
	ck_abort_msg("no rule %s", rule);
	return NULL;
}

/* Names of the rules with this verdict, a blank behind each. */
static const char *rules_with(enum audit_verdict verdict)
{
	static char names[512];

	names[0] = '\0';
	begin();
	audit_make(&audit, &look, &places);
	for (unsigned i = 0; i < AUDIT_RULES; i++) {
		if (audit.result[i].verdict == verdict) {
			strcat(names, audit.result[i].name);
			strcat(names, " ");
		}
	}
	return names;
}

START_TEST(audit_of_linux)
{
	ck_assert_str_eq(rules_with(AUDIT_BROKEN), "");
	ck_assert_str_eq(rules_with(AUDIT_NOT_ASKED),
	                 "kvm-translate roots layout guards stack-guards null-page slot-256 "
	                 "user-frames shared-half user-root no-global ");
	ck_assert_uint_eq(audit.kernel_half, 0x200000 + 0xb000);
	ck_assert_str_eq(result_of("entry-text")->remark[0].text,
	                 "0xffffffff81c00000: 2 MiB of text with 257 entries");
	ck_assert_str_eq(result_of("cpu-tables")->remark[0].text, "ring 0 can write TSS");
	ck_assert_str_eq(result_of("tss-guards")->remark[0].text,
	                 "kernel root: the IST5 stack, top 0xfffffe000000f000, is not mapped");
}
END_TEST

/* With KPTI off ring 3 has the kernel's root. */
START_TEST(audit_of_one_root)
{
	memset(memory_at(&m->memory, m->user.root, PAGE_SIZE), 0, PAGE_SIZE);
	ck_assert_str_eq(rules_with(AUDIT_BROKEN), "");
	ck_assert_uint_eq(audit.kernel_half, LOOK_RAM + 0x8000 + 0x200000 + 0xa000);
	ck_assert_str_eq(result_of("mirror")->not_asked, "there is one root");
	m->moment.msrs_known = 0;
	m->moment.features_known = false;
	m->moment.sregs.cr4 &= ~CR4_SMEP;
	ck_assert_str_eq(rules_with(AUDIT_BROKEN), "");
	ck_assert_str_eq(result_of("smep")->not_asked, "whether the CPU has it is not known");
	ck_assert_int_eq(result_of("smap")->verdict, AUDIT_KEPT);
	m->moment.features_known = true;
	m->moment.features = 0;
	rules_with(AUDIT_BROKEN);
	ck_assert_str_eq(result_of("smep")->remark[0].text, "the CPU has no SMEP");
}
END_TEST

/* Where SYSCALL leads is not known: its text could be taken for one without an entry. */
START_TEST(audit_without_msrs)
{
	m->moment.msrs_known = 0;
	ck_assert_ptr_nonnull(strstr(rules_with(AUDIT_NOT_ASKED), "entry-text "));
}
END_TEST

static void smep_off(void)
{
	m->moment.sregs.cr4 &= ~CR4_SMEP;
}

static void smap_off(void)
{
	m->moment.sregs.cr4 &= ~CR4_SMAP;
}

static void wp_off(void)
{
	m->moment.sregs.cr0 &= ~CR0_WP;
}

static void writable_text(void)
{
	*entry_of(&m->kernel, LINUX_TEXT, 1) |= 2;
}

static void gdt_for_ring_3(void)
{
	for (unsigned level = 4; level > 0; level--)
		*entry_of(&m->kernel, LINUX_AREA + 0x1000, level) |= 6;
	*entry_of(&m->user, LINUX_AREA + 0x1000, 4) |= 6;
}

/* The GDT below the entry stack is its guard, and the IDT below that, while nobody can write them.
 */
static void writable_tables(void)
{
	*entry_of(&m->kernel, LINUX_AREA, 1) |= 2;
	*entry_of(&m->kernel, LINUX_AREA + 0x1000, 1) |= 2;
	for (uint64_t page = 1; page <= 16; page++)
		map_page(&m->kernel, LINUX_AREA - PAGE_SIZE * page, PT_WRITE);
}

static void stack_below_another(void)
{
	map_page(&m->kernel, LINUX_AREA + 0xa000, PT_WRITE);
}

static void executable_user_half(void)
{
	*entry_of(&m->kernel, 0x400000, 4) &= ~X86_BIT(63);
}

static void global_text(void)
{
	*entry_of(&m->kernel, LINUX_TEXT, 1) |= X86_BIT(8);
}

static void more_text_in_user_root(void)
{
	ck_assert_int_eq(pt_map(&m->user, LINUX_TEXT, 0x40000, PAGE_SIZE, PT_EXEC, NULL), PT_OK);
}

/* The next page of what leads in is its text, too. */
static void text_behind_the_entries(void)
{
	ck_assert_int_eq(
	    pt_map(&m->kernel, LINUX_ENTRY + 0x200000, 0x48000, PAGE_SIZE, PT_EXEC, NULL), PT_OK);
	ck_assert_int_eq(
	    pt_map(&m->user, LINUX_ENTRY + 0x200000, 0x48000, PAGE_SIZE, PT_EXEC, NULL), PT_OK);
}

static void no_tss_in_user_root(void)
{
	struct pt_walk walk;

	*entry_of(&m->user, LINUX_AREA, 4) = 0;
	for (uint64_t va = LINUX_AREA; va < LINUX_AREA + 0xc000; va += PAGE_SIZE) {
		pt_walk(&m->kernel, va, &walk);
		if (walk.mapped && va != LINUX_AREA + 0x3000)
			ck_assert_int_eq(
			    pt_map(&m->user, va, walk.pa & CR3_FRAME, PAGE_SIZE, walk.rights, NULL),
			    PT_OK);
	}
}

static void syscall_outside(void)
{
	m->moment.msrs[STATE_LSTAR] = LINUX_TEXT;
}

static void user_page_in_kernel_half(void)
{
	for (unsigned level = 4; level > 0; level--)
		*entry_of(&m->kernel, LINUX_TEXT, level) |= 4;
}

static void nothing(void)
{
}

static void vsyscall_page(void)
{
	const uint64_t va = 0xffffffffff600000;
	const uint32_t rights = PT_USER | PT_GLOBAL;

	ck_assert_int_eq(pt_map(&m->kernel, va, 0x50000, PAGE_SIZE, rights, NULL), PT_OK);
	ck_assert_int_eq(pt_map(&m->user, va, 0x50000, PAGE_SIZE, rights, NULL), PT_OK);
}

static void writable_vsyscall_page(void)
{
	vsyscall_page();
	*entry_of(&m->kernel, 0xffffffffff600000, 1) |= 2;
	*entry_of(&m->user, 0xffffffffff600000, 1) |= 2;
}

static void device(void)
{
	ck_assert_int_eq(
	    pt_map(&m->kernel, 0xffffffffff5fc000, 0xfee00000, PAGE_SIZE, PT_WRITE, NULL), PT_OK);
}

static void table_outside(void)
{
	uint64_t *table = entry_of(&m->kernel, 0x400000, 3);

	*table = (*table & ~CR3_FRAME) | X86_BIT(40);
}

static const struct {
	const char *rules;
	void (*act)(void);
} breaks[] = {
    {"", nothing},
    {"smep ", smep_off},
    {"smap ", smap_off},
    {"wp ", wp_off},
    {"w-xor-x ", writable_text},
    {"global-user user-bit cpu-tables ", gdt_for_ring_3},
    {"tss-guards ", stack_below_another},
    {"user-half-nx ", executable_user_half},
    {"global-kernel ", global_text},
    {"entry-text ", more_text_in_user_root},
    {"", text_behind_the_entries},
    {"global-kernel way-in ", no_tss_in_user_root},
    {"way-in ", syscall_outside},
    {"user-bit ", user_page_in_kernel_half},
    {"", vsyscall_page},
    {"global-user user-bit ", writable_vsyscall_page},
    {"", device},
    {"in-ram ", table_outside},
};

START_TEST(rules_of_any_kernel)
{
	breaks[_i].act();
	ck_assert_str_eq(rules_with(AUDIT_BROKEN), breaks[_i].rules);
}
END_TEST

START_TEST(what_is_by_design)
{
	vsyscall_page();
	device();
	rules_with(AUDIT_BROKEN);
	ck_assert_str_eq(
	    result_of("user-bit")->remark[0].text,
	    "kernel root, 0xffffffffff600000 is Linux's vsyscall page: open to ring 3 by design");
	ck_assert_str_eq(result_of("in-ram")->remark[0].text,
	                 "kernel root: 1 page outside RAM: devices'");
	/* Of a guest whose every page is known neither is. */
	m->moment.foreign = false;
	ck_assert_str_eq(rules_with(AUDIT_BROKEN), "in-ram global-user user-bit ");
}
END_TEST

START_TEST(a_stack_without_end)
{
	writable_tables();
	rules_with(AUDIT_BROKEN);
	ck_assert_ptr_nonnull(strstr(result_of("tss-guards")->finding[0].text,
	                             "all of the 64 KiB below it can be written"));
	ck_assert_str_eq(places_name(&places, LINUX_AREA + 0x2000), "RSP0 stack");
}
END_TEST

/* Registers may hold anything. */
START_TEST(hostile_registers)
{
	static const uint64_t bases[] = {
	    0, 1, 0xfff, UINT64_MAX, UINT64_MAX - 0xfff, UINT64_C(1) << 63, 0x800000000000};
	struct kvm_sregs *sregs = &m->moment.sregs;

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		sregs->idt.base = sregs->gdt.base = bases[i];
		sregs->idt.limit = sregs->gdt.limit = 0xffff;
		sregs->tr.base = bases[i];
		sregs->tr.limit = UINT32_MAX;
		m->moment.msrs[STATE_LSTAR] = bases[i];
		rules_with(AUDIT_BROKEN);
		ck_assert_uint_le(audit.kept + audit.broken, AUDIT_RULES);
	}
}
END_TEST

Suite *look_any_suite(void)
{
	Suite *suite = suite_create("look_any");
	TCase *tests = tcase_create("look_any");

	tcase_add_checked_fixture(tests, setup, look_machine_free);
	tcase_add_test(tests, roots_side_by_side);
	tcase_add_loop_test(tests, what_is_no_pair, 0, sizeof(no_pairs) / sizeof(no_pairs[0]));
	tcase_add_test(tests, names_from_registers);
	tcase_add_test(tests, tables_in_a_page);
	tcase_add_test(tests, names_from_symbols);
	tcase_add_test(tests, audit_of_linux);
	tcase_add_test(tests, audit_of_one_root);
	tcase_add_test(tests, audit_without_msrs);
	tcase_add_loop_test(tests, rules_of_any_kernel, 0, sizeof(breaks) / sizeof(breaks[0]));
	tcase_add_test(tests, what_is_by_design);
	tcase_add_test(tests, a_stack_without_end);
	tcase_add_test(tests, hostile_registers);
	suite_add_tcase(suite, tests);
	return suite;
}
