/* --walk, --map and --audit on a machine made by hand: no KVM.  Every rule of the audit is broken
 * once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/x86.h"
#include "tests/unit_vmm/look_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/look/request.h"
#include "vmm/look/audit.h"
#include "vmm/look/map.h"
#include "vmm/look/walk.h"

#define CPU0 RS_ENTRY_CPU(0)

static struct look_machine *m;
static struct look look;
static struct places places;

static void setup(void)
{
	m = look_machine_make();
}

static void begin(void)
{
	look_init(&look, &m->moment);
	places_make(&places, &look);
}

/* ---- Roots --------------------------------------------------------------------------------- */

START_TEST(roots_that_fit)
{
	m->moment.sregs.cr3 = m->user.root | 0x801;
	m->moment.kernel_cr3 = m->kernel.root | 1 | CR3_NOFLUSH;
	m->moment.user_cr3 = m->user.root | 0x801 | CR3_NOFLUSH;
	begin();
	ck_assert(look.two_roots);
	ck_assert_ptr_null(look.distrust);
	ck_assert_uint_eq(look.pt[LOOK_KERNEL].root, m->kernel.root);
	ck_assert_uint_eq(look.pt[LOOK_USER].root, m->user.root);
	ck_assert_uint_eq(look.cr3[LOOK_USER], m->user.root | 0x801);
}
END_TEST

/* Another CPU's roots are in its call page, which is found by the tables; one without is believed
 * to have what CR3 has. */
START_TEST(roots_of_another_cpu)
{
	const struct kvm_regs regs = {.rip = 77};
	struct kvm_sregs sregs = m->moment.sregs;
	struct look_moment other;

	begin();
	ck_assert_str_eq(look.when, "now");
	m->moment.cpus = 2;
	m->moment.cpu = 1;
	begin();
	ck_assert_str_eq(look.when, "now, CPU 1");
	sregs.cr3 = m->user.root | 0x801;
	m->boot.call[0]->kernel_cr3 = m->kernel.root | 1;
	m->boot.call[0]->user_cr3 = m->user.root | 0x801;
	other = look_moment_of(&m->moment, 0, &regs, &sregs);
	ck_assert_uint_eq(other.cpu, 0);
	ck_assert_uint_eq(other.regs.rip, 77);
	ck_assert_uint_eq(other.sregs.cr3, sregs.cr3);
	ck_assert_uint_eq(other.kernel_cr3, m->kernel.root | 1);
	ck_assert_uint_eq(other.user_cr3, m->user.root | 0x801);
	look_init(&look, &other);
	ck_assert_str_eq(look.when, "now, CPU 0");
	ck_assert(look.two_roots && !look.distrust);
	/* The VMM of this machine has built no pages for a second CPU. */
	other = look_moment_of(&m->moment, 1, &regs, &sregs);
	ck_assert(other.kernel_cr3 == 0 && other.user_cr3 == 0);
	m->moment.boot_root = LOOK_RAM - PAGE_SIZE;
	other = look_moment_of(&m->moment, 0, &regs, &sregs);
	ck_assert(other.kernel_cr3 == 0 && other.user_cr3 == 0);
}
END_TEST

static const struct {
	uint64_t kernel, user; /* 1: the true one */
	bool stale, two, distrust;
} words[] = {
    {0, 0, false, false, false},
    {1, 1, false, true, false},
    {0x3ff000, 0x3fe000, false, false, true}, /* in RAM, but not in CR3 */
    {0x3ff000, 0x3fe000, true, true, false},
    {1, LOOK_RAM, false, false, true},
    {UINT64_MAX, 1, false, false, true},
    {LOOK_RAM, LOOK_RAM, true, false, true},
    {1, 0, false, true, false}, /* frame 0 is RAM like any other */
};

START_TEST(words_of_the_guest)
{
	m->moment.kernel_cr3 = words[_i].kernel == 1 ? m->kernel.root : words[_i].kernel;
	m->moment.user_cr3 = words[_i].user == 1 ? m->user.root : words[_i].user;
	m->moment.stale = words[_i].stale;
	begin();
	ck_assert_int_eq(look.two_roots, words[_i].two);
	ck_assert_int_eq(look.distrust != NULL, words[_i].distrust);
	if (!words[_i].two)
		ck_assert_uint_eq(look.pt[LOOK_KERNEL].root, m->kernel.root);
}
END_TEST

