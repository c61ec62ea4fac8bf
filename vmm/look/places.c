#include "vmm/look/places.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/look/boundary.h"
#include "vmm/look/linux_layout.h"

/* Where the guest's kernel puts the stacks of its processes: its own choice, so this is for a name
 * only. */
#define USER_STACK_REGION (UINT64_C(1) << 20)

static bool overlaps(const struct places *places, uint64_t va, uint64_t len)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct place *p = &places->list[i];

		if (va <= p->va + (p->len - 1) && p->va <= va + (len - 1))
			return true;
	}
	return false;
}

/* Keeps the list sorted. */
static void add(struct places *places, const struct place *place)
{
	size_t at = places->count;

	if (!place->len || place->va + (place->len - 1) < place->va ||
	    places->count == PLACES_MAX || overlaps(places, place->va, place->len))
		return;
	while (at > 0 && places->list[at - 1].va > place->va) {
		places->list[at] = places->list[at - 1];
		at--;
	}
	places->list[at] = *place;
	places->count++;
}

static void add_segment(struct places *places, const struct rs_segment *segment, bool noted)
{
	const bool exec = segment->flags & 1, write = segment->flags & 2;
	struct place place = {
	    .va = segment->va,
	    .len = segment->size,
	    .kind = segment->va < RS_USER_END     ? PLACE_USER
	            : segment->va < RS_ENTRY_BASE ? PLACE_KERNEL
	                                          : PLACE_ENTRY,
	    .rights = (exec ? (uint32_t)PT_EXEC : 0) | (write ? (uint32_t)PT_WRITE : 0),
	    /* What is the user half's is mapped by the guest, from copies where it can be written.
	     */
	    .exact = !segment->user,
	    .placed = !segment->user,
	    .gpa = segment->gpa,
	};
	static const char *const halves[] = {
	    [PLACE_USER] = "user", [PLACE_KERNEL] = "kernel", [PLACE_ENTRY] = "entry"};

	snprintf(place.name, sizeof(place.name), "%s %s", noted ? halves[place.kind] : "image",
	         exec    ? "text"
	         : write ? "data"
	                 : "rodata");
	add(places, &place);
}

static void add_fixed(struct places *places, const char *name, uint64_t va, uint64_t len,
                      const struct layout_region *like, bool exact)
{
	struct place place = {
	    .va = va,
	    .len = len,
	    .kind = like->entry ? PLACE_ENTRY : PLACE_KERNEL,
	    .rights = like->rights,
	    .exact = exact,
	};

	snprintf(place.name, sizeof(place.name), "%s", name);
	add(places, &place);
}

static void add_region(struct places *places, const char *name, unsigned which, bool exact)
{
	const struct layout_region *region = &layout_regions[which];

	add_fixed(places, name, region->va, region->size, region, exact);
}

static void add_direct(struct places *places, uint64_t start, uint64_t end)
{
	const struct layout_region *region = &layout_regions[LAYOUT_DIRECT];

	add_fixed(places, "direct map of RAM", region->va + start, end - start, region, true);
}

static void add_cpu(struct places *places, uint32_t cpu, bool alone)
{
	for (unsigned i = 0; i < LAYOUT_PARTS; i++) {
		const struct layout_part *part = &layout_parts[i];
		char name[24];

		snprintf(name, sizeof(name), alone ? "%s" : "%s, CPU %" PRIu32, part->name, cpu);
		add_fixed(places, name, layout_part_va(part, cpu), part->size,
		          &layout_regions[part->region], true);
	}
}

/* The layout of shared/abi.h, as the VMM built it. */
static void add_layout(struct places *places, const struct look_moment *moment)
{
	const struct place user_stack = {.va = RS_USER_END - USER_STACK_REGION,
	                                 .len = USER_STACK_REGION,
	                                 .kind = PLACE_USER,
	                                 .rights = PT_WRITE,
	                                 .name = "user stack"};

	for (uint32_t i = 0; i < moment->segment_count && i < RS_MAX_SEGMENTS; i++)
		add_segment(places, &moment->segments[i], moment->noted);
	add_direct(places, 0, moment->memory->low_end);
	if (moment->memory->high_end)
		add_direct(places, RS_HIGH_RAM, moment->memory->high_end);
	add_region(places, "kernel stack", LAYOUT_STACKS, false);
	add_region(places, "boot page", LAYOUT_BOOT_PAGE, true);
	if (moment->noted) {
		add_region(places, "IDT", LAYOUT_IDT, true);
		add(places, &user_stack);
	}
	for (uint32_t cpu = 0; cpu < moment->cpus && cpu < RS_MAX_CPUS; cpu++)
		add_cpu(places, cpu, moment->cpus == 1);
}

/* Where nothing has a name yet: fills the holes of [va, va + len) with it. */
static void add_between(struct places *places, const char *name, uint64_t va, uint64_t len)
{
	static const struct layout_region none;
	const uint64_t last = va + (len - 1);
	uint64_t end;

	if (!len || last < va)
		return;
	for (;; va = end + 1) {
		const bool free = !places_find(places, va, &end);

		if (end > last)
			end = last;
		if (free)
			add_fixed(places, name, va, end - va + 1, &none, false);
		if (end == last || places->count == PLACES_MAX)
			return;
	}
}

