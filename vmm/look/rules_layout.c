#include "vmm/look/rules.h"

#include <inttypes.h>

#include "shared/x86.h"
#include "vmm/base/layout.h"

/* The longest stretch that may be mapped among kernel stacks: theirs are 8 KiB each, with a guard
 * below. */
#define KERNEL_STACK_MAX 8192

/* The bits of an entry that decide what it maps (SDM volume 3, 4.5): P, W, U, PS, the address, NX.
 */
#define ENTRY_MEANING (UINT64_C(0x87) | CR3_FRAME | X86_BIT(63))

/* ---- One root ------------------------------------------------------------------------------ */

void ask_roots(struct asking *asking)
{
	if (asking->look->distrust)
		rule_found(asking, "%s (kernel 0x%" PRIx64 ", user 0x%" PRIx64 ", CR3 0x%llx)",
		           asking->look->distrust, asking->look->moment->kernel_cr3,
		           asking->look->moment->user_cr3, asking->look->moment->sregs.cr3);
}

/* A run inside the place that is being compared. */
static bool compare_place(void *ctx, const struct pt_run *run)
{
	const uint32_t decided = PT_WRITE | PT_EXEC | PT_USER;
	struct asking *asking = ctx;
	const struct place *place = asking->place;

	if (run->va != asking->next)
		rule_found(asking, "0x%016" PRIx64 " (%s) is not mapped", asking->next,
		           place->name);
	if ((run->rights & decided) != place->rights)
		rule_found_run(asking, run, "other rights than declared");
	if (place->placed && run->pa != place->gpa + (run->va - place->va))
		rule_found_run(asking, run, "not at its place in RAM");
	asking->next = run->va + run->len;
	return true;
}

void ask_layout(struct asking *asking)
{
	for (size_t i = 0; i < asking->places->count; i++) {
		const struct place *place = &asking->places->list[i];

		if (!place->exact)
			continue;
		asking->place = place;
		asking->next = place->va;
		rule_each_run(asking, LOOK_KERNEL, place->va, place->va + (place->len - 1),
		              compare_place);
		if (asking->next != place->va + place->len)
			rule_found(asking, "0x%016" PRIx64 " (%s) is not mapped", asking->next,
			           place->name);
	}
}

/* Calls `found` for what of the run lies in no place that `fits`. */
static void compare_places(struct asking *asking, const struct pt_run *run,
                           bool (*fits)(const struct place *place), const char *what)
{
	uint64_t last = run->va + (run->len - 1);
	uint64_t end;

	for (uint64_t va = run->va;; va = end + 1) {
		const struct place *place = places_find(asking->places, va, &end);
		struct pt_run piece = *run;

		if (end > last)
			end = last;
		piece.va = va;
		piece.len = end - va + 1;
		if (!place || !fits(place))
			rule_found_run(asking, &piece, what);
		if (end == last)
			break;
	}
}

static bool is_kernels(const struct place *place)
{
	return place->kind != PLACE_USER;
}

static bool expect_declared(void *ctx, const struct pt_run *run)
{
	compare_places(ctx, run, is_kernels, "declared nowhere, or a guard");
	return true;
}

void ask_guards(struct asking *asking)
{
	rule_each_run_of_all(asking, RULE_KERNEL_HALF, UINT64_MAX, expect_declared);
}

/* Stacks beside each other without a gap make a stretch that is too long.  Their frames need not be
 * in order, so that one stack may be several runs. */
static bool measure_stack(void *ctx, const struct pt_run *run)
{
	struct asking *asking = ctx;
	const bool was_too_long = asking->stretch > KERNEL_STACK_MAX;

	if (run->va != asking->next)
		asking->stretch = 0;
	asking->stretch += run->len;
	asking->next = run->va + run->len;
	if (asking->stretch > KERNEL_STACK_MAX && (!was_too_long || asking->stretch == run->len))
		rule_found_run(asking, run, "two stacks without a guard between them");
	return true;
}

void ask_stack_guards(struct asking *asking)
{
	const struct layout_region *stacks = &layout_regions[LAYOUT_STACKS];

	rule_each_run(asking, LOOK_KERNEL, stacks->va, stacks->va + stacks->size - 1,
	              measure_stack);
}

static bool expect_nothing(void *ctx, const struct pt_run *run)
{
	rule_found_run(ctx, run, "mapped");
	return true;
}

void ask_null(struct asking *asking)
{
	rule_each_run_of_all(asking, 0, PAGE_SIZE - 1, expect_nothing);
}

void ask_slot_256(struct asking *asking)
{
	const uint64_t slot = UINT64_C(0xffff8) << 44;

	rule_each_run_of_all(asking, slot, slot + (UINT64_C(1) << 39) - 1, expect_nothing);
}

/* The kernel half's top-level entries: those that the VMM made, in every process. */
void ask_shared_half(struct asking *asking)
{
	const struct look *look = asking->look;
	const struct memory *memory = look->moment->memory;
	const uint64_t *ours = memory_at(memory, look->moment->boot_root, PAGE_SIZE);
	const uint64_t *theirs = memory_at(memory, look->pt[LOOK_KERNEL].root, PAGE_SIZE);

	if (!ours || !theirs) {
		rule_found(asking, "the root lies outside RAM");
		return;
	}
	for (unsigned i = 256; i < 512; i++) {
		if ((ours[i] ^ theirs[i]) & ENTRY_MEANING)
			rule_found(asking,
			           "top-level entry %u is 0x%016" PRIx64 ", and 0x%016" PRIx64
			           " in the root that the VMM built",
			           i, theirs[i], ours[i]);
	}
}

/* The first frame of [pa, end) that is not ring 3's; end when all are. */
static uint64_t first_foreign(const struct look_moment *moment, uint64_t pa, uint64_t end)
{
	for (uint32_t i = 0; i < moment->segment_count && i < RS_MAX_SEGMENTS; i++) {
		const struct rs_segment *segment = &moment->segments[i];

		if (pa >= end || pa >= moment->free_start)
			return end;
		if (segment->user && pa >= segment->gpa && pa - segment->gpa < segment->size) {
			pa = segment->gpa + segment->size;
			i = UINT32_MAX; /* the next may begin here: once more from the first */
		}
	}
	return pa >= end || pa >= moment->free_start ? end : pa;
}

static bool expect_own_frames(void *ctx, const struct pt_run *run)
{
	struct asking *asking = ctx;

	uint64_t end = run->pa + run->len;

	if (run->rights & PT_USER && asking->look->moment->free_start &&
	    first_foreign(asking->look->moment, run->pa, end) != end)
		rule_found_run(asking, run, "its memory is the kernel's or the VMM's");
	return true;
}

void ask_user_frames(struct asking *asking)
{
	rule_each_run_of_all(asking, 0, UINT64_MAX, expect_own_frames);
}

/* ---- Two roots ----------------------------------------------------------------------------- */

static bool is_entrys(const struct place *place)
{
	return place->kind == PLACE_ENTRY;
}

static bool expect_entry_area(void *ctx, const struct pt_run *run)
{
	compare_places(ctx, run, is_entrys, "outside the entry area");
	return true;
}

void ask_user_root(struct asking *asking)
{
	rule_each_run(asking, LOOK_USER, RULE_KERNEL_HALF, UINT64_MAX, expect_entry_area);
}

void ask_no_global(struct asking *asking)
{
	if (asking->look->moment->sregs.cr4 & CR4_PGE)
		rule_found(asking,
		           "CR4.PGE is set: global pages of the kernel root stay in the TLB "
		           "when CR3 changes");
}
