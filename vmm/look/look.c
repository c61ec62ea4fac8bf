#include "vmm/look/look.h"

#include <stddef.h>
#include <stdio.h>

#include "shared/x86.h"
#include "vmm/look/roots.h"
#include "vmm/look/view.h"

static bool gives_up(struct look_tables *tables)
{
	const struct look_moment *moment = tables->moment;

	if (!tables->gave_up && moment->give_up)
		tables->gave_up = moment->give_up(moment->give_up_ctx);
	return tables->gave_up;
}

bool look_gives_up(struct look *look)
{
	return gives_up(&look->tables);
}

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	struct look_tables *tables = ctx;

	if (!tables->left || gives_up(tables)) {
		tables->exceeded = true;
		return NULL;
	}
	tables->left--;
	return legacy_table(&tables->legacy, frame);
}

static struct view view_of(const struct look_moment *moment)
{
	return view_make(moment->memory, &moment->regs, &moment->sregs, moment->geometry);
}

/* What is looked at of tables that are known to be more than the limit: one in so many. */
enum { PART_OF_VAST = 16 };

/* Four times the page tables that all of RAM takes in 4 KiB pages, and some for what is mapped
 * twice: no kernel needs as many, and entries that lead in circles are tired out soon. */
static uint64_t table_limit(const struct memory *memory)
{
	return 4 * (memory->size >> 21) + 8192;
}

void look_begin_scan(struct look *look)
{
	const uint64_t limit = table_limit(look->moment->memory);

	look->tables.limit = limit;
	look->tables.left = look->tables.vast ? limit / PART_OF_VAST : limit;
	look->tables.exceeded = false;
}

struct pt look_tree(struct look *look, uint64_t cr3)
{
	/* Only looked at: neither alloc nor free is ever called. */
	const struct pt_memory memory = {.ctx = &look->tables, .at = table_at};
	const struct legacy *legacy = &look->tables.legacy;

	return pt_attach(legacy_geometry(legacy, view_of(look->moment).pt.geo), memory,
	                 legacy_root(legacy, cr3));
}

static bool in_ram(const struct look_moment *moment, uint64_t cr3)
{
	return memory_at(moment->memory, cr3 & CR3_FRAME, PAGE_SIZE) != NULL;
}

static enum root_kind kind_of(struct look *look, uint64_t cr3)
{
	const struct pt tree = look_tree(look, cr3);
	const enum root_kind kind = roots_kind(&tree);

	look_begin_scan(look);
	return kind;
}

/* Whether the guest's words can be true; sets look->distrust when they were given and cannot. */
static bool believable(struct look *look)
{
	const struct look_moment *moment = look->moment;
	const uint64_t current = moment->sregs.cr3 & CR3_FRAME;

	if (!moment->kernel_cr3 && !moment->user_cr3)
		return false;
	if (!in_ram(moment, moment->kernel_cr3) || !in_ram(moment, moment->user_cr3))
		look->distrust = "a root that the guest names lies outside RAM";
	else if (kind_of(look, moment->kernel_cr3) == ROOT_USER)
		look->distrust = "on the root that the guest names for its kernel none could run";
	else if (!moment->stale && (moment->kernel_cr3 & CR3_FRAME) != current &&
	         (moment->user_cr3 & CR3_FRAME) != current)
		look->distrust = "CR3 holds neither of the roots that the guest names";
	return !look->distrust;
}

static bool take_pair(struct look *look, uint64_t kernel, uint64_t user)
{
	const struct look_moment *moment = look->moment;
	const struct pt of_kernel = look_tree(look, kernel), of_user = look_tree(look, user);

	if (!in_ram(moment, kernel) || !in_ram(moment, user))
		return false;
	look_begin_scan(look);
	if (!roots_pair(&of_kernel, &of_user, moment->sregs.idt.base))
		return false;
	look->cr3[LOOK_KERNEL] = kernel & ~CR3_NOFLUSH;
	look->cr3[LOOK_USER] = user & ~CR3_NOFLUSH;
	look->two_roots = true;
	look->roots_from = "they lie side by side, as Linux has them";
	return true;
}

