#include "guest/memory_areas.h"

uint32_t area_above(const struct memory *memory, uint64_t va)
{
	uint32_t i = 0;

	while (i < memory->area_count && memory->areas[i].va + memory->areas[i].len <= va)
		i++;
	return i;
}

bool area_next_piece(const struct memory *memory, struct piece *piece, uint64_t end)
{
	const uint64_t va = piece->va += piece->len;
	const uint32_t i = area_above(memory, va);
	const struct area *area = &memory->areas[i];
	uint64_t limit = end;

	piece->area = NULL;
	if (i < memory->area_count) {
		if (area->va <= va) {
			piece->area = area;
			limit = area->va + area->len;
		} else {
			limit = area->va;
		}
	}
	piece->len = (limit < end ? limit : end) - va;
	return piece->len;
}

bool area_is_free(const struct memory *memory, uint64_t va, uint64_t end)
{
	struct piece piece = {.va = va};

	area_next_piece(memory, &piece, end);
	return !piece.area && piece.len == end - va;
}

bool area_lies_across(const struct memory *memory, uint64_t va)
{
	const uint32_t i = area_above(memory, va);

	return i < memory->area_count && memory->areas[i].va < va;
}

void area_insert(struct memory *memory, const struct area *area)
{
	const uint32_t at = area_above(memory, area->va);

	for (uint32_t i = memory->area_count++; i > at; i--)
		memory->areas[i] = memory->areas[i - 1];
	memory->areas[at] = *area;
}

void area_cut(struct memory *memory, uint64_t va)
{
	struct area *area = &memory->areas[area_above(memory, va)];
	struct area above;

	if (!area_lies_across(memory, va))
		return;
	above = *area;
	above.len -= va - area->va;
	above.gpa += va - area->va;
	above.va = va;
	area->len = va - area->va;
	area_insert(memory, &above);
}

void area_remove(struct memory *memory, uint64_t va, uint64_t end)
{
	uint32_t to = area_above(memory, va);
	uint32_t from = area_above(memory, end);

	while (from < memory->area_count)
		memory->areas[to++] = memory->areas[from++];
	memory->area_count = to;
}

bool area_alike(const struct area *a, const struct area *b)
{
	return a->va + a->len == b->va && a->rights == b->rights && a->shared == b->shared &&
	       (!a->shared || a->gpa + a->len == b->gpa);
}

void area_merge(struct memory *memory)
{
	struct area *last = memory->areas;

	for (uint32_t i = 1; i < memory->area_count; i++) {
		const struct area *area = &memory->areas[i];

		if (area_alike(last, area))
			last->len += area->len;
		else
			*++last = *area;
	}
	if (memory->area_count)
		memory->area_count = (uint32_t)(last - memory->areas) + 1;
}