/* ---- Walks --------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	bool good;
	uint64_t va;
} addresses[] = {
    {"0x400000", true, 0x400000},
    {"ffff888000000000", true, 0xffff888000000000},
    {"0X10", true, 0x10},
    {"start", true, 0x1000},
    {"start+16", true, 0x1010},
    {"start+0x20@cr3=user", true, 0x1020},
    {"fade", true, 0x2000}, /* a symbol, though it has digits alone */
    {"0xfade", true, 0xfade},
    {"0x10+0x10", true, 0x20},
    {"star", false, 0},
    {"starter", false, 0},
    {"start+", false, 0},
    {"start+-1", false, 0},
    {"start+x", false, 0},
    {"start-1", false, 0},
    {"0x", false, 0},
    {"-1", false, 0},
    {" 10", false, 0},
    {"0x11112222333344445", false, 0},
};

START_TEST(address_words)
{
	struct symbol list[] = {{0x1000, 4, (char[]){"start"}}, {0x2000, 4, (char[]){"fade"}}};
	const struct symbols symbols = {.list = list, .count = 2};
	struct walk_request request;
	uint64_t va = 0;

	ck_assert(walk_parse(&request, addresses[_i].text));
	ck_assert_int_eq(walk_address(&request, &symbols, &va), addresses[_i].good);
	if (addresses[_i].good)
		ck_assert_uint_eq(va, addresses[_i].va);
}
END_TEST

START_TEST(walk_words)
{
	static const char *const bad[] = {"",          "@cr3=user", "1@",         "1@cr3",
	                                  "1@cr3=",    "1@cr3=x",   "1@cr3=USER", "1@kernel",
	                                  "1@cr3=1@2", "1@cr3=-1"};
	struct walk_request request;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!walk_parse(&request, bad[i]), "'%s' was taken", bad[i]);
	ck_assert(walk_parse(&request, "1@cr3=0x1000"));
	ck_assert_int_eq(request.through, WALK_CR3);
	ck_assert_uint_eq(request.cr3, 0x1000);
}
END_TEST

/* What was printed; the caller's to free. */
static char *walk_text(const char *word)
{
	struct walk_request request;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	ck_assert(walk_parse(&request, word));
	walk_print(out, &look, &places, &request, false);
	fclose(out);
	return text;
}

START_TEST(walk_through_both)
{
	char wanted[4096], *got;
	const uint64_t *user4 = entry_of(&m->user, RS_DIRECT_BASE, 4);
	const uint64_t *kernel2 = entry_of(&m->kernel, RS_DIRECT_BASE, 2);
	const uint64_t *kernel3 = entry_of(&m->kernel, RS_DIRECT_BASE, 3);
	const uint64_t *kernel4 = entry_of(&m->kernel, RS_DIRECT_BASE, 4);

	begin();
	got = walk_text("ffff888000001234");
	snprintf(
	    wanted, sizeof(wanted),
	    "\n0xffff888000001234 through the kernel root now: CR3 0x%lx\n"
	    "  4 PML4           0x%012lx [273] = %016lx  rwxu  leads to the next table\n"
	    "  3 PDPT           0x%012lx [  0] = %016lx  rwxu  leads to the next table\n"
	    "  2 page directory 0x%012lx [  0] = %016lx  rw--  maps the page\n"
	    "  physical 0x1234 in a page of 2 MiB, rw--g, direct map of RAM\n"
	    "  ring 3 read of 0xffff888000001234: #PF 0x5 at the page directory entry: "
	    "supervisor only (U/S)\n"
	    "  ring 3 write of 0xffff888000001234: #PF 0x7 at the page directory entry: "
	    "supervisor only (U/S)\n"
	    "  ring 3 fetch of 0xffff888000001234: #PF 0x15 at the page directory entry: "
	    "supervisor only (U/S)\n"
	    "  ring 0 read of 0xffff888000001234: allowed, physical 0x1234\n"
	    "  ring 0 write of 0xffff888000001234: allowed, physical 0x1234\n"
	    "  ring 0 fetch of 0xffff888000001234: #PF 0x11 at the page directory entry: "
	    "no-execute (NX)\n"
	    "\n0xffff888000001234 through the user root now: CR3 0x%lx\n"
	    "  4 PML4           0x%012lx [273] = %016lx        not present: the walk ends here\n"
	    "  not mapped; the address is direct map of RAM\n"
	    "  ring 3 read of 0xffff888000001234: #PF 0x4 at the PML4 entry: not present\n"
	    "  ring 3 write of 0xffff888000001234: #PF 0x6 at the PML4 entry: not present\n"
	    "  ring 3 fetch of 0xffff888000001234: #PF 0x14 at the PML4 entry: not present\n"
	    "  ring 0 read of 0xffff888000001234: #PF 0x0 at the PML4 entry: not present\n"
	    "  ring 0 write of 0xffff888000001234: #PF 0x2 at the PML4 entry: not present\n"
	    "  ring 0 fetch of 0xffff888000001234: #PF 0x10 at the PML4 entry: not present\n"
	    "  with CR0.WP=1 CR4.SMEP=0 CR4.SMAP=0 EFER.NXE=1 RFLAGS.AC=0\n",
	    m->kernel.root, m->kernel.root, *kernel4, *kernel4 & CR3_FRAME, *kernel3,
	    *kernel3 & CR3_FRAME, *kernel2, m->user.root, m->user.root, *user4);
	ck_assert_str_eq(got, wanted);
	free(got);
}
END_TEST

