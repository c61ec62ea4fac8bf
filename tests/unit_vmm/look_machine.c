#include "tests/unit_vmm/look_machine.h"

#include <check.h>
#include <string.h>

#include "shared/desc.h"
#include "shared/x86.h"

static struct look_machine m;
static const struct symbols no_symbols;

static bool alloc_frame(void *ctx, uint64_t *frame)
{
	(void)ctx;
	*frame = m.boot.next_frame;
	m.boot.next_frame += PAGE_SIZE;
	return m.boot.next_frame <= m.memory.size;
}

static void free_frame(void *ctx, uint64_t frame)
{
	(void)ctx;
	(void)frame;
}

static uint64_t *frame_at(void *ctx, uint64_t frame)
{
	(void)ctx;
	return memory_at(&m.memory, frame, PAGE_SIZE);
}

static const struct pt_memory tables = {.alloc = alloc_frame, .free = free_frame, .at = frame_at};

static void make_boot(void)
{
	static const struct plan plan = {.mem = LOOK_RAM, .cpus = 1, .guest = "g.elf"};
	static const struct host host = {.maxphyaddr = 46, .cpuid_features = RS_FEATURE_NX};
	static const struct image image = {
	    .entry = LOOK_TEXT,
	    .count = 4,
	    .segments =
	        {{.header = 0, .va = LOOK_TEXT, .gpa = 0x100000, .memsz = 0x1801, .flags = 5},
	         {.header = 1, .va = LOOK_TEXT + 0x2000, .gpa = 0x102000, .memsz = 1, .flags = 6},
	         {.header = 2, .va = RS_ENTRY_BASE, .gpa = 0x103000, .memsz = 1, .flags = 5},
	         {.header = 3, .va = 0x400000, .gpa = 0x104000, .memsz = 1, .flags = 5}},
	    .end = 0x105000,
	    .noted = true,
	    .note = {.abi = RS_ABI_VERSION,
	             .size = sizeof(struct rs_note),
	             .vectors = LOOK_TEXT,
	             .vector_stride = 16,
	             .vector_count = 32},
	};

	ck_assert(memory_create(&m.memory, LOOK_RAM));
	ck_assert(boot_build(&m.boot, &m.memory, &image, &host, &plan));
	for (unsigned i = 0; i < image.count; i++) {
		const struct segment *s = &image.segments[i];

		m.moment.segments[i] = (struct rs_segment){
		    .va = segment_page_va(s),
		    .gpa = segment_page_gpa(s),
		    .size = segment_page_size(s),
		    .flags = s->flags,
		    .user = segment_is_user(s),
		};
	}
	m.moment.segment_count = image.count;
	m.moment.free_start = m.boot.next_frame;
}

static void map_new(struct pt *pt, uint64_t va, uint32_t rights)
{
	uint64_t frame;

	ck_assert(alloc_frame(NULL, &frame));
	ck_assert_int_eq(pt_map(pt, va, frame, PAGE_SIZE, rights, NULL), PT_OK);
}

static void share(struct pt *to, const struct pt *from, uint64_t va, uint64_t len, uint32_t flags)
{
	ck_assert_int_eq(pt_share(to, from, va, len, flags, NULL), PT_OK);
}

static void make_process(void)
{
	const struct pt_geometry geo = m.boot.kernel.geo;
	const uint64_t slot = UINT64_C(1) << 39;

	m.kernel_tree = pt_attach(geo, tables, m.boot.kernel.root);
	ck_assert_int_eq(pt_init(&m.entry, geo, tables), PT_OK);
	ck_assert_int_eq(pt_init(&m.kernel, geo, tables), PT_OK);
	ck_assert_int_eq(pt_init(&m.user, geo, tables), PT_OK);
	share(&m.entry, &m.kernel_tree, RS_ENTRY_BASE, -RS_ENTRY_BASE, 0);
	share(&m.kernel, &m.kernel_tree, RS_DIRECT_BASE, slot, 0);
	share(&m.kernel, &m.kernel_tree, RS_STACKS_BASE, slot, 0);
	share(&m.kernel, &m.kernel_tree, -slot, slot, 0);
	share(&m.user, &m.entry, -slot, slot, 0);
	for (uint64_t stack = 0; stack < 3; stack++) {
		map_new(&m.kernel_tree, RS_STACKS_BASE + stack * 0x4000 + 0x3000,
		        PT_WRITE | PT_GLOBAL);
		map_new(&m.kernel_tree, RS_STACKS_BASE + stack * 0x4000 + 0x2000,
		        PT_WRITE | PT_GLOBAL);
	}
	ck_assert_int_eq(pt_map(&m.user, 0x400000, 0x104000, PAGE_SIZE, PT_EXEC | PT_USER, NULL),
	                 PT_OK);
	map_new(&m.user, RS_USER_END - 0x11000, PT_WRITE | PT_USER);
	share(&m.kernel, &m.user, 0, slot, PT_SHARE_NX);
	share(&m.kernel, &m.user, RS_USER_END - slot, slot, PT_SHARE_NX);
}

struct look_machine *look_machine_make(void)
{
	struct look_moment *moment = &m.moment;

	memset(&m, 0, sizeof(m));
	make_boot();
	make_process();
	strcpy(moment->when, "now");
	moment->memory = &m.memory;
	moment->geometry = m.boot.kernel.geo;
	moment->noted = true;
	moment->cpus = 1;
	moment->boot_root = m.boot.kernel.root;
	moment->kernel_cr3 = m.kernel.root;
	moment->user_cr3 = m.user.root;
	moment->symbols = &no_symbols;
	moment->sregs.cr0 = CR0_PE | CR0_WP | CR0_PG;
	moment->sregs.cr3 = m.kernel.root;
	moment->sregs.cr4 = CR4_PAE;
	moment->sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
	return &m;
}

