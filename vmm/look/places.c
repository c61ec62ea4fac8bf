#include "vmm/look/places.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Where the guest's kernel puts the stacks of its processes: its own choice, so this is for a name
 * only. */
#define USER_STACK_REGION (UINT64_C(1) << 20)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What every CPU has of its own. */
static const struct {
	const char *name;
	bool kernel; /* offset from RS_KERNEL_CPU(n), else from RS_ENTRY_CPU(n) */
	uint32_t offset, size;
} cpu_places[] = {
    {"entry words", false, RS_ENTRY_WORDS, PAGE_SIZE},
    {"GDT", false, RS_ENTRY_GDT, PAGE_SIZE},
    {"TSS", false, RS_ENTRY_TSS, PAGE_SIZE},
    {"entry stack", false, RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE, RS_ENTRY_STACK_SIZE},
    {"IST1 stack", false, RS_IST_TOP(1) - RS_IST_SIZE, RS_IST_SIZE},
    {"IST2 stack", false, RS_IST_TOP(2) - RS_IST_SIZE, RS_IST_SIZE},
    {"IST3 stack", false, RS_IST_TOP(3) - RS_IST_SIZE, RS_IST_SIZE},
    {"IST4 stack", false, RS_IST_TOP(4) - RS_IST_SIZE, RS_IST_SIZE},
    {"IST5 stack", false, RS_IST_TOP(5) - RS_IST_SIZE, RS_IST_SIZE},
    {"IST6 stack", false, RS_IST_TOP(6) - RS_IST_SIZE, RS_IST_SIZE},
    {"IST7 stack", false, RS_IST_TOP(7) - RS_IST_SIZE, RS_IST_SIZE},
    {"statistics page", true, RS_KERNEL_STATS, PAGE_SIZE},
    {"call pages", true, RS_KERNEL_CALL, 2 * PAGE_SIZE},
    {"boot stack", true, RS_KERNEL_BOOT_STACK_TOP - RS_KERNEL_BOOT_STACK_SIZE,
     RS_KERNEL_BOOT_STACK_SIZE},
};
_Static_assert(ARRAY_SIZE(cpu_places) <= 14, "PLACES_MAX counts them");

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
                      enum place_kind kind, uint32_t rights, bool exact)
{
	struct place place = {.va = va, .len = len, .kind = kind, .rights = rights, .exact = exact};

	snprintf(place.name, sizeof(place.name), "%s", name);
	add(places, &place);
}

static void add_direct(struct places *places, uint64_t start, uint64_t end)
{
	add_fixed(places, "direct map of RAM", RS_DIRECT_BASE + start, end - start, PLACE_KERNEL,
	          PT_WRITE, true);
}

static void add_cpu(struct places *places, uint32_t cpu, bool alone)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpu_places); i++) {
		const bool kernel = cpu_places[i].kernel;
		char name[24];

		snprintf(name, sizeof(name), alone ? "%s" : "%s, CPU %" PRIu32, cpu_places[i].name,
		         cpu);
		add_fixed(places, name,
		          (kernel ? RS_KERNEL_CPU(cpu) : RS_ENTRY_CPU(cpu)) + cpu_places[i].offset,
		          cpu_places[i].size, kernel ? PLACE_KERNEL : PLACE_ENTRY, PT_WRITE, true);
	}
}

void places_make(struct places *places, const struct look_moment *moment)
{
	const uint64_t slot = UINT64_C(1) << 39;

	places->count = 0;
	for (uint32_t i = 0; i < moment->segment_count && i < RS_MAX_SEGMENTS; i++)
		add_segment(places, &moment->segments[i], moment->noted);
	add_direct(places, 0, moment->memory->low_end);
	if (moment->memory->high_end)
		add_direct(places, RS_HIGH_RAM, moment->memory->high_end);
	add_fixed(places, "kernel stack", RS_STACKS_BASE, slot, PLACE_KERNEL, PT_WRITE, false);
	add_fixed(places, "boot page", RS_BOOT_PAGE, PAGE_SIZE, PLACE_KERNEL, 0, true);
	if (moment->noted) {
		add_fixed(places, "IDT", RS_ENTRY_IDT, PAGE_SIZE, PLACE_ENTRY, 0, true);
		add_fixed(places, "user stack", RS_USER_END - USER_STACK_REGION, USER_STACK_REGION,
		          PLACE_USER, PT_WRITE, false);
	}
	for (uint32_t cpu = 0; cpu < moment->cpus && cpu < RS_MAX_CPUS; cpu++)
		add_cpu(places, cpu, moment->cpus == 1);
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
	if (va < RS_USER_END)
		return "user memory";
	return va >= RS_ENTRY_BASE ? "entry area" : "kernel memory";
}