START_TEST(walk_state_decides)
{
	char *text;

	m->moment.sregs.cr4 |= CR4_SMEP | CR4_SMAP | CR4_PCIDE;
	m->moment.user_cr3 |= 0x801;
	begin();
	text = walk_text("0x400000@cr3=user");
	ck_assert_ptr_nonnull(strstr(text, ", PCID 2049\n"));
	ck_assert_ptr_nonnull(strstr(text, "ring 0 read of 0x400000: #PF 0x1 at the page table "
	                                   "entry: a user page (SMAP)\n"));
	ck_assert_ptr_nonnull(strstr(text, "ring 3 fetch of 0x400000: allowed"));
	free(text);
	m->moment.regs.rflags = RFLAGS_AC;
	begin();
	text = walk_text("0x400000@cr3=user");
	ck_assert_ptr_nonnull(strstr(text, "ring 0 read of 0x400000: allowed"));
	free(text);
	m->moment.sregs.cr0 &= ~CR0_WP;
	begin();
	text = walk_text("0x400000@cr3=kernel");
	ck_assert_ptr_nonnull(strstr(text, "ring 0 write of 0x400000: allowed"));
	free(text);
	m->moment.user_cr3 = m->moment.kernel_cr3;
	begin();
	text = walk_text("0x400000@cr3=user");
	ck_assert_str_eq(text, "");
	free(text);
	text = walk_text("0x800000000000");
	ck_assert_ptr_nonnull(strstr(text, "not canonical"));
	ck_assert_ptr_nonnull(strstr(text, "#GP 0x0"));
	free(text);
	text = walk_text("0@cr3=fffffffffff000");
	ck_assert_ptr_nonnull(strstr(text, "outside RAM"));
	free(text);
}
END_TEST

/* ---- The map ------------------------------------------------------------------------------- */

static struct map mapping;

/* "kernel user mark name" of the row that holds va. */
static const char *row_at(uint64_t va)
{
	static char text[96];
	char kernel[8] = ".", user[8] = ".";

	for (size_t i = 0; i < mapping.count; i++) {
		const struct map_row *row = &mapping.rows[i];

		if (va - row->va >= row->len)
			continue;
		if (row->mapped[LOOK_KERNEL])
			pt_rights_text(kernel, row->rights[LOOK_KERNEL]);
		if (row->mapped[LOOK_USER])
			pt_rights_text(user, row->rights[LOOK_USER]);
		snprintf(text, sizeof(text), "%s %s %s 0x%lx %s", kernel, user,
		         row->same_frames ? "=" : "/", row->len, row->name);
		return text;
	}
	return "";
}