/* Two roots of a guest that does not say which: as Linux has them. */
static void find_pair(struct look *look)
{
	const struct roots_cr3 pair = roots_of_linux(look->moment->sregs.cr3);

	if (!look->legacy)
		take_pair(look, pair.kernel, pair.user);
}

struct look_moment look_moment_of(const struct look_moment *moment, unsigned cpu,
                                  const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	struct look_moment other = *moment;
	const struct rs_call *call = NULL;
	struct look look;
	struct pt boot;
	struct pt_walk walk;

	other.cpu = cpu;
	other.regs = *regs;
	other.sregs = *sregs;
	other.stale = false;
	other.translate = NULL;
	other.kernel_cr3 = other.user_cr3 = 0;
	other.msrs_known = 0;
	if (!moment->noted || !moment->boot_root)
		return other;
	look_init(&look, &other);
	boot = look_tree(&look, moment->boot_root);
	pt_walk(&boot, RS_KERNEL_CPU(cpu) + RS_KERNEL_CALL, &walk);
	if (walk.mapped)
		call = memory_at(moment->memory, walk.pa, PAGE_SIZE);
	if (call) {
		other.kernel_cr3 = call->kernel_cr3;
		other.user_cr3 = call->user_cr3;
	}
	return other;
}

void look_init(struct look *look, const struct look_moment *moment)
{
	*look = (struct look){.moment = moment, .tables.moment = moment};
	snprintf(look->when, sizeof(look->when), moment->cpus > 1 ? "%s, CPU %u" : "%s",
	         moment->when, moment->cpu);
	look_begin_scan(look);
	legacy_init(&look->tables.legacy, moment->memory, &moment->sregs);
	look->legacy = look->tables.legacy.mode;
	look->cr3[LOOK_KERNEL] = moment->sregs.cr3;
	if (believable(look)) {
		look->cr3[LOOK_KERNEL] = moment->kernel_cr3 & ~CR3_NOFLUSH;
		look->cr3[LOOK_USER] = moment->user_cr3 & ~CR3_NOFLUSH;
		look->two_roots = (look->cr3[LOOK_KERNEL] ^ look->cr3[LOOK_USER]) & CR3_FRAME;
		look->roots_from = look->two_roots ? "the guest names them" : NULL;
	} else if (!moment->noted) {
		find_pair(look);
	}
	for (unsigned i = 0; i < LOOK_ROOTS; i++)
		look->pt[i] = look_tree(look, look->cr3[i]);
}

const char *look_root_name(const struct look *look, enum look_root root)
{
	if (!look->two_roots)
		return "only";
	return root == LOOK_USER ? "user" : "kernel";
}

struct pt_access look_access(const struct look *look, unsigned kind, unsigned cpl)
{
	struct view view = view_of(look->moment);

	return view_access(&view, kind, cpl);
}

struct look_kvm look_ask_kvm(const struct look *look, const struct pt *pt, uint64_t va, bool mapped,
                             uint64_t pa, uint32_t rights)
{
	const struct look_moment *moment = look->moment;
	const struct pt_access read = look_access(look, PT_READ, 0);
	struct look_kvm kvm = {0};

	if (!moment->translate || pt->root != legacy_root(&look->tables.legacy, moment->sregs.cr3))
		return kvm;
	kvm.asked = true;
	kvm.mapped = moment->translate(moment->translate_ctx, va, &kvm.pa);
	/* KVM translates for a read by ring 0, which SMAP keeps from user pages. */
	if (kvm.mapped)
		kvm.agrees = mapped && pa == kvm.pa;
	else
		kvm.agrees = !mapped || (rights & PT_USER && read.smap && !read.ac);
	return kvm;
}
