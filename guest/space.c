#include "guest/space.h"

#include <stddef.h>

#include "guest/cpu.h"
#include "guest/frames.h"
#include "guest/smp.h"
#include "shared/pcid.h"

/* entry.S: must run there, since nothing else is mapped between its two CR3 writes. */
void flush_user_root(uint64_t user_cr3, uint64_t kernel_cr3);

/* From here on one write of CR3 costs less than an INVLPG a page. */
#define FLUSH_PAGES_MAX 32

static struct pt kernel_tree;     /* the VMM's: boots the guest, owns the kernel half */
static struct pt entry_template;  /* a user root's kernel half; its tables serve every process */
static struct space kernel_space; /* the kernel tree alone */
static uint64_t features;
static uint32_t mode;
static uint64_t last_id;
static struct pcid_pool pcids[RS_MAX_CPUS];

/* The kernel half in pieces that each fill whole top-level slots, so that sharing copies entries of
 * the top level and costs no table. */
struct piece {
	uint64_t va, len;
};
static const struct piece pieces4[] = {
    {RS_DIRECT_BASE, UINT64_C(1) << 39},
    {RS_STACKS_BASE, UINT64_C(1) << 39},
    {RS_IMAGE_BASE & ~((UINT64_C(1) << 39) - 1), UINT64_C(1) << 39},
};
static const struct piece pieces5[] = {{UINT64_C(0xffff) << 48, UINT64_C(1) << 48}};

static uint64_t slot_size(void)
{
	return kernel_tree.geo.levels == 5 ? UINT64_C(1) << 48 : UINT64_C(1) << 39;
}

bool space_init(const struct rs_boot *boot)
{
	struct pt_geometry geo = {
	    .levels = (uint8_t)boot->levels,
	    .maxphyaddr = (uint8_t)boot->maxphyaddr,
	    .nx = boot->features & RS_FEATURE_NX,
	    .gib_pages = boot->features & RS_FEATURE_GIB_PAGES,
	    .pcid = boot->features & RS_FEATURE_PCID,
	};

	features = boot->features;
	mode = boot->pti_mode;
	kernel_tree = pt_attach(geo, frames_pt_memory, boot->kernel_root);
	if (features & RS_FEATURE_PCID)
		write_cr4(read_cr4() |
		          CR4_PCIDE); /* CR3 bits 11:0 are zero at boot, as it demands */
	kernel_space = (struct space){.kernel = kernel_tree, .user = kernel_tree, .id = ++last_id};
	return pt_init(&entry_template, geo, frames_pt_memory) == PT_OK &&
	       pt_share(&entry_template, &kernel_tree, RS_ENTRY_BASE, -RS_ENTRY_BASE, 0, NULL) ==
	           PT_OK;
}

struct pt *space_kernel_tree(void)
{
	return &kernel_tree;
}

static bool share_kernel_half(struct space *space)
{
	const struct piece *piece = kernel_tree.geo.levels == 5 ? pieces5 : pieces4;
	size_t count = kernel_tree.geo.levels == 5 ? 1 : sizeof(pieces4) / sizeof(pieces4[0]);

	for (size_t i = 0; i < count; i++)
		if (pt_share(&space->kernel, &kernel_tree, piece[i].va, piece[i].len, 0, NULL))
			return false;
	/* The entry area lies in the last piece. */
	return pt_share(&space->user, &entry_template, piece[count - 1].va, piece[count - 1].len, 0,
	                NULL) == PT_OK;
}

bool space_create(struct space *space)
{
	*space = (struct space){.id = ++last_id};
	if (pt_init(&space->user, kernel_tree.geo, frames_pt_memory))
		return false;
	if (pt_init(&space->kernel, kernel_tree.geo, frames_pt_memory)) {
		pt_destroy(&space->user);
		return false;
	}
	if (!share_kernel_half(space)) {
		space_destroy(space);
		return false;
	}
	return true;
}

void space_destroy(struct space *space)
{
	pt_destroy(&space->kernel);
	pt_destroy(&space->user);
}

/* The top-level slots that the range lies in are shared whole. */
enum pt_status space_mirror(struct space *space, uint64_t va, uint64_t len)
{
	uint64_t first = va & ~(slot_size() - 1);
	uint64_t end = (va + len + slot_size() - 1) & ~(slot_size() - 1);

	return pt_share(&space->kernel, &space->user, first, end - first,
	                mode == RS_PTI_OFF ? 0 : PT_SHARE_NX, NULL);
}