/* ---- Linux --------------------------------------------------------------------------------- */

static void map_at(struct pt *pt, uint64_t va, uint64_t pa, uint64_t len, uint32_t rights)
{
	ck_assert_int_eq(pt_map(pt, va, pa, len, rights, NULL), PT_OK);
}

static void make_linux_trees(void)
{
	static const struct pt_geometry geo = {.levels = 4, .maxphyaddr = 46, .nx = true};
	const uint64_t slot = UINT64_C(1) << 39;

	m.boot.next_frame = 0x100000;
	ck_assert_int_eq(pt_init(&m.kernel, geo, tables), PT_OK);
	ck_assert_int_eq(pt_init(&m.user, geo, tables), PT_OK);
	ck_assert_uint_eq(m.user.root, m.kernel.root + PAGE_SIZE);
	map_at(&m.kernel, RS_DIRECT_BASE, 0, LOOK_RAM, PT_WRITE);
	map_at(&m.kernel, LINUX_TEXT, 0x40000, 0x8000, PT_EXEC);
	map_at(&m.kernel, LINUX_ENTRY, 0x200000, 0x200000, PT_EXEC | PT_GLOBAL);
	map_at(&m.user, LINUX_ENTRY, 0x200000, 0x200000, PT_EXEC | PT_GLOBAL);
	/* IDT, GDT; the entry stack, and the TSS above it; two stacks of the IST between guards. */
	map_at(&m.kernel, LINUX_AREA, 0x10000, 0x2000, PT_GLOBAL);
	map_at(&m.kernel, LINUX_AREA + 0x2000, 0x12000, 0x6000, PT_WRITE | PT_GLOBAL);
	map_at(&m.kernel, LINUX_AREA + 0x9000, 0x19000, 0x1000, PT_WRITE | PT_GLOBAL);
	map_at(&m.kernel, LINUX_AREA + 0xb000, 0x1b000, 0x1000, PT_WRITE | PT_GLOBAL);
	share(&m.user, &m.kernel, LINUX_AREA, slot, 0);
	/* The TSS is written through the direct map, in both roots. */
	map_at(&m.user, RS_DIRECT_BASE + 0x13000, 0x13000, PAGE_SIZE, PT_WRITE);
	map_new(&m.user, 0x400000, PT_EXEC | PT_USER);
	share(&m.kernel, &m.user, 0, slot, PT_SHARE_NX);
}

static void make_linux_tables(void)
{
	struct desc_gate gate = {.offset = LINUX_ENTRY + 0x1000,
	                         .selector = 0x10,
	                         .type = DESC_INTERRUPT_GATE,
	                         .present = true};
	struct desc_tss *tss = memory_at(&m.memory, 0x13000, PAGE_SIZE);
	uint64_t(*idt)[2] = memory_at(&m.memory, 0x10000, PAGE_SIZE);

	for (unsigned i = 0; i < 256; i++) {
		gate.ist = i == VECTOR_DF ? 1 : i == VECTOR_NMI ? 2 : i == 29 ? 5 : 0;
		desc_gate_encode(&gate, idt[i]);
		gate.offset += 16;
	}
	desc_tss_set_rsp(tss, 0, LINUX_AREA + 0x3000);
	desc_tss_set_ist(tss, 1, LINUX_IST1);
	desc_tss_set_ist(tss, 2, LINUX_AREA + 0xc000);
	/* No gate has it: nobody looks where it is. */
	desc_tss_set_ist(tss, 3, LINUX_IST1);
	/* #VC's, which is mapped only where there can be one. */
	desc_tss_set_ist(tss, 5, LINUX_AREA + 0xf000);
}

struct look_machine *look_machine_make_linux(void)
{
	struct look_moment *moment = &m.moment;
	struct kvm_sregs *sregs = &moment->sregs;

	memset(&m, 0, sizeof(m));
	ck_assert(memory_create(&m.memory, LOOK_RAM));
	make_linux_trees();
	make_linux_tables();
	strcpy(moment->when, "now");
	moment->memory = &m.memory;
	moment->geometry = m.kernel.geo;
	moment->foreign = true;
	moment->cpus = 1;
	moment->symbols = &no_symbols;
	moment->msrs[STATE_LSTAR] = LINUX_ENTRY + 0x80;
	moment->msrs_known = 1 << STATE_LSTAR;
	moment->features = RS_FEATURE_SMEP | RS_FEATURE_SMAP;
	moment->features_known = true;
	sregs->cr0 = CR0_PE | CR0_WP | CR0_PG;
	sregs->cr3 = m.kernel.root;
	sregs->cr4 = CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP;
	sregs->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	sregs->idt.base = LINUX_AREA;
	sregs->idt.limit = 0xfff;
	sregs->gdt.base = LINUX_AREA + 0x1000;
	sregs->gdt.limit = 0x7f;
	sregs->tr.base = LINUX_AREA + 0x3000;
	sregs->tr.limit = 0x4087;
	return &m;
}

void look_machine_free(void)
{
	memory_destroy(&m.memory);
}

uint64_t *entry_of(const struct pt *pt, uint64_t va, unsigned level)
{
	struct pt_walk walk;
	unsigned i = 0;

	pt_walk(pt, va, &walk);
	while (i < walk.steps && walk.step[i].level != level)
		i++;
	ck_assert_uint_lt(i, walk.steps);
	return frame_at(NULL, walk.step[i].table) + walk.step[i].index;
}
