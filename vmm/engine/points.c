/* The debugger's engine: what is planted in the guest, and where its entries of ring 0 are. */
#include <string.h>

#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"

/* ---- Plants -------------------------------------------------------------------------------- */

void engine_plant(struct engine_plant *plant, uint64_t va, uint8_t *at, uint8_t byte)
{
	*plant = (struct engine_plant){.va = va, .at = at, .original = *at, .planted = byte};
	*at = byte;
}

void engine_unplant(struct engine_plant *plant)
{
	if (plant->at && *plant->at == plant->planted)
		*plant->at = plant->original;
	plant->at = NULL;
}

bool engine_catches_ring3(const struct engine *engine)
{
	return engine->entries.list[VECTOR_DB].there && engine->entries.list[VECTOR_BP].there;
}

uint8_t engine_plant_byte(const struct engine *engine, uint64_t va)
{
	const struct view view = engine_view(engine);
	uint32_t rights = 0;
	uint64_t gpa;

	return view_translate(&view, va, &gpa, &rights) && rights & PT_USER &&
	               engine_catches_ring3(engine)
	           ? OPCODE_INT3
	           : OPCODE_OUT;
}

/* ---- Points -------------------------------------------------------------------------------- */

struct engine_point *engine_find_point(const struct engine *engine, uint64_t va)
{
	for (size_t i = 0; i < engine->point_count; i++) {
		if (engine->points[i].plant.va == va)
			return (struct engine_point *)(uintptr_t)&engine->points[i];
	}
	return NULL;
}

bool engine_has_point(const struct engine *engine, uint64_t va)
{
	const struct engine_point *point = engine_find_point(engine, va);

	return point && point->uses;
}

/* A point where none is yet, without a user. */
static struct engine_point *new_point(struct engine *engine, uint64_t va, uint8_t byte,
                                      enum engine_answer *answer)
{
	struct engine_point *point;
	uint8_t *at;

	*answer = ENGINE_NO_ROOM;
	/* One place stays for a step's own. */
	if (engine->point_count >= ENGINE_POINTS_MAX - 1)
		return NULL;
	*answer = ENGINE_NOT_MAPPED;
	at = engine_byte(engine, va);
	if (!at)
		return NULL;
	*answer = ENGINE_OK;
	point = &engine->points[engine->point_count++];
	*point = (struct engine_point){0};
	engine_plant(&point->plant, va, at, byte);
	return point;
}

static void drop_point(struct engine *engine, struct engine_point *point)
{
	if (point->uses || point->hooks)
		return;
	engine_unplant(&point->plant);
	*point = engine->points[--engine->point_count];
}

/* The OUT where #BP arrives: there while an INT3 is, and where the gate leads now. */
static enum engine_answer place_hook(struct engine *engine)
{
	const uint64_t wanted = engine->int3s ? engine_entry_va(engine, VECTOR_BP) : 0;
	enum engine_answer answer = ENGINE_OK;
	struct engine_point *point;

	if (wanted == engine->hook)
		return ENGINE_OK;
	point = engine->hook ? engine_find_point(engine, engine->hook) : NULL;
	if (point) {
		point->hooks = 0;
		drop_point(engine, point);
	}
	engine->hook = 0;
	point = wanted ? engine_find_point(engine, wanted) : NULL;
	if (wanted && !point)
		point = new_point(engine, wanted, OPCODE_OUT, &answer);
	if (point) {
		point->hooks = 1;
		engine->hook = wanted;
	}
	return answer;
}

/* The hook first: no INT3 stands without it. */
static struct engine_point *new_int3(struct engine *engine, uint64_t va, enum engine_answer *answer)
{
	struct engine_point *point = NULL;

	engine->int3s++;
	*answer = place_hook(engine);
	if (*answer == ENGINE_OK)
		point = new_point(engine, va, OPCODE_INT3, answer);
	if (!point) {
		engine->int3s--;
		place_hook(engine);
	}
	return point;
}

enum engine_answer engine_add_point(struct engine *engine, uint64_t va)
{
	enum engine_answer answer = ENGINE_OK;
	struct engine_point *point;

	if (!engine_look_at_entries(engine))
		return ENGINE_NOT_MAPPED;
	point = engine_find_point(engine, va);
	if (!point && engine_plant_byte(engine, va) == OPCODE_INT3)
		point = new_int3(engine, va, &answer);
	else if (!point)
		point = new_point(engine, va, OPCODE_OUT, &answer);
	if (point)
		point->uses++;
	return answer;
}