START_TEST(map_of_a_process)
{
	begin();
	ck_assert(map_make(&mapping, &look, &places));
	ck_assert(!mapping.cut && !mapping.corrupt);
	ck_assert_str_eq(row_at(0x400000), "r--u- r-xu- = 0x1000 user text");
	ck_assert_str_eq(row_at(0x401000), "");
	ck_assert_str_eq(row_at(RS_USER_END - 0x11000), "rw-u- rw-u- = 0x1000 user stack");
	ck_assert_str_eq(row_at(RS_DIRECT_BASE), "rw--g . / 0x400000 direct map of RAM");
	/* Two frames that do not follow each other are one range. */
	ck_assert_str_eq(row_at(RS_STACKS_BASE + 0x2000), "rw--g . / 0x2000 kernel stack");
	ck_assert_str_eq(row_at(LOOK_TEXT), "r-x-g . / 0x2000 kernel text");
	ck_assert_str_eq(row_at(LOOK_TEXT + 0x2000), "rw--g . / 0x1000 kernel data");
	ck_assert_str_eq(row_at(RS_BOOT_PAGE), "r---g . / 0x1000 boot page");
	ck_assert_str_eq(row_at(RS_ENTRY_BASE), "r-x-g r-x-g = 0x1000 entry text");
	ck_assert_str_eq(row_at(RS_ENTRY_IDT), "r---g r---g = 0x1000 IDT");
	/* Neighbours with the same rights keep their names. */
	ck_assert_str_eq(row_at(CPU0 + RS_ENTRY_GDT), "rw--g rw--g = 0x1000 GDT");
	ck_assert_str_eq(row_at(CPU0 + RS_ENTRY_TSS), "rw--g rw--g = 0x1000 TSS");
	ck_assert_str_eq(row_at(CPU0 + RS_IST_TOP(2) - 1), "rw--g rw--g = 0x2000 IST2 stack");
	map_free(&mapping);
}
END_TEST

START_TEST(map_in_words)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	begin();
	ck_assert(map_make(&mapping, &look, &places));
	map_print(out, &look, &mapping, false);
	fclose(out);
	map_free(&mapping);
	ck_assert_ptr_nonnull(strstr(text, "  0000000000400000 - 0000000000400fff      4 KiB  "
	                                   "r--u-   r-xu-   other rights  user text\n"));
	ck_assert_ptr_nonnull(strstr(text, "  ffffc90000002000 - ffffc9000000bfff  3 x 8 KiB  "
	                                   "rw--g   .       kernel root   kernel stacks\n"));
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		ck_assert_uint_le(strcspn(line, "\n"), 100);
	free(text);
}
END_TEST

START_TEST(map_of_other_memory)
{
	uint64_t *stack = entry_of(&m->kernel, RS_USER_END - 0x11000, 4),
	         frame = m->boot.next_frame;

	/* The kernel root gets a table of its own with another page in it. */
	m->boot.next_frame += PAGE_SIZE;
	memcpy(memory_at(&m->memory, frame, PAGE_SIZE),
	       memory_at(&m->memory, *stack & CR3_FRAME, PAGE_SIZE), PAGE_SIZE);
	*stack = (*stack & ~CR3_FRAME) | frame;
	*entry_of(&m->kernel, RS_USER_END - 0x11000, 3) = 0;
	begin();
	ck_assert(map_make(&mapping, &look, &places));
	ck_assert_str_eq(row_at(RS_USER_END - 0x11000), ". rw-u- / 0x1000 user stack");
	map_free(&mapping);
}
END_TEST

/* ---- The audit ----------------------------------------------------------------------------- */

static struct audit audit;

/* Names of the broken rules, a blank behind each. */
static const char *broken(void)
{
	static char names[256];

	names[0] = '\0';
	begin();
	audit_make(&audit, &look, &places);
	for (unsigned i = 0; i < AUDIT_RULES; i++) {
		if (audit.result[i].verdict == AUDIT_BROKEN) {
			ck_assert_uint_gt(audit.result[i].findings, 0);
			strcat(names, audit.result[i].name);
			strcat(names, " ");
		}
	}
	return names;
}

static void writable_text(void)
{
	*entry_of(&m->kernel, LOOK_TEXT, 1) |= 2;
}

static void reserved_bit(void)
{
	*entry_of(&m->kernel, RS_STACKS_BASE + 0x2000, 1) |= X86_BIT(50);
}

static void frame_outside(void)
{
	uint64_t *stack = entry_of(&m->user, RS_USER_END - 0x11000, 1);

	*stack = (*stack & ~CR3_FRAME) | LOOK_RAM;
}

static void table_outside(void)
{
	uint64_t *table = entry_of(&m->user, RS_USER_END - 0x11000, 2);

	*table = (*table & ~CR3_FRAME) | X86_BIT(40);
}

static void global_user(void)
{
	*entry_of(&m->user, 0x400000, 1) |= X86_BIT(8);
}

static void user_page_in_kernel_half(void)
{
	*entry_of(&m->kernel, RS_BOOT_PAGE, 1) |= 4;
}