/* ---- What TLBs must forget ------------------------------------------------------------------- */

static void flush_page(uint64_t va)
{
	invlpg(va);
	cpu_stats()->invlpg++;
}

/* All that this CPU knows of the space it runs, but for global pages. */
static void flush_roots(void)
{
	struct cpu *cpu = this_cpu();
	struct rs_stats *stats = cpu_stats();

	write_cr3(cpu->kernel_cr3 & ~CR3_NOFLUSH);
	stats->cr3_switch++;
	stats->cr3_flush++;
	if (mode != RS_PTI_PCID)
		return;
	flush_user_root(cpu->user_cr3 & ~CR3_NOFLUSH, cpu->kernel_cr3);
	stats->cr3_switch += 2;
	stats->cr3_flush++;
}

/* Both roots cache translations of the user half, each under its own PCID.  INVLPG reaches the one
 * that is live. */
static void flush_range(const struct pt_change *change)
{
	struct cpu *cpu = this_cpu();
	struct rs_stats *stats = cpu_stats();

	if (change->flush_pages > FLUSH_PAGES_MAX) {
		flush_roots();
		return;
	}
	for (uint64_t va = change->flush_start; va < change->flush_end; va += PAGE_SIZE)
		flush_page(va);
	if (mode == RS_PTI_PCID) {
		flush_user_root(cpu->user_cr3 & ~CR3_NOFLUSH, cpu->kernel_cr3);
		stats->cr3_switch += 2;
		stats->cr3_flush++;
	}
}

/* A space is loaded on one CPU at most: the others find its new generation when they load it. */
static void forget(struct space *space, const struct pt_change *change)
{
	if (!change->flush)
		return;
	space->generation++;
	if ((read_cr3() & CR3_FRAME) != space->kernel.root)
		return;
	flush_range(change);
	pcid_flushed(&pcids[this_cpu()->number], space->id, space->generation);
}

/* Under every PCID, global pages too: any change of PGE does that (SDM 4.10.4.1). */
static void flush_everything(uint64_t unused)
{
	uint64_t cr4 = read_cr4();

	(void)unused;
	write_cr4(cr4 ^ CR4_PGE);
	write_cr4(cr4);
}

/* ---- The kernel half ------------------------------------------------------------------------- */

enum pt_status space_map_kernel(uint64_t va, uint64_t frame)
{
	return pt_map(&kernel_tree, va, frame, PAGE_SIZE, PT_WRITE | PT_GLOBAL, NULL);
}

enum pt_status space_unmap_kernel(uint64_t va, uint64_t len)
{
	struct pt_change change;
	enum pt_status status = pt_unmap(&kernel_tree, va, len, &change);

	if (status || !change.flush)
		return status;
	flush_everything(0);
	smp_on_others(flush_everything, 0);
	cpu_stats()->shootdowns += smp_cpus - 1;
	return PT_OK;
}

/* ---- The user half --------------------------------------------------------------------------- */

enum pt_status space_map(struct space *space, uint64_t va, uint64_t pa, uint64_t len,
                         uint32_t rights)
{
	if (va >= USER_TOP || len > USER_TOP - va)
		return PT_ECANONICAL;
	return pt_map(&space->user, va, pa, len, rights | PT_USER | PT_SMALL, NULL);
}

/* With 4 KiB leaves nothing has to be split: it cannot fail. */
void space_replace(struct space *space, uint64_t va, uint64_t pa, uint32_t rights)
{
	struct pt_change change;

	pt_map(&space->user, va, pa, PAGE_SIZE, rights | PT_USER | PT_SMALL | PT_REPLACE, &change);
	forget(space, &change);
}

enum pt_status space_unmap(struct space *space, uint64_t va, uint64_t len)
{
	struct pt_change change;
	enum pt_status status = pt_unmap(&space->user, va, len, &change);

	if (status == PT_OK)
		status = space_mirror(space, va, len);
	if (status == PT_OK)
		forget(space, &change);
	return status;
}

static void set_words(struct cpu *cpu, uint64_t kernel_cr3, uint64_t user_cr3)
{
	struct rs_call *call = cpu_call();

	cpu->kernel_cr3 = kernel_cr3;
	cpu->user_cr3 = user_cr3;
	call->kernel_cr3 = kernel_cr3;
	call->user_cr3 = user_cr3;
}

