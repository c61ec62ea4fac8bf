#include "guest/memory.h"

#include <stddef.h>

#include "guest/errno.h"
#include "guest/frames.h"
#include "guest/panic.h"
#include "guest/smp.h"
#include "guest/string.h"

#define STACK_TOP  (RS_USER_END - 16 * PAGE_SIZE)
#define STACK_SIZE (4 * PAGE_SIZE)
#define HEAP       0x10000000
#define HEAP_MAX   0x1000000
#define LOWEST     0x10000 /* Linux's vm.mmap_min_addr: null and what is near it stay unmapped */
/* Where places for mmap are looked for, downwards. */
#define MMAP_TOP      (STACK_TOP - 0x800000)
#define MMAP_TOP_I386 UINT64_C(0xffff0000)
#define MMAP_TOP_31   UINT64_C(0x80000000) /* MAP_32BIT */

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

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

/* What a tree maps at a page. */
static bool frame_of(const struct pt *tree, uint64_t va, uint64_t *frame)
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

/* ---- Areas ----------------------------------------------------------------------------------- */

/* A part of a range that lies in one area, or in none. */
struct piece {
	uint64_t va, len;
	const struct area *area;
};

/* Index of the first area that ends above va. */
static uint32_t area_above(const struct memory *memory, uint64_t va)
{
	uint32_t i = 0;

	while (i < memory->area_count && memory->areas[i].va + memory->areas[i].len <= va)
		i++;
	return i;
}

/* From one piece to the next below `end`; the first is behind one of length 0.  False: no more. */
static bool next_piece(const struct memory *memory, struct piece *piece, uint64_t end)
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

static bool is_free(const struct memory *memory, uint64_t va, uint64_t end)
{
	struct piece piece = {.va = va};

	next_piece(memory, &piece, end);
	return !piece.area && piece.len == end - va;
}

static bool lies_across(const struct memory *memory, uint64_t va)
{
	const uint32_t i = area_above(memory, va);

	return i < memory->area_count && memory->areas[i].va < va;
}

/* There is room. */
static void insert_area(struct memory *memory, const struct area *area)
{
	const uint32_t at = area_above(memory, area->va);

	for (uint32_t i = memory->area_count++; i > at; i--)
		memory->areas[i] = memory->areas[i - 1];
	memory->areas[at] = *area;
}

/* An area that lies across va becomes two. */
static void cut(struct memory *memory, uint64_t va)
{
	struct area *area = &memory->areas[area_above(memory, va)];
	struct area above;

	if (!lies_across(memory, va))
		return;
	above = *area;
	above.len -= va - area->va;
	above.gpa += va - area->va;
	above.va = va;
	area->len = va - area->va;
	insert_area(memory, &above);
}

/* The areas from va to end, which do not lie across either, are no more. */
static void remove_areas(struct memory *memory, uint64_t va, uint64_t end)
{
	uint32_t to = area_above(memory, va);
	uint32_t from = area_above(memory, end);

	while (from < memory->area_count)
		memory->areas[to++] = memory->areas[from++];
	memory->area_count = to;
}

static bool alike(const struct area *a, const struct area *b)
{
	return a->va + a->len == b->va && a->rights == b->rights && a->shared == b->shared &&
	       (!a->shared || a->gpa + a->len == b->gpa);
}

static void merge_areas(struct memory *memory)
{
	struct area *last = memory->areas;

	for (uint32_t i = 1; i < memory->area_count; i++) {
		const struct area *area = &memory->areas[i];

		if (alike(last, area))
			last->len += area->len;
		else
			*++last = *area;
	}
	if (memory->area_count)
		memory->area_count = (uint32_t)(last - memory->areas) + 1;
}

/* ---- Pages ----------------------------------------------------------------------------------- */

enum change_kind { UNMAP, MAP, PROTECT };

/* What is done to a range. */
struct change {
	struct memory *memory;
	enum change_kind kind;
	uint32_t rights; /* from now on; 0 for UNMAP */
	uint64_t va, end;
	uint64_t fresh; /* a chain of zeroed frames: for pages in the place of others */
	uint64_t old;   /* ... of frames that are not needed any more */
};