static void word_of_another_root(void)
{
	m->moment.kernel_cr3 = m->moment.user_cr3 = 0x3ff000;
}

static void read_only_data(void)
{
	*entry_of(&m->kernel, LOOK_TEXT + 0x2000, 1) &= ~UINT64_C(2);
}

static void missing_page(void)
{
	*entry_of(&m->kernel, CPU0 + RS_ENTRY_TSS, 1) = 0;
}

static void other_frame_of_text(void)
{
	*entry_of(&m->kernel, LOOK_TEXT, 1) += 0x1000;
}

static void map_page(struct pt *pt, uint64_t va, uint32_t rights)
{
	uint64_t frame = m->boot.next_frame;

	m->boot.next_frame += PAGE_SIZE;
	ck_assert_int_eq(pt_map(pt, va, frame, PAGE_SIZE, rights, NULL), PT_OK);
}

static void mapped_guard(void)
{
	map_page(&m->kernel_tree, CPU0 + RS_ENTRY_STACK_TOP, PT_WRITE);
}

static void more_kernel_memory(void)
{
	map_page(&m->kernel_tree, RS_IMAGE_BASE, 0);
}

static void stacks_without_guard(void)
{
	map_page(&m->kernel_tree, RS_STACKS_BASE + 0x4000, PT_WRITE);
	map_page(&m->kernel_tree, RS_STACKS_BASE + 0x5000, PT_WRITE);
}

/* One page of the guard is enough to run over. */
static void stacks_with_half_a_guard(void)
{
	map_page(&m->kernel_tree, RS_STACKS_BASE + 0x4000, PT_WRITE);
}

static void null_page(void)
{
	map_page(&m->user, 0, PT_USER);
}

static void slot_256(void)
{
	map_page(&m->kernel, 0xffff800000000000, PT_WRITE);
}

static void kernel_memory_for_ring3(void)
{
	uint64_t *stack = entry_of(&m->user, RS_USER_END - 0x11000, 1);

	*stack = (*stack & ~CR3_FRAME) | 0x102000;
}

static void root_for_ring3(void)
{
	uint64_t *stack = entry_of(&m->user, RS_USER_END - 0x11000, 1);

	*stack = (*stack & ~CR3_FRAME) | m->boot.kernel.root;
}

static void half_of_its_own(void)
{
	uint64_t *top = entry_of(&m->kernel, RS_STACKS_BASE, 4), frame = m->boot.next_frame;

	m->boot.next_frame += PAGE_SIZE;
	memcpy(memory_at(&m->memory, frame, PAGE_SIZE),
	       memory_at(&m->memory, *top & CR3_FRAME, PAGE_SIZE), PAGE_SIZE);
	*top = (*top & ~CR3_FRAME) | frame;
}

static void direct_map_for_ring3(void)
{
	uint64_t top = *entry_of(&m->kernel, RS_DIRECT_BASE, 4);

	((uint64_t *)memory_at(&m->memory, m->user.root, PAGE_SIZE))[273] = top;
}

static void executable_user_half(void)
{
	*entry_of(&m->kernel, 0x400000, 4) &= ~X86_BIT(63);
}

static void unmirrored(void)
{
	*entry_of(&m->kernel, 0x400000, 4) = 0;
}

static void global_kernel(void)
{
	m->moment.sregs.cr4 |= CR4_PGE;
}

static bool translate_wrongly(void *ctx, uint64_t va, uint64_t *pa)
{
	struct pt_walk walk;

	pt_walk(ctx, va, &walk);
	*pa = walk.pa ^ (va == LOOK_TEXT ? 0x1000 : 0);
	return walk.mapped && va != RS_BOOT_PAGE;
}

static void other_kvm(void)
{
	m->moment.translate = translate_wrongly;
	m->moment.translate_ctx = &m->kernel;
}

static const struct {
	const char *rules;
	void (*act)(void);
} breaks[] = {
    {"w-xor-x layout ", writable_text},
    {"reserved-bits ", reserved_bit},
    {"in-ram ", frame_outside},
    {"in-ram ", table_outside},
    {"global-user ", global_user},
    {"global-user user-bit layout user-frames ", user_page_in_kernel_half},
    {"roots ", word_of_another_root},
    {"layout ", read_only_data},
    {"layout ", missing_page},
    {"layout ", other_frame_of_text},
    {"guards user-root ", mapped_guard},
    {"guards ", more_kernel_memory},
    {"stack-guards ", stacks_without_guard},
    {"stack-guards ", stacks_with_half_a_guard},
    {"null-page ", null_page},
    {"guards slot-256 shared-half ", slot_256},
    {"user-frames ", kernel_memory_for_ring3},
    {"user-frames ", root_for_ring3},
    {"shared-half ", half_of_its_own},
    {"user-root ", direct_map_for_ring3},
    {"user-half-nx ", executable_user_half},
    {"mirror ", unmirrored},
    {"global-kernel no-global ", global_kernel},
    {"kvm-translate ", other_kvm},
};

