/*
 * How a process's memory (memory.h) begins, is copied, and ends.
 */
#include <stddef.h>

#include "guest/frames.h"
#include "guest/memory_areas.h"
#include "guest/memory_change.h"
#include "guest/memory_layout.h"
#include "guest/panic.h"
#include "guest/string.h"

bool memory_create(struct memory *memory)
{
	uint64_t frame;

	if (!frame_alloc_dirty(&frame))
		return false;
	*memory = (struct memory){.areas = frame_at(frame), .brk = HEAP};
	if (space_create(&memory->space))
		return true;
	frame_free(frame);
	return false;
}

void memory_destroy(struct memory *memory)
{
	memory_clear(memory);
	if (memory->hidden.root)
		pt_destroy(&memory->hidden);
	space_destroy(&memory->space);
	frame_free((uint64_t)memory->areas - RS_DIRECT_BASE);
}

/* A page of an area of the process's own, with a copy of what is in another frame. */
static bool copy_page(struct memory *memory, const struct area *area, uint64_t va, uint64_t source)
{
	uint64_t frame;

	if (!frame_alloc_dirty(&frame))
		return false;
	memcpy(frame_at(frame), frame_at(source), PAGE_SIZE);
	if (area->rights ? space_map(&memory->space, va, frame, PAGE_SIZE, area->rights) == PT_OK
	                 : memory_hide_page(memory, va, frame))
		return true;
	frame_free(frame);
	return false;
}

struct copy {
	struct memory *memory;
	const struct area *area;
	bool good;
};

static bool copy_run(void *ctx, const struct pt_run *run)
{
	struct copy *copy = ctx;

	for (uint64_t offset = 0; copy->good && offset < run->len; offset += PAGE_SIZE)
		copy->good =
		    copy_page(copy->memory, copy->area, run->va + offset, run->pa + offset);
	return copy->good;
}

/* Gives an empty memory the area.  Its contents are what a tree has there, or the image's. */
static bool add_area(struct memory *memory, const struct area *area, const struct pt *tree)
{
	struct copy copy = {memory, area, true};

	if (memory->area_count == MAX_AREAS)
		return false;
	area_insert(memory, area);
	if (area->shared)
		return !area->rights ||
		       (space_map(&memory->space, area->va, area->gpa, area->len, area->rights) ==
		            PT_OK &&
		        space_mirror(&memory->space, area->va, area->len) == PT_OK);
	if (!tree)
		copy_run(&copy, &(struct pt_run){area->va, area->gpa, area->len, 0, false, {0}});
	else if (tree->root)
		pt_each(tree, area->va, area->va + area->len - 1, copy_run, &copy);
	return copy.good && space_mirror(&memory->space, area->va, area->len) == PT_OK;
}

bool memory_map_image(struct memory *memory, const struct rs_boot *boot)
{
	for (uint32_t i = 0; i < boot->segment_count; i++) {
		const struct rs_segment *segment = &boot->segments[i];
		const struct area area = {
		    .va = segment->va,
		    .len = segment->size,
		    .gpa = segment->gpa,
		    .rights = PT_USER | (segment->flags & 2 ? PT_WRITE : 0) |
		              (segment->flags & 1 ? PT_EXEC : 0),
		    .shared = !(segment->flags & 2),
		};

		if (segment->user && !add_area(memory, &area, NULL))
			return false;
	}
	return memory_change_locked(memory, MAP, STACK_TOP - STACK_SIZE, STACK_TOP,
	                            PT_USER | PT_WRITE);
}

uint64_t memory_push_arguments(const struct memory *memory, const struct rs_boot *boot)
{
	const uint64_t page = STACK_TOP - PAGE_SIZE;
	const uint64_t strings = STACK_TOP - RS_CMDLINE_SIZE;
	uint64_t frame = 0, words, *word;
	uint32_t argc = 0;

	memory_frame_of(&memory->space.user, page, &frame);
	memcpy(frame_at(frame + strings - page), boot->cmdline, RS_CMDLINE_SIZE);
	words = (boot->argc + 2 + 1) & ~UINT64_C(1); /* keeps RSP a multiple of 16 */
	if (words * 8 > strings - page)
		panic(NULL, "too many arguments: %u", (uint64_t)boot->argc);
	word = frame_at(frame + strings - page - words * 8);
	*word++ = boot->argc;
	for (uint64_t at = 0; argc < boot->argc && at < RS_CMDLINE_SIZE; at++)
		if (at == 0 || !boot->cmdline[at - 1])
			word[argc++] = strings + at;
	return strings - words * 8;
}

bool memory_copy(struct memory *child, const struct memory *parent)
{
	for (uint32_t i = 0; i < parent->area_count; i++) {
		const struct area *area = &parent->areas[i];

		if (!add_area(child, area, area->rights ? &parent->space.user : &parent->hidden))
			return false;
	}
	child->brk = parent->brk;
	return true;
}
