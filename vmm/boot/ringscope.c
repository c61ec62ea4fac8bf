#include "vmm/boot/ringscope.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/base/layout.h"
#include "vmm/base/message.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- Frames -------------------------------------------------------------------------------- */

/* `count` frames in a row, all zero because nobody has touched them since RAM was made. */
static bool take_frames(struct boot *boot, uint64_t count, uint64_t *gpa)
{
	if (count > (boot->memory->low_end - boot->next_frame) / PAGE_SIZE)
		return false;
	*gpa = boot->next_frame;
	boot->next_frame += count * PAGE_SIZE;
	return true;
}

/* What the tables and the like of a small guest take: all of it in one call, not page fault by page
 * fault. */
#define FIRST_FRAMES 16

static bool alloc_frame(void *ctx, uint64_t *frame)
{
	const struct boot *boot = ctx;

	if (!take_frames(ctx, 1, frame))
		return false;
	/* Tables are read before they are written, which would be two page faults. */
	*(volatile uint8_t *)memory_at(boot->memory, *frame, 1) = 0;
	return true;
}

/* Frames come back only from a call that fails, and then the boot fails: the last one taken is
 * reused, others are left. */
static void free_frame(void *ctx, uint64_t frame)
{
	struct boot *boot = ctx;

	if (frame + PAGE_SIZE == boot->next_frame)
		boot->next_frame = frame;
}

static uint64_t *frame_at(void *ctx, uint64_t frame)
{
	const struct boot *boot = ctx;

	if (frame % PAGE_SIZE)
		return NULL;
	return memory_at(boot->memory, frame, PAGE_SIZE);
}

static bool no_room(const struct boot *boot, const char *what)
{
	return message_error("no room in guest RAM for the %s behind the image: %" PRIu64
	                     " KiB are too few; give more with --mem",
	                     what, boot->memory->low_end >> 10);
}

/* ---- Mappings ------------------------------------------------------------------------------ */

static bool check_status(const struct boot *boot, const char *what, const char *call, uint64_t va,
                         uint64_t len, enum pt_status status, const struct pt_change *change)
{
	char text[200];

	if (status == PT_OK)
		return true;
	if (status == PT_ENOMEM)
		return no_room(boot, "page tables");
	pt_change_text(text, sizeof(text), call, va, len, status, change);
	return message_error("cannot map the %s: %s", what, text);
}

static bool map(struct boot *boot, const char *what, uint64_t va, uint64_t pa, uint64_t len,
                uint32_t flags)
{
	struct pt_change change;
	enum pt_status status = pt_map(&boot->kernel, va, pa, len, flags, &change);

	return check_status(boot, what, "pt_map", va, len, status, &change);
}

static bool reserve(struct boot *boot, const struct layout_region *region)
{
	struct pt_change change;
	enum pt_status status = pt_reserve(&boot->kernel, region->va, PAGE_SIZE, &change);

	return check_status(boot, region->name, "pt_reserve", region->va, PAGE_SIZE, status,
	                    &change);
}

/* New pages at `va`; *gpa: where they are in RAM. */
static bool map_new(struct boot *boot, const char *what, uint64_t va, uint64_t size, uint32_t flags,
                    uint64_t *gpa)
{
	*gpa = 0;
	if (!take_frames(boot, size / PAGE_SIZE, gpa))
		return no_room(boot, what);
	return map(boot, what, va, *gpa, size, flags | PT_GLOBAL | PT_SMALL);
}

/* New pages for a region of one page. */
static void *map_region(struct boot *boot, const struct layout_region *region)
{
	uint64_t gpa;

	if (!map_new(boot, region->name, region->va, region->size, region->rights, &gpa))
		return NULL;
	return memory_at(boot->memory, gpa, region->size);
}

/* One part of RAM, at its place. */
static bool map_direct(struct boot *boot, uint64_t start, uint64_t end)
{
	const struct layout_region *region = &layout_regions[LAYOUT_DIRECT];

	return map(boot, region->name, region->va + start, start, end - start,
	           region->rights | PT_GLOBAL);
}

/* Image segments.  With a note, the user half is the guest's to map; without one, everything is
 * the kernel's, wherever it was linked. */
static bool map_image(struct boot *boot, const struct image *image)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *s = &image->segments[i];
		/* Two segments may share a page if it has the same rights and place for both. */
		uint32_t flags = PT_REPLACE;

		if (segment_is_user(s) && image->noted)
			continue;
		if (!segment_is_user(s))
			flags |= PT_GLOBAL;
		if (s->flags & 2)
			flags |= PT_WRITE;
		if (s->flags & 1)
			flags |= PT_EXEC;
		if (!map(boot, "image", segment_page_va(s), segment_page_gpa(s),
		         segment_page_size(s), flags))
			return false;
	}
	return true;
}

/* ---- Pages of one CPU ---------------------------------------------------------------------- */