/* What the processor goes by; small kernels have several in a page. */
static void add_of_processor(struct places *places, const char *name, uint64_t va, uint64_t len)
{
	static const struct layout_region entry = {.entry = true};

	for (size_t i = 0; i < places->count; i++) {
		struct place *place = &places->list[i];
		const size_t used = strlen(place->name);

		if (place->kind == PLACE_ENTRY && place->va == va && place->len == len) {
			snprintf(place->name + used, sizeof(place->name) - used, ", %s", name);
			return;
		}
	}
	add_fixed(places, name, va, len, &entry, false);
}

struct seeking {
	struct places *places;
	const struct boundary *boundary;
	uint64_t pa; /* of a page */
};

static bool add_if_same(void *ctx, const struct pt_run *run)
{
	const struct seeking *seeking = ctx;
	const uint64_t offset = seeking->pa - run->pa;

	if (offset < run->len)
		add_between(seeking->places, "TSS, other address", run->va + offset, PAGE_SIZE);
	return true;
}

/* Kernels that keep the TSS read-only write it somewhere else: entry code that spills a register
 * there has that page in the user root, too.  The place that TR gives has its name already. */
static void add_tss_again(struct places *places, struct look *look, uint64_t va)
{
	struct seeking seeking = {.places = places};
	struct pt_walk walk;

	look_begin_scan(look);
	pt_walk(&look->pt[LOOK_USER], va, &walk);
	seeking.pa = walk.pa;
	if (walk.mapped)
		pt_each(&look->pt[LOOK_USER], UINT64_C(1) << 63, UINT64_MAX, add_if_same, &seeking);
}

static void add_boundary(struct places *places, struct look *look, const struct boundary *boundary)
{
	for (unsigned i = 0; i < BOUNDARY_TABLES; i++) {
		const struct boundary_range *table = &boundary->table[i];

		add_of_processor(places, boundary_table_name(i), table->va, table->len);
	}
	for (unsigned i = 0; i < BOUNDARY_STACKS; i++) {
		const uint64_t top = boundary->stack[i];
		struct boundary_stack stack;

		look_begin_scan(look);
		stack = boundary_stack_find(&look->pt[LOOK_KERNEL], top);
		/* Where no guard ends it, nobody knows how large it is. */
		if (!stack.guarded)
			stack.len = PAGE_SIZE;
		if (top && stack.len)
			add_of_processor(places, boundary_stack_name(i),
			                 ((top - 1) | (PAGE_SIZE - 1)) + 1 - stack.len, stack.len);
	}
	if (look->two_roots && boundary->table[BOUNDARY_TSS].len)
		add_tss_again(places, look, boundary->table[BOUNDARY_TSS].va);
}

static void add_linux(struct places *places, struct look *look)
{
	struct linux_range list[LINUX_RANGES];
	const unsigned count = linux_layout(list, look);

	for (unsigned i = 0; i < count; i++)
		add_between(places, list[i].name, list[i].va, list[i].len);
}

static bool add_if_entered(void *ctx, const struct pt_run *run)
{
	const struct seeking *seeking = ctx;

	if (run->rights & PT_EXEC && boundary_entries(seeking->boundary, run->va, run->len))
		add_between(seeking->places, "entry text", run->va, run->len);
	return true;
}

/* What of the user root's text has no better name. */
static void add_entry_text(struct places *places, struct look *look,
                           const struct boundary *boundary)
{
	struct seeking seeking = {.places = places, .boundary = boundary};

	look_begin_scan(look);
	pt_each(&look->pt[LOOK_USER], UINT64_C(1) << 63, UINT64_MAX, add_if_entered, &seeking);
}

void places_make(struct places *places, struct look *look)
{
	struct boundary *boundary = look->moment->noted ? NULL : malloc(sizeof(*boundary));

	places->count = 0;
	places->foreign = look->moment->foreign;
	places->legacy = look->legacy;
	if (!look->moment->foreign)
		add_layout(places, look->moment);
	/* Without memory there are fewer names. */
	if (!boundary)
		return;
	boundary_read(boundary, look->moment);
	add_boundary(places, look, boundary);
	add_linux(places, look);
	if (look->two_roots)
		add_entry_text(places, look, boundary);
	free(boundary);
}

const struct place *places_find(const struct places *places, uint64_t va, uint64_t *end)
{
	uint64_t last = va < RS_USER_END ? RS_USER_END - 1 : UINT64_MAX;
	const struct place *found = NULL;

	for (size_t i = 0; i < places->count; i++) {
		const struct place *p = &places->list[i];

		if (va < p->va) {
			last = p->va - 1 < last ? p->va - 1 : last;
			break;
		}
		if (va - p->va < p->len) {
			found = p;
			last = p->va + (p->len - 1);
			break;
		}
	}
	if (end)
		*end = last;
	return found;
}

const char *places_name(const struct places *places, uint64_t va)
{
	const struct place *place = places_find(places, va, NULL);

	if (place)
		return place->name;
	if (places->legacy)
		return "memory";
	if (va < RS_USER_END)
		return "user memory";
	return va >= RS_ENTRY_BASE && !places->foreign ? "entry area" : "kernel memory";
}
