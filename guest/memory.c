#include "guest/memory.h"

#include <stddef.h>

#include "guest/console.h"
#include "guest/frames.h"
#include "guest/string.h"

#define USER_STACK_TOP  (RS_USER_END - 16 * PAGE_SIZE)
#define USER_STACK_SIZE (4 * PAGE_SIZE)
#define USER_HEAP       0x10000000
#define USER_HEAP_MAX   0x1000000

static void free_pages(struct memory *memory, const struct area *area)
{
	for (uint64_t va = area->va; va < area->va + area->len; va += PAGE_SIZE) {
		struct pt_walk walk;

		pt_walk(&memory->space.user, va, &walk);
		if (walk.mapped)
			frame_free(walk.pa);
	}
}

bool memory_create(struct memory *memory)
{
	memory->area_count = 0;
	memory->brk = 0;
	return space_create(&memory->space);
}

void memory_destroy(struct memory *memory)
{
	for (uint32_t i = 0; i < memory->area_count; i++) {
		const struct area *area = &memory->areas[i];

		if (!area->shared)
			free_pages(memory, area);
		if (area->len)
			space_unmap(&memory->space, area->va, area->len);
	}
	memory->area_count = 0;
	space_destroy(&memory->space);
}

/* A frame for the page at `va`, filled from the parent's page, from the image, or with zeros. */
static bool own_frame(const struct area *area, uint64_t va, const struct memory *parent,
                      uint64_t *frame)
{
	struct pt_walk walk;
	uint64_t source;

	if (!parent && !area->gpa)
		return frame_alloc(frame);
	source = area->gpa + (va - area->va);
	if (parent) {
		pt_walk(&parent->space.user, va, &walk);
		source = walk.pa;
	}
	if (!frame_alloc_dirty(frame))
		return false;
	memcpy(frame_at(*frame), frame_at(source), PAGE_SIZE);
	return true;
}

static bool map_own_pages(struct memory *memory, const struct area *area,
                          const struct memory *parent)
{
	for (uint64_t va = area->va; va < area->va + area->len; va += PAGE_SIZE) {
		uint64_t frame;

		if (!own_frame(area, va, parent, &frame))
			return false;
		if (space_map(&memory->space, va, frame, PAGE_SIZE, area->rights)) {
			frame_free(frame);
			return false;
		}
	}
	return true;
}

/* Gives the process the area; its contents are the parent's, where there is one.  False: no memory,
 * and what was mapped until then is the area's to free. */
static bool add_area(struct memory *memory, const struct area *area, const struct memory *parent)
{
	if (memory->area_count == MAX_AREAS)
		return false;
	memory->areas[memory->area_count++] = *area;
	if (!area->len)
		return true;
	if (area->shared ? space_map(&memory->space, area->va, area->gpa, area->len, area->rights)
	                 : !map_own_pages(memory, area, parent))
		return false;
	return space_mirror(&memory->space, area->va, area->len) == PT_OK;
}

bool memory_map_image(struct memory *memory, const struct rs_boot *boot)
{
	const struct area stack = {
	    .va = USER_STACK_TOP - USER_STACK_SIZE,
	    .len = USER_STACK_SIZE,
	    .rights = PT_WRITE,
	};

	for (uint32_t i = 0; i < boot->segment_count; i++) {
		const struct rs_segment *segment = &boot->segments[i];
		const struct area area = {
		    .va = segment->va,
		    .len = segment->size,
		    .gpa = segment->gpa,
		    .rights =
		        (segment->flags & 2 ? PT_WRITE : 0) | (segment->flags & 1 ? PT_EXEC : 0),
		    .shared = !(segment->flags & 2),
		};

		if (segment->user && !add_area(memory, &area, NULL))
			return false;
	}
	return add_area(memory, &stack, NULL);
}

uint64_t memory_push_arguments(const struct memory *memory, const struct rs_boot *boot)
{
	const uint64_t page = USER_STACK_TOP - PAGE_SIZE;
	const uint64_t strings = USER_STACK_TOP - RS_CMDLINE_SIZE;
	struct pt_walk walk;
	uint64_t words, *word;
	uint32_t argc = 0;

	pt_walk(&memory->space.user, page, &walk);
	memcpy(frame_at(walk.pa + strings - page), boot->cmdline, RS_CMDLINE_SIZE);
	words = (boot->argc + 2 + 1) & ~UINT64_C(1); /* keeps RSP a multiple of 16 */
	if (words * 8 > strings - page)
		panic(NULL, "too many arguments: %u", (uint64_t)boot->argc);
	word = frame_at(walk.pa + strings - page - words * 8);
	*word++ = boot->argc;
	for (uint64_t at = 0; argc < boot->argc && at < RS_CMDLINE_SIZE; at++)
		if (at == 0 || !boot->cmdline[at - 1])
			word[argc++] = strings + at;
	return strings - words * 8;
}

bool memory_copy(struct memory *child, const struct memory *parent)
{
	for (uint32_t i = 0; i < parent->area_count; i++)
		if (!add_area(child, &parent->areas[i], parent))
			return false;
	child->brk = parent->brk;
	return true;
}

static struct area *heap_of(struct memory *memory)
{
	for (uint32_t i = 0; i < memory->area_count; i++)
		if (memory->areas[i].va == USER_HEAP)
			return &memory->areas[i];
	if (memory->area_count == MAX_AREAS)
		return NULL;
	memory->areas[memory->area_count] = (struct area){.va = USER_HEAP, .rights = PT_WRITE};
	return &memory->areas[memory->area_count++];
}

static void drop_pages(struct memory *memory, uint64_t va, uint64_t len)
{
	const struct area range = {.va = va, .len = len};

	if (!len)
		return;
	free_pages(memory, &range);
	space_unmap(&memory->space, va, len);
}

static bool grow_heap(struct memory *memory, uint64_t va, uint64_t len)
{
	const struct area range = {.va = va, .len = len, .rights = PT_WRITE};

	if (map_own_pages(memory, &range, NULL) && space_mirror(&memory->space, va, len) == PT_OK)
		return true;
	drop_pages(memory, va, len);
	return false;
}

uint64_t memory_brk(struct memory *memory, uint64_t wanted)
{
	struct area *heap = heap_of(memory);
	uint64_t len;

	if (!memory->brk)
		memory->brk = USER_HEAP;
	if (!heap || wanted < USER_HEAP || wanted > USER_HEAP + USER_HEAP_MAX)
		return memory->brk;
	len = (wanted - USER_HEAP + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	if (len > heap->len && !grow_heap(memory, USER_HEAP + heap->len, len - heap->len))
		return memory->brk;
	if (len < heap->len)
		drop_pages(memory, USER_HEAP + len, heap->len - len);
	heap->len = len;
	return memory->brk = wanted;
}
