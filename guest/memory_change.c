#include "guest/memory_change.h"

#include "guest/frames.h"
#include "guest/memory_areas.h"
#include "guest/smp.h"

/* ---- Frames ---------------------------------------------------------------------------------- */

/* Frames that are nobody's, each with the address of the next in its first word; 0 ends them. */
static void chain_push(uint64_t *chain, uint64_t frame)
{
	*(uint64_t *)frame_at(frame) = *chain;
	*chain = frame;
}

/* Zero, if it was when it was pushed. */
static uint64_t chain_pop(uint64_t *chain)
{
	const uint64_t frame = *chain;
	uint64_t *link = frame_at(frame);

	*chain = *link;
	*link = 0;
	return frame;
}

static void chain_free(uint64_t chain)
{
	while (chain)
		frame_free(chain_pop(&chain));
}

static void chain_free_zero(uint64_t chain)
{
	while (chain)
		frame_free_zero(chain_pop(&chain));
}

/* False: not so many; what was taken is in the chain. */
static bool chain_take(uint64_t *chain, uint64_t count)
{
	uint64_t frame;

	for (; count; count--) {
		if (!frame_alloc(&frame))
			return false;
		chain_push(chain, frame);
	}
	return true;
}

bool memory_frame_of(const struct pt *tree, uint64_t va, uint64_t *frame)
{
	struct pt_walk walk;

	if (!tree->root)
		return false;
	pt_walk(tree, va, &walk);
	*frame = walk.pa;
	return walk.mapped;
}

static bool push_run(void *chain, const struct pt_run *run)
{
	for (uint64_t offset = 0; offset < run->len; offset += PAGE_SIZE)
		chain_push(chain, run->pa + offset);
	return true;
}

/* All that a tree maps in the range, which is unmapped before anybody takes them from the chain. */
static void gather(const struct pt *tree, uint64_t va, uint64_t len, uint64_t *chain)
{
	if (tree->root)
		pt_each(tree, va, va + len - 1, push_run, chain);
}

/* ---- Pages ----------------------------------------------------------------------------------- */

/* What is done to a range. */
struct change {
	struct memory *memory;
	enum memory_change kind;
	uint32_t rights; /* from now on; 0 for UNMAP */
	uint64_t va, end;
	uint64_t fresh; /* a chain of zeroed frames: for pages in the place of others */
	uint64_t old;   /* ... of frames that are not needed any more */
};

bool memory_hide_page(struct memory *memory, uint64_t va, uint64_t frame)
{
	if (!memory->hidden.root &&
	    pt_init(&memory->hidden, memory->space.user.geo, memory->space.user.mem))
		return false;
	return pt_map(&memory->hidden, va, frame, PAGE_SIZE, PT_SMALL, NULL) == PT_OK;
}

/* Their frames are somebody else's by now, or in a chain. */
static void forget_hidden(struct memory *memory, uint64_t va, uint64_t len)
{
	if (memory->hidden.root)
		pt_unmap(&memory->hidden, va, len, NULL);
}

/* Of pages that ring 3 has access to.  False: no memory, and none is hidden. */
static bool hide(struct memory *memory, const struct piece *piece)
{
	uint64_t frame;

	for (uint64_t va = piece->va; va < piece->va + piece->len; va += PAGE_SIZE) {
		if (memory_frame_of(&memory->space.user, va, &frame) &&
		    memory_hide_page(memory, va, frame))
			continue;
		forget_hidden(memory, piece->va, va - piece->va);
		return false;
	}
	return true;
}

/* What a page without rights will show when it gets some; false: zeros. */
static bool has_contents(const struct change *change, const struct piece *piece, uint64_t va,
                         uint64_t *frame)
{
	if (change->kind != PROTECT)
		return false;
	if (!piece->area->shared)
		return memory_frame_of(&change->memory->hidden, va, frame);
	*frame = piece->area->gpa + (va - piece->area->va);
	return true;
}

/* Undoes populate for the first `len` bytes of the piece. */
static void unpopulate(const struct change *change, const struct piece *piece, uint64_t len)
{
	struct space *space = &change->memory->space;
	uint64_t chain = 0, frame, kept;

	for (uint64_t va = piece->va; va < piece->va + len; va += PAGE_SIZE) {
		if (memory_frame_of(&space->user, va, &frame) &&
		    !has_contents(change, piece, va, &kept))
			chain_push(&chain, frame);
	}
	space_unmap(space, piece->va, len);
	/* Nobody has run since. */
	chain_free_zero(chain);
}

/* Maps a piece that ring 3 has no access to.  False: no memory, and it is as it was. */
static bool populate(const struct change *change, const struct piece *piece)
{
	for (uint64_t va = piece->va; va < piece->va + piece->len; va += PAGE_SIZE) {
		uint64_t frame;
		const bool kept = has_contents(change, piece, va, &frame);

		if (kept || frame_alloc(&frame)) {
			if (space_map(&change->memory->space, va, frame, PAGE_SIZE,
			              change->rights) == PT_OK)
				continue;
			if (!kept)
				frame_free_zero(frame);
		}
		unpopulate(change, piece, va - piece->va);
		return false;
	}
	return true;
}