/* The GDT of shared/abi.h.  The TSS is available here, and busy in TR: the guest may LTR it again.
 */
static void write_gdt(uint64_t *gdt, uint64_t tss_va)
{
	static const struct {
		uint16_t selector;
		uint8_t type, dpl;
		bool code64, big;
	} flat[] = {
	    {RS_SEL_KERNEL_CODE, DESC_CODE_RX, 0, true, false},
	    {RS_SEL_KERNEL_DATA, DESC_DATA_RW, 0, false, true},
	    {RS_SEL_USER_CODE32, DESC_CODE_RX, 3, false, true},
	    {RS_SEL_USER_DATA, DESC_DATA_RW, 3, false, true},
	    {RS_SEL_USER_CODE, DESC_CODE_RX, 3, true, false},
	    {RS_SEL_USER_DATA2, DESC_DATA_RW, 3, false, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(flat); i++) {
		const struct desc_segment segment = {
		    .limit = 0xffffffff,
		    .type = flat[i].type,
		    .dpl = flat[i].dpl,
		    .present = true,
		    .code64 = flat[i].code64,
		    .big = flat[i].big,
		};

		desc_segment_encode(&segment, &gdt[selector_index(flat[i].selector)]);
	}

	const struct desc_segment tss = {
	    .base = tss_va,
	    .limit = RS_TSS_LIMIT,
	    .type = DESC_TSS_AVAILABLE,
	    .system = true,
	    .present = true,
	};

	desc_segment_encode(&tss, &gdt[selector_index(RS_SEL_TSS)]);
}

/* TSS and I/O bitmap: every port denied, and the byte of ones behind the bitmap that the CPU reads
 * for an access to the last ports (SDM volume 1, 19.5.2). */
static void write_tss(struct desc_tss *tss, uint64_t entry_cpu)
{
	desc_tss_set_rsp(tss, 0, entry_cpu + RS_ENTRY_STACK_TOP);
	for (unsigned i = 1; i <= 7; i++)
		desc_tss_set_ist(tss, i, entry_cpu + RS_IST_TOP(i));
	tss->iomap_base = RS_IO_BITMAP_OFFSET;
	memset((uint8_t *)tss + RS_IO_BITMAP_OFFSET, 0xff, RS_TSS_LIMIT + 1 - RS_IO_BITMAP_OFFSET);
}
_Static_assert(RS_IO_BITMAP_OFFSET == sizeof(struct desc_tss), "the bitmap follows the TSS");
_Static_assert(RS_TSS_LIMIT < PAGE_SIZE, "the TSS has one page");

static bool build_cpu(struct boot *boot, unsigned cpu)
{
	for (unsigned i = 0; i < LAYOUT_PARTS; i++) {
		const struct layout_part *part = &layout_parts[i];
		const struct layout_region *region = &layout_regions[part->region];
		uint64_t gpa;

		if (!map_new(boot, part->name, layout_part_va(part, cpu), part->size,
		             region->rights, &gpa))
			return false;

		void *at = memory_at(boot->memory, gpa, part->size);

		if (region->entry && part->offset == RS_ENTRY_GDT)
			write_gdt(at, RS_ENTRY_CPU(cpu) + RS_ENTRY_TSS);
		else if (region->entry && part->offset == RS_ENTRY_TSS)
			write_tss(at, RS_ENTRY_CPU(cpu));
		else if (!region->entry && part->offset == RS_KERNEL_STATS)
			boot->stats[cpu] = at;
		else if (!region->entry && part->offset == RS_KERNEL_CALL)
			boot->call[cpu] = at;
	}
	return true;
}

/* ---- IDT ----------------------------------------------------------------------------------- */

static bool bitmap_has(const uint64_t bitmap[4], unsigned vector)
{
	return bitmap[vector / 64] >> vector % 64 & 1;
}

static bool build_idt(struct boot *boot, const struct rs_note *note)
{
	uint64_t(*idt)[2] = map_region(boot, &layout_regions[LAYOUT_IDT]);

	if (!idt)
		return false;
	for (unsigned v = 0; v < note->vector_count; v++) {
		const struct desc_gate gate = {
		    .offset = note->vectors + (uint64_t)v * note->vector_stride,
		    .selector = RS_SEL_KERNEL_CODE,
		    .ist = v < ARRAY_SIZE(note->ist) ? note->ist[v] : 0,
		    .type = bitmap_has(note->trap_gates, v) ? DESC_TRAP_GATE : DESC_INTERRUPT_GATE,
		    .dpl = bitmap_has(note->user_vectors, v) ? 3 : 0,
		    .present = true,
		};

		desc_gate_encode(&gate, idt[v]);
	}
	return true;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static bool init_tables(struct boot *boot, const struct host *host, const struct plan *plan)
{
	const struct pt_geometry geometry = {
	    .levels = plan->la57 ? 5 : 4,
	    .maxphyaddr = (uint8_t)host->maxphyaddr,
	    .nx = true,
	    .gib_pages = host->cpuid_features & RS_FEATURE_GIB_PAGES,
	    .pcid = host->cpuid_features & RS_FEATURE_PCID,
	};
	const struct pt_memory memory = {
	    .ctx = boot,
	    .alloc = alloc_frame,
	    .free = free_frame,
	    .at = frame_at,
	};

	return check_status(boot, "kernel root", "pt_init", 0, 0,
	                    pt_init(&boot->kernel, geometry, memory), NULL);
}

bool boot_build(struct boot *boot, const struct memory *memory, const struct image *image,
                const struct host *host, const struct plan *plan)
{
	*boot = (struct boot){.memory = memory, .next_frame = image->end, .cpus = plan->cpus};
	if (memory_span(memory) > UINT64_C(1) << host->maxphyaddr)
		return message_error("--mem: %" PRIu64 " MiB, of which those above 3 GiB lie from "
		                     "4 GiB on, are more than the CPU's %" PRIu32
		                     "-bit physical addresses reach: give less",
		                     memory->size >> 20, host->maxphyaddr);
	memory_populate(memory, boot->next_frame, FIRST_FRAMES * PAGE_SIZE);
	if (!init_tables(boot, host, plan))
		return false;
	/* The top-level slots that a guest's address spaces share exist from the start, so that
	 * what one maps there later is seen by all.  The image and entry regions get theirs by
	 * being mapped. */
	if (!reserve(boot, &layout_regions[LAYOUT_STACKS]) ||
	    !reserve(boot, &layout_regions[LAYOUT_IMAGE]))
		return false;
	/* With leaves as large as KVM has them: much RAM takes no more tables than little. */
	if (!map_direct(boot, 0, memory->low_end) ||
	    (memory->high_end && !map_direct(boot, RS_HIGH_RAM, memory->high_end)) ||
	    !map_image(boot, image))
		return false;
	boot->page = map_region(boot, &layout_regions[LAYOUT_BOOT_PAGE]);
	if (!boot->page)
		return false;
	if (image->noted && !build_idt(boot, &image->note))
		return false;
	for (unsigned cpu = 0; cpu < boot->cpus; cpu++) {
		if (!build_cpu(boot, cpu))
			return false;
	}
	return true;
}

/* ---- The boot page ------------------------------------------------------------------------- */

static void publish_segments(struct rs_boot *page, const struct image *image)
{
	page->segment_count = image->count;
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *s = &image->segments[i];

		page->segments[i] = (struct rs_segment){
		    .va = segment_page_va(s),
		    .gpa = segment_page_gpa(s),
		    .size = segment_page_size(s),
		    .flags = s->flags,
		    .user = segment_is_user(s),
		};
	}
}

/* whoever made the plan has made sure that the words fit. */
static void publish_cmdline(struct rs_boot *page, const struct plan *plan)
{
	char *at = page->cmdline;

	const char *word = plan->guest;

	for (page->argc = 0; word; word = plan_argument(plan, page->argc++))
		at = stpcpy(at, word) + 1;
}

void boot_publish(struct boot *boot, const struct image *image, const struct host *host,
                  const struct plan *plan, uint32_t pti_mode)
{
	struct rs_boot *page = boot->page;

	page->magic = RS_BOOT_MAGIC;
	page->abi = RS_ABI_VERSION;
	page->size = sizeof(*page);
	page->ram_size = boot->memory->low_end;
	page->high_end = boot->memory->high_end ? boot->memory->high_end : RS_HIGH_RAM;
	page->ram_total = boot->memory->size;
	page->free_start = boot->next_frame;
	page->free_end = boot->memory->low_end;
	page->kernel_root = boot->kernel.root;
	page->features = host->features;
	page->levels = boot->kernel.geo.levels;
	page->maxphyaddr = host->maxphyaddr;
	page->pti_mode = pti_mode;
	page->cpus = boot->cpus;
	page->tsc_khz = host->tsc_khz;
	page->apic_khz = host->apic_khz;
	publish_segments(page, image);
	publish_cmdline(page, plan);
}

struct rs_stats boot_counts(const struct boot *boot)
{
	enum { COUNTERS = sizeof(struct rs_stats) / sizeof(uint64_t) };
	union {
		struct rs_stats stats;
		uint64_t counters[COUNTERS];
	} sum = {.stats = *boot->stats[0]};

	_Static_assert(sizeof(struct rs_stats) % sizeof(uint64_t) == 0, "nothing but counters");
	for (unsigned cpu = 1; cpu < boot->cpus; cpu++) {
		const volatile uint64_t *from = (const volatile uint64_t *)boot->stats[cpu];

		for (size_t i = 0; i < COUNTERS; i++)
			sum.counters[i] += from[i];
	}
	return sum.stats;
}

void boot_set_quirk(struct boot *boot, uint64_t quirk)
{
	__atomic_fetch_or(&boot->page->quirks, quirk, __ATOMIC_RELAXED);
}