/* Out of the way of the switch that needs no flush. */
static __attribute__((noinline)) void take_pcid(struct pcid_pool *pool, const struct space *space)
{
	cpu_stats()->pcid_reused += pcid_take(pool, space->id, space->generation);
#ifdef RS_TEST_NO_PCID_FLUSH
	write_cr3(this_cpu()->kernel_cr3);
#else
	flush_roots();
#endif
}

static void load_with_pcid(struct cpu *cpu, const struct space *space)
{
	struct pcid_pool *pool = &pcids[cpu->number];
	const uint64_t low = pcid_of(space->id) | CR3_NOFLUSH;

	set_words(cpu, space->kernel.root | low, space->user.root | low | PCID_USER);
	if (!pcid_is_good(pool, space->id, space->generation)) {
		take_pcid(pool, space);
		return;
	}
	write_cr3(cpu->kernel_cr3);
	cpu_stats()->cr3_switch++;
}

void space_load(const struct space *space)
{
	struct cpu *cpu = this_cpu();
	struct rs_stats *stats = cpu_stats();

	if (mode == RS_PTI_PCID) {
		load_with_pcid(cpu, space);
		return;
	}
	set_words(cpu, space->kernel.root,
	          mode == RS_PTI_OFF ? space->kernel.root : space->user.root);
	write_cr3(space->kernel.root);
	stats->cr3_switch++;
	stats->cr3_flush++;
}

const struct space *space_kernel(void)
{
	return &kernel_space;
}

/* ---- Modes ----------------------------------------------------------------------------------- */

uint32_t space_mode(void)
{
	return mode;
}

bool space_mode_possible(uint32_t wanted)
{
	return wanted == RS_PTI_OFF || wanted == RS_PTI_NOPCID ||
	       (wanted == RS_PTI_PCID && (features & RS_FEATURE_PCID));
}

void space_set_mode(uint32_t wanted)
{
	mode = wanted;
	space_follow_mode();
}

/* Kernel pages are global, which must not outlive a switch to a user root: the processor would
 * answer #PF 5 from a stale entry where the tables say 4.  So PGE is on only without KPTI; writing
 * CR4.PGE also empties the TLB of all PCIDs (SDM 4.10.4.1). */
void space_follow_mode(void)
{
	struct cpu *cpu = this_cpu();
	uint64_t cr4 = read_cr4();

	write_cr4(cr4 ^ CR4_PGE);
	write_cr4(mode == RS_PTI_OFF ? cr4 | CR4_PGE : cr4 & ~CR4_PGE);
	pcids[cpu->number] = (struct pcid_pool){0};
	cpu->pti = mode != RS_PTI_OFF;
	cpu->exit = EXIT_SLOW;
	cpu->noflush = mode == RS_PTI_PCID ? CR3_NOFLUSH : 0;
}

void space_apply_mode(struct space *space)
{
	space_mirror(space, 0, USER_TOP);
}

static uint64_t kernel_half(void)
{
	return kernel_tree.geo.levels == 5 ? UINT64_C(0xff) << 56 : UINT64_C(0xffff8) << 44;
}

void space_count(const struct space *space, struct rs_page_counts *counts)
{
	struct pt_counts kernel, user;

	pt_count(&space->kernel, kernel_half(), UINT64_MAX, &kernel);
	pt_count(&space->user, kernel_half(), UINT64_MAX, &user);
	*counts = (struct rs_page_counts){.kernel_root = kernel.pages, .user_root = user.pages};
}

struct range_list {
	struct rs_range *ranges;
	uint32_t count, room;
};

static bool add_range(void *ctx, const struct pt_run *run)
{
	struct range_list *list = ctx;
	const uint32_t rights = run->rights & (PT_WRITE | PT_EXEC | PT_USER);
	struct rs_range *last = &list->ranges[list->count - 1];

	/* Runs end where physical addresses jump, which does not matter here. */
	if (list->count && list->count <= list->room && last->va + last->len == run->va &&
	    last->rights == rights) {
		last->len += run->len;
		return true;
	}
	if (list->count < list->room)
		list->ranges[list->count] = (struct rs_range){run->va, run->len, rights};
	list->count++;
	return true;
}

uint32_t space_user_root(const struct space *space, struct rs_range *ranges, uint32_t room)
{
	struct range_list list = {.ranges = ranges, .room = room};

	pt_each(&space->user, kernel_half(), UINT64_MAX, add_range, &list);
	return list.count;
}
