#include "vmm/instruments/torture/torture_path.h"

#include <stdlib.h>

bool torture_path_add(struct torture_path *path, const struct torture_step *step)
{
	uint32_t visit = 0;

	if (path->count == path->room) {
		size_t room = path->room ? 2 * path->room : 256;
		struct torture_step *list = reallocarray(path->list, room, sizeof(*list));

		if (!list)
			return false;
		path->list = list;
		path->room = room;
	}
	for (size_t i = 0; i < path->count; i++)
		visit += path->list[i].insn == step->insn;
	path->list[path->count] = *step;
	path->list[path->count++].visit = visit;
	return true;
}

void torture_path_clear(struct torture_path *path)
{
	path->count = 0;
}

void torture_path_free(struct torture_path *path)
{
	free(path->list);
	*path = (struct torture_path){0};
}

void torture_path_crossing(const struct torture_path *path, size_t *first, size_t *end)
{
	*first = 0;
	*end = path->count;
	while (*first < path->count && !path->list[*first].target)
		++*first;
	if (*first < path->count)
		++*first;
	do {
		if (*end <= *first) {
			*end = *first;
			return;
		}
		--*end;
	} while (!path->list[*end].from_ring3);
}

enum torture_stack torture_stack_of(uint64_t rsp)
{
	/* What is pushed next lies below RSP. */
	uint64_t offset = (rsp - 1 - RS_ENTRY_CPU_BASE) % RS_CPU_STRIDE;

	if (rsp > RS_STACKS_BASE && rsp < RS_IMAGE_BASE)
		return TORTURE_STACK_KERNEL;
	if (rsp > RS_KERNEL_CPU_BASE && rsp < RS_BOOT_PAGE)
		return TORTURE_STACK_KERNEL;
	if (rsp <= RS_ENTRY_CPU_BASE || rsp - RS_ENTRY_CPU_BASE > RS_MAX_CPUS * RS_CPU_STRIDE)
		return TORTURE_STACK_FOREIGN;
	if (offset < RS_ENTRY_STACK_TOP && offset >= RS_ENTRY_STACK_TOP - RS_ENTRY_STACK_SIZE)
		return TORTURE_STACK_ENTRY;
	for (unsigned i = 1; i <= 7; i++) {
		if (offset < RS_IST_TOP(i) && offset >= RS_IST_TOP(i) - RS_IST_SIZE)
			return TORTURE_STACK_IST + i;
	}
	return TORTURE_STACK_FOREIGN;
}

enum torture_stack torture_path_stack(const struct torture_path *path, uint64_t rsp)
{
	for (size_t i = 0; i < path->count; i++) {
		if (path->list[i].rsp == rsp && path->list[i].stack == TORTURE_STACK_FOREIGN)
			return TORTURE_STACK_FOREIGN;
	}
	return torture_stack_of(rsp);
}

uint32_t torture_step_context(const struct torture_step *step)
{
	return (uint32_t)step->stack << 5 | (uint32_t)step->kernel_gs << 4 |
	       (uint32_t)step->user_root << 3 | (uint32_t)step->shadow << 2 |
	       (uint32_t)torture_step_open(step) << 1 | 1;
}

bool torture_step_open(const struct torture_step *step)
{
	return step->rflags & RFLAGS_IF && !step->shadow;
}

bool torture_path_opens(const struct torture_path *path, const struct torture_text *text,
                        size_t step, uint64_t *rip)
{
	for (; step < path->count; step++) {
		const struct torture_step *s = &path->list[step];

		*rip = text->list[s->insn].va;
		if (torture_step_open(s))
			return true;
		*rip = s->target;
		if (s->target)
			return true;
	}
	return false;
}