static bool hide_page(struct memory *memory, uint64_t va, uint64_t frame)
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
		if (frame_of(&memory->space.user, va, &frame) && hide_page(memory, va, frame))
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
		return frame_of(&change->memory->hidden, va, frame);
	*frame = piece->area->gpa + (va - piece->area->va);
	return true;
}

/* Undoes populate for the first `len` bytes of the piece. */
static void unpopulate(const struct change *change, const struct piece *piece, uint64_t len)
{
	struct space *space = &change->memory->space;
	uint64_t chain = 0, frame, kept;

	for (uint64_t va = piece->va; va < piece->va + len; va += PAGE_SIZE)
		if (frame_of(&space->user, va, &frame) && !has_contents(change, piece, va, &kept))
			chain_push(&chain, frame);
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
		frame_of(&space->user, va, &frame);
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

	cut(memory, change->va);
	cut(memory, change->end);
	if (change->kind != PROTECT)
		remove_areas(memory, change->va, change->end);
	if (change->kind == MAP)
		insert_area(memory, &area);
	if (change->kind == PROTECT)
		for (uint32_t i = area_above(memory, change->va);
		     i < memory->area_count && memory->areas[i].va < change->end; i++)
			memory->areas[i].rights = change->rights;
	merge_areas(memory);
}

/* Whether there are few enough areas then, those that could be merged not counted, and for a new
 * one frames without which there is no need to try. */
static bool has_room(const struct change *change)
{
	const struct memory *memory = change->memory;
	struct piece piece = {.va = change->va};
	uint32_t count = memory->area_count + lies_across(memory, change->va) +
	                 lies_across(memory, change->end) + (change->kind == MAP);

	while (change->kind != PROTECT && next_piece(memory, &piece, change->end))
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
	while (prepared == change->end && next_piece(memory, &piece, change->end))
		if (!prepare(change, &piece))
			prepared = piece.va;
	piece = (struct piece){.va = change->va};
	while (next_piece(memory, &piece, prepared))
		(prepared == change->end ? perform : undo)(change, &piece);
	chain_free(change->old);
	chain_free_zero(change->fresh);
	if (prepared != change->end)
		return false;
	space_mirror(&memory->space, change->va, change->end - change->va);
	change_areas(change);
	return true;
}

static bool change_range_locked(struct memory *memory, enum change_kind kind, uint64_t va,
                                uint64_t end, uint32_t rights)
{
	return apply(&(struct change){memory, kind, rights, va, end, 0, 0});
}

/* Of a memory's areas nobody knows but its process; frames and tables are everybody's. */
static bool change_range(struct memory *memory, enum change_kind kind, uint64_t va, uint64_t end,
                         uint32_t rights)
{
	bool good;

	kernel_lock();
	good = change_range_locked(memory, kind, va, end, rights);
	kernel_unlock();
	return good;
}

/* ---- System calls ---------------------------------------------------------------------------- */

static uint32_t rights_of(uint64_t prot)
{
	return (prot & (PROT_READ | PROT_WRITE | PROT_EXEC) ? PT_USER : 0) |
	       (prot & PROT_WRITE ? PT_WRITE : 0) | (prot & PROT_EXEC ? PT_EXEC : 0);
}

/* The highest gap of that length below `top`; 0: there is none. */
static uint64_t find_gap(const struct memory *memory, uint64_t len, uint64_t top)
{
	for (uint32_t i = memory->area_count; i-- > 0;) {
		const struct area *area = &memory->areas[i];
		const uint64_t end = area->va + area->len;

		if (end < top && top - end >= len)
			return top - len;
		if (area->va < top)
			top = area->va;
	}
	return top >= LOWEST && top - LOWEST >= len ? top - len : 0;
}