/* What is mapped gets other rights, and zeros for its contents where it is mapped anew. */
static void replace(struct change *change, const struct piece *piece)
{
	struct space *space = &change->memory->space;
	uint64_t frame = 0;

	for (uint64_t va = piece->va; va < piece->va + piece->len; va += PAGE_SIZE) {
		memory_frame_of(&space->user, va, &frame);
		if (change->kind == MAP) {
			if (!piece->area->shared)
				chain_push(&change->old, frame);
			frame = chain_pop(&change->fresh);
		}
		space_replace(space, va, frame, change->rights);
	}
}

/* Unmaps a piece of an area; its own frames join the chain. */
static void discard(struct memory *memory, const struct piece *piece, uint64_t *chain)
{
	if (!piece->area->shared)
		gather(piece->area->rights ? &memory->space.user : &memory->hidden, piece->va,
		       piece->len, chain);
	if (piece->area->rights)
		space_unmap(&memory->space, piece->va, piece->len);
	else
		forget_hidden(memory, piece->va, piece->len);
}

/* ---- A change, piece by piece ---------------------------------------------------------------- */

/* All of it that can fail.  False: no memory, and the piece is as it was. */
static bool prepare(struct change *change, const struct piece *piece)
{
	const bool now = piece->area && piece->area->rights;

	if (change->rights && !now)
		return populate(change, piece);
	if (change->rights)
		return change->kind == PROTECT ||
		       chain_take(&change->fresh, piece->len / PAGE_SIZE);
	return !now || change->kind != PROTECT || piece->area->shared ||
	       hide(change->memory, piece);
}

static void undo(struct change *change, const struct piece *piece)
{
	const bool now = piece->area && piece->area->rights;

	if (change->rights && !now)
		unpopulate(change, piece, piece->len);
	else if (!change->rights && now)
		forget_hidden(change->memory, piece->va, piece->len);
}

static void perform(struct change *change, const struct piece *piece)
{
	struct memory *memory = change->memory;
	const bool now = piece->area && piece->area->rights;

	if (!piece->area)
		return;
	if (now && change->rights)
		replace(change, piece);
	else if (change->kind != PROTECT)
		discard(memory, piece, &change->old);
	else if (now)
		space_unmap(&memory->space, piece->va, piece->len);
	else if (change->rights)
		forget_hidden(memory, piece->va, piece->len);
}

/* The areas of the range are what the change makes of them. */
static void change_areas(const struct change *change)
{
	struct memory *memory = change->memory;
	struct area area = {
	    .va = change->va,
	    .len = change->end - change->va,
	    .rights = change->rights,
	};

	area_cut(memory, change->va);
	area_cut(memory, change->end);
	if (change->kind != PROTECT)
		area_remove(memory, change->va, change->end);
	if (change->kind == MAP)
		area_insert(memory, &area);
	if (change->kind == PROTECT)
		for (uint32_t i = area_above(memory, change->va);
		     i < memory->area_count && memory->areas[i].va < change->end; i++)
			memory->areas[i].rights = change->rights;
	area_merge(memory);
}

/* Whether there are few enough areas then, those that could be merged not counted, and for a new
 * one frames without which there is no need to try. */
static bool has_room(const struct change *change)
{
	const struct memory *memory = change->memory;
	struct piece piece = {.va = change->va};
	uint32_t count = memory->area_count + area_lies_across(memory, change->va) +
	                 area_lies_across(memory, change->end) + (change->kind == MAP);

	while (change->kind != PROTECT && area_next_piece(memory, &piece, change->end))
		count -= piece.area != NULL;
	return count <= MAX_AREAS && (change->kind != MAP || !change->rights ||
	                              (change->end - change->va) / PAGE_SIZE <= frames_free());
}

/* False: no memory, and everything is as it was. */
static bool apply(struct change *change)
{
	struct memory *memory = change->memory;
	struct piece piece = {.va = change->va};
	uint64_t prepared = change->end;

	if (!has_room(change))
		return false;
	while (prepared == change->end && area_next_piece(memory, &piece, change->end))
		if (!prepare(change, &piece))
			prepared = piece.va;
	piece = (struct piece){.va = change->va};
	while (area_next_piece(memory, &piece, prepared))
		(prepared == change->end ? perform : undo)(change, &piece);
	chain_free(change->old);
	chain_free_zero(change->fresh);
	if (prepared != change->end)
		return false;
	space_mirror(&memory->space, change->va, change->end - change->va);
	change_areas(change);
	return true;
}

bool memory_change_locked(struct memory *memory, enum memory_change kind, uint64_t va, uint64_t end,
                          uint32_t rights)
{
	return apply(&(struct change){memory, kind, rights, va, end, 0, 0});
}

/* Of a memory's areas nobody knows but its process; frames and tables are everybody's. */
bool memory_change(struct memory *memory, enum memory_change kind, uint64_t va, uint64_t end,
                   uint32_t rights)
{
	bool good;

	kernel_lock();
	good = memory_change_locked(memory, kind, va, end, rights);
	kernel_unlock();
	return good;
}

void memory_clear(struct memory *memory)
{
	uint64_t old = 0;

	for (uint32_t i = 0; i < memory->area_count; i++) {
		const struct area *area = &memory->areas[i];

		discard(memory, &(struct piece){area->va, area->len, area}, &old);
	}
	chain_free(old);
}