enum engine_answer engine_remove_point(struct engine *engine, uint64_t va)
{
	struct engine_point *point = engine_find_point(engine, va);

	if (!point || !point->uses)
		return ENGINE_NOT_THERE;
	point->uses--;
	if (!point->uses && point->plant.planted == OPCODE_INT3)
		engine->int3s--;
	drop_point(engine, point);
	place_hook(engine);
	return ENGINE_OK;
}

/* ---- Entries ------------------------------------------------------------------------------- */

/* Where the fence's OUTs go, found through the tree of now; neighbours lie in one page mostly. */
static void find_fence(struct engine *engine)
{
	const struct entries *entries = &engine->entries;
	const struct view view = engine_view(engine);
	uint64_t page = 1;
	uint8_t *bytes = NULL;
	size_t part;

	engine->fence_count = 0;
	for (unsigned i = 0; i < entries->place_count; i++) {
		const uint64_t va = entries->place[i].va, offset = va & (PAGE_SIZE - 1);

		if (va - offset != page) {
			page = va - offset;
			bytes = view_part(&view, page, PAGE_SIZE, &part);
		}
		if (bytes)
			engine->fence[engine->fence_count++] =
			    (struct engine_plant){.va = va, .at = bytes + offset};
	}
	engine->fence_cr3 = engine->state.sregs.cr3;
	engine->has_fence = true;
}

/* A point where this entry leads, unless it leads nowhere or another one that has its point leads
 * there too. */
static void place_entry_point(struct engine *engine, unsigned entry)
{
	const uint64_t va = engine->entries.list[entry].va;

	if (!engine->entries.list[entry].there)
		return;
	for (size_t i = 0; i < engine->entry_point_count; i++) {
		if (engine->entry_points[i] == va)
			return;
	}
	if (engine_add_point(engine, va) != ENGINE_OK) {
		engine->entry_points_lack = true;
		return;
	}
	engine_find_point(engine, va)->entry = true;
	engine->entry_points[engine->entry_point_count++] = va;
}

static void remove_entry_point(struct engine *engine, uint64_t va)
{
	engine_find_point(engine, va)->entry = false;
	engine_remove_point(engine, va);
}

/* Points of entries go where those are now.  For one that is not mapped here, or where there is no
 * room for a point, it is tried again. */
static void place_entry_points(struct engine *engine)
{
	engine->entry_points_lack = false;
	while (engine->entry_point_count)
		remove_entry_point(engine, engine->entry_points[--engine->entry_point_count]);
	for (unsigned entry = 0; entry < ENTRIES_MAX; entry++) {
		if (engine->asked[entry])
			place_entry_point(engine, entry);
	}
}

/* A kernel may patch its text when it knows the CPU, at an entry too: Linux makes a CLAC of what
 * its handlers begin with.  What it wrote there is the instruction then. */
static void plant_again(struct engine *engine)
{
	for (size_t i = 0; i < engine->point_count; i++) {
		const struct engine_point *point = &engine->points[i];
		struct engine_plant *plant = &engine->points[i].plant;

		if ((point->entry || point->hooks) && *plant->at != plant->planted)
			engine_plant(plant, plant->va, plant->at, plant->planted);
	}
}

bool engine_look_at_entries(struct engine *engine)
{
	struct view view;
	bool changed;

	if (!engine_know(engine))
		return false;
	/* The guest has not run since. */
	if (engine->entries_known && engine->entries_cpu == engine->cpu)
		return true;
	if (engine->msrs_due || engine->entries_cpu != engine->cpu)
		vcpu_read(&engine->cpu->vcpu, &engine->state, STATE_ALL_MSRS);
	engine->msrs_due = false;
	engine->entries_known = true;
	engine->entries_cpu = engine->cpu;
	engine->seen_ring3 |= engine_cpl(engine) == 3;
	view = engine_view(engine);
	changed = entries_read(&engine->entries, &view, &engine->state);
	if (changed || !engine->has_fence || engine->fence_cr3 != engine->state.sregs.cr3)
		find_fence(engine);
	if (changed)
		place_hook(engine);
	if (changed || engine->entry_points_lack)
		place_entry_points(engine);
	plant_again(engine);
	return true;
}

void engine_add_entry(struct engine *engine, unsigned entry)
{
	engine->asks += !engine->asked[entry];
	engine->asked[entry] = true;
	if (engine_look_at_entries(engine))
		place_entry_point(engine, entry);
}

void engine_remove_entry(struct engine *engine, unsigned entry)
{
	engine->asks -= engine->asked[entry];
	engine->asked[entry] = false;
	place_entry_points(engine);
}