/* Where a mapping of whole pages goes, or a negative errno value. */
static int64_t choose_place(const struct memory *memory, uint64_t va, uint64_t len, uint64_t flags,
                            bool i386)
{
	const uint64_t top = i386 ? MMAP_TOP_I386 : flags & MAP_32BIT ? MMAP_TOP_31 : MMAP_TOP;
	const uint64_t limit = top < MMAP_TOP ? top : USER_TOP;

	if (len > USER_TOP)
		return -ENOMEM;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (va > USER_TOP - len)
			return -ENOMEM;
		if (va % PAGE_SIZE)
			return -EINVAL;
		if (va < LOWEST)
			return -EPERM;
		return flags & MAP_FIXED_NOREPLACE && !is_free(memory, va, va + len) ? -EEXIST
		                                                                     : (int64_t)va;
	}
	va &= ~(uint64_t)(PAGE_SIZE - 1);
	if (va && va < LOWEST)
		va = LOWEST;
	if (va && len <= limit && va <= limit - len && is_free(memory, va, va + len))
		return (int64_t)va;
	va = find_gap(memory, len, top);
	return va ? (int64_t)va : -ENOMEM;
}

int64_t memory_mmap(struct memory *memory, uint64_t va, uint64_t len, uint64_t prot, uint64_t flags,
                    bool i386)
{
	const uint64_t pages = round_up(len);
	int64_t place;

	if (!len)
		return -EINVAL;
	if (!pages)
		return -ENOMEM;
	place = choose_place(memory, va, pages, flags, i386);
	if (place < 0)
		return place;
	if ((flags & MAP_TYPE) != MAP_PRIVATE || flags & (MAP_GROWSDOWN | MAP_HUGETLB))
		return -EINVAL;
	va = (uint64_t)place;
	return change_range(memory, MAP, va, va + pages, rights_of(prot)) ? place : -ENOMEM;
}

int64_t memory_munmap(struct memory *memory, uint64_t va, uint64_t len)
{
	const uint64_t pages = round_up(len);

	if (va % PAGE_SIZE || va > USER_TOP || len > USER_TOP - va || !pages)
		return -EINVAL;
	return change_range(memory, UNMAP, va, va + pages, 0) ? 0 : -ENOMEM;
}

int64_t memory_mprotect(struct memory *memory, uint64_t va, uint64_t len, uint64_t prot)
{
	const uint64_t end = va + round_up(len);
	const uint32_t rights = rights_of(prot);
	struct piece piece = {.va = va};

	if (va % PAGE_SIZE || prot & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	if (!len)
		return 0;
	if (end <= va)
		return -ENOMEM;
	while (next_piece(memory, &piece, end)) {
		if (!piece.area)
			return -ENOMEM;
		if (piece.area->shared && rights & PT_WRITE)
			return -EACCES;
	}
	return change_range(memory, PROTECT, va, end, rights) ? 0 : -ENOMEM;
}

uint64_t memory_brk(struct memory *memory, uint64_t wanted)
{
	const uint64_t end = round_up(memory->brk), wanted_end = round_up(wanted);

	if (wanted < HEAP || wanted > HEAP + HEAP_MAX)
		return memory->brk;
	if (wanted_end > end ? is_free(memory, end, wanted_end) &&
	                           change_range(memory, MAP, end, wanted_end, PT_USER | PT_WRITE)
	                     : change_range(memory, UNMAP, wanted_end, end, 0))
		memory->brk = wanted;
	return memory->brk;
}

uint64_t memory_writable(const struct memory *memory, uint64_t va, uint64_t len)
{
	struct piece piece = {.va = va};
	uint64_t bytes = 0;

	while (next_piece(memory, &piece, va + len)) {
		if (!piece.area || !(piece.area->rights & PT_WRITE))
			break;
		bytes += piece.len;
	}
	return bytes;
}

/* ---- A process's beginning and end ----------------------------------------------------------- */

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
	uint64_t old = 0;

	for (uint32_t i = 0; i < memory->area_count; i++) {
		const struct area *area = &memory->areas[i];

		discard(memory, &(struct piece){area->va, area->len, area}, &old);
	}
	chain_free(old);
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
	                 : hide_page(memory, va, frame))
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
	insert_area(memory, area);
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
	return change_range_locked(memory, MAP, STACK_TOP - STACK_SIZE, STACK_TOP,
	                           PT_USER | PT_WRITE);
}

uint64_t memory_push_arguments(const struct memory *memory, const struct rs_boot *boot)
{
	const uint64_t page = STACK_TOP - PAGE_SIZE;
	const uint64_t strings = STACK_TOP - RS_CMDLINE_SIZE;
	uint64_t frame = 0, words, *word;
	uint32_t argc = 0;

	frame_of(&memory->space.user, page, &frame);
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
