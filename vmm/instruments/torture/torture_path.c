#include "vmm/instruments/torture/torture_path.h"

#include <stdlib.h>

#include "vmm/base/layout.h"

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
	const enum layout_stack stack = layout_stack_of(rsp);

	if (stack > LAYOUT_STACK_IST)
		return TORTURE_STACK_IST + (stack - LAYOUT_STACK_IST);
	if (stack == LAYOUT_STACK_ENTRY)
		return TORTURE_STACK_ENTRY;
	return stack == LAYOUT_STACK_NONE ? TORTURE_STACK_FOREIGN : TORTURE_STACK_KERNEL;
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