START_TEST(audit_of_what_is_right)
{
	ck_assert_str_eq(broken(), "");
	/* No KVM is asked, and this machine's CPU has no registers that say where anything is. */
	ck_assert_uint_eq(audit.kept, AUDIT_RULES - 6);
	m->moment.user_cr3 = m->moment.kernel_cr3;
	/* Without KPTI the kernel root maps the user half executable; nobody minds. */
	*entry_of(&m->kernel, 0x400000, 4) &= ~X86_BIT(63);
	ck_assert_str_eq(broken(), "");
	ck_assert_uint_eq(audit.kept, AUDIT_RULES - 12);
	m->moment.noted = false;
	ck_assert_str_eq(broken(), "");
	ck_assert_uint_eq(audit.kept, 7);
}
END_TEST

START_TEST(audit_of_what_is_wrong)
{
	breaks[_i].act();
	ck_assert_str_eq(broken(), breaks[_i].rules);
}
END_TEST

static const struct audit_result *result_of(const char *rule)
{
	broken();
	for (unsigned i = 0; i < AUDIT_RULES; i++) {
		if (!strcmp(audit.result[i].name, rule))
			return &audit.result[i];
	}
	ck_abort_msg("no rule %s", rule);
	return NULL;
}

/* What is beside the one page that is wrong is right. */
START_TEST(one_page_at_another_place)
{
	other_frame_of_text();
	ck_assert_uint_eq(result_of("layout")->findings, 1);
	ck_assert_ptr_nonnull(strstr(result_of("layout")->finding[0].text, "not at its place"));
}
END_TEST

START_TEST(a_finding_tells_its_range)
{
	more_kernel_memory();
	ck_assert_ptr_nonnull(
	    strstr(result_of("guards")->finding[0].text, "0xffffffff80000000 + 0x1000 "));
}
END_TEST

/* KVM translates for a read by ring 0, which SMAP keeps from user pages unless AC is set. */
static bool translate_for_ring_0(void *ctx, uint64_t va, uint64_t *pa)
{
	struct pt_walk walk;

	pt_walk(ctx, va, &walk);
	*pa = walk.pa;
	return walk.mapped && va >> 63;
}

START_TEST(kvm_under_smap)
{
	m->moment.translate = translate_for_ring_0;
	m->moment.translate_ctx = &m->kernel;
	ck_assert_str_eq(broken(), "kvm-translate ");
	m->moment.sregs.cr4 |= CR4_SMAP;
	ck_assert_str_eq(broken(), "");
	m->moment.regs.rflags |= RFLAGS_AC;
	ck_assert_str_eq(broken(), "kvm-translate ");
}
END_TEST

/* ---- Hostile tables ------------------------------------------------------------------------ */

/* All of the top-level table leads to one table whose entries all lead to the next, and so on: 2^27
 * page tables in a few frames. */
static void make_maze(uint64_t last)
{
	uint64_t frame = m->boot.next_frame,
	         *table = memory_at(&m->memory, m->kernel.root, PAGE_SIZE);

	for (unsigned level = 4; level >= 1; level--) {
		for (unsigned i = 0; i < 512; i++)
			table[i] = level > 1 ? frame | 7 : last;
		table = memory_at(&m->memory, frame, PAGE_SIZE);
		frame += PAGE_SIZE;
	}
}

START_TEST(mazes_end)
{
	static const uint64_t lasts[] = {0, 0x104007, 0x104003 | X86_BIT(63), 7 | X86_BIT(51)};
	struct look_request request = {.map = true, .audit = true};
	FILE *out = fopen("/dev/null", "w");
	struct timespec begun, ended;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	ck_assert(look_request_walk(&request, "0"));
	make_maze(lasts[_i]);
	ck_assert_int_eq(look_request_answer(out, &request, &m->moment, false, false),
	                 LOOK_RULE_BROKEN);
	ck_assert_str_ne(broken(), "");
	fclose(out);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ck_assert_int_lt(ended.tv_sec - begun.tv_sec, 60);
}
END_TEST

static unsigned asked; /* KVM, or whether to give up */

static bool translate_counting(void *ctx, uint64_t va, uint64_t *pa)
{
	struct pt_walk walk;

	asked++;
	pt_walk(ctx, va, &walk);
	*pa = walk.pa;
	return walk.mapped;
}

static bool give_up_soon(void *ctx)
{
	return ++asked > *(const unsigned *)ctx;
}

/* KVM_TRANSLATE is a system call, and a guest can make 2^35 pages of one frame. */
START_TEST(kvm_is_asked_so_often)
{
	make_maze(0x104007);
	asked = 0;
	m->moment.translate = translate_counting;
	m->moment.translate_ctx = &m->kernel;
	ck_assert_ptr_nonnull(strstr(broken(), "bounded "));
	ck_assert_uint_gt(asked, 1000);
	ck_assert_uint_le(asked, 2 * 32768);
}
END_TEST

/* Whenever it is time to stop: soon none is asked any more, and no rule is called kept that was not
 * seen to be. */
START_TEST(an_audit_is_given_up)
{
	static const unsigned after[] = {0, 1, 10, 1000, 5000};
	unsigned limit = after[_i];

	make_maze(0x104007);
	asked = 0;
	m->moment.give_up = give_up_soon;
	m->moment.give_up_ctx = &limit;
	broken();
	ck_assert_uint_eq(asked, limit + 1);
	ck_assert_uint_gt(audit.late, 0);
	ck_assert_uint_le(audit.kept + audit.broken + audit.late, AUDIT_RULES);
	if (limit < 2)
		ck_assert_uint_eq(audit.kept, 0);
}
END_TEST

/* Without time no table is read, which does not mean that there is none. */
START_TEST(a_walk_without_time)
{
	struct look_request request = {0};
	unsigned limit = 0;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert(look_request_walk(&request, "0"));
	ck_assert_int_eq(look_request_answer(out, &request, &m->moment, false, false),
	                 LOOK_ANSWERED);
	m->moment.give_up = give_up_soon;
	m->moment.give_up_ctx = &limit;
	asked = 0;
	ck_assert_int_eq(look_request_answer(out, &request, &m->moment, false, false), LOOK_FAILED);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "CR3"));
	ck_assert_ptr_null(strstr(text, "outside RAM"));
	free(text);
}
END_TEST

START_TEST(a_table_that_is_its_own)
{
	uint64_t *root = memory_at(&m->memory, m->kernel.root, PAGE_SIZE);

	root[300] = m->kernel.root | 3;
	ck_assert_ptr_nonnull(strstr(broken(), "guards "));
}
END_TEST

Suite *look_suite(void)
{
	Suite *suite = suite_create("look");
	TCase *tests = tcase_create("look");

	tcase_add_checked_fixture(tests, setup, look_machine_free);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, roots_that_fit);
	tcase_add_test(tests, roots_of_another_cpu);
	tcase_add_loop_test(tests, words_of_the_guest, 0, sizeof(words) / sizeof(words[0]));
	tcase_add_loop_test(tests, address_words, 0, sizeof(addresses) / sizeof(addresses[0]));
	tcase_add_test(tests, walk_words);
	tcase_add_test(tests, walk_through_both);
	tcase_add_test(tests, walk_state_decides);
	tcase_add_test(tests, map_of_a_process);
	tcase_add_test(tests, map_in_words);
	tcase_add_test(tests, map_of_other_memory);
	tcase_add_test(tests, audit_of_what_is_right);
	tcase_add_test(tests, one_page_at_another_place);
	tcase_add_test(tests, a_finding_tells_its_range);
	tcase_add_test(tests, kvm_under_smap);
	tcase_add_loop_test(tests, audit_of_what_is_wrong, 0, sizeof(breaks) / sizeof(breaks[0]));
	tcase_add_loop_test(tests, mazes_end, 0, 4);
	tcase_add_test(tests, kvm_is_asked_so_often);
	tcase_add_loop_test(tests, an_audit_is_given_up, 0, 5);
	tcase_add_test(tests, a_walk_without_time);
	tcase_add_test(tests, a_table_that_is_its_own);
	suite_add_tcase(suite, tests);
	return suite;
}
