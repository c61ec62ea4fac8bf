#include "shared/pt_work.h"

enum pt_status pt_work_begin(struct pt_work *work, struct pt *pt, uint64_t va, uint64_t len,
                             uint64_t *last)
{
	work->pt = pt;
	work->path.level = 0;
	work->change = (struct pt_change){0};
	work->need = 0;
	work->pool = PT_POOL_END;
	*last = va + len - 1;
	if (((va | len) & (PAGE_SIZE - 1)) || !len)
		return pt_work_fail(work, PT_EALIGN, va, 0);
	/* Both ends canonical and in the same half: then nothing between them is in the hole. */
	if (*last < va || !pt_canonical(&pt->geo, va) || !pt_canonical(&pt->geo, *last) ||
	    (va ^ *last) >> 63)
		return pt_work_fail(work, PT_ECANONICAL, va, 0);
	return PT_OK;
}

enum pt_status pt_work_end(struct pt_work *work, enum pt_status status, struct pt_change *change)
{
	while (work->pool != PT_POOL_END) {
		uint64_t frame = work->pool;
		uint64_t *table = pt_table_at(work->pt, frame);

		work->pool = *table;
		*table = 0;
		work->pt->mem.free(work->pt->mem.ctx, frame);
	}
	if (status == PT_OK) {
		work->change.va = 0;
		work->change.level = 0;
	}
	if (change)
		*change = work->change;
	return status;
}

enum pt_status pt_work_fail(struct pt_work *work, enum pt_status status, uint64_t va,
                            unsigned level)
{
	work->change.va = va;
	work->change.level = (uint8_t)level;
	return status;
}

enum pt_status pt_work_seek(struct pt_work *work, uint64_t va, unsigned floor)
{
	const struct pt *pt = work->pt;
	struct pt_path *path = &work->path;
	unsigned level = path->level;
	uint64_t *table;

	/* Carrying out begins where checking a small range ended. */
	if (!level || path->va != va || level < floor) {
		level = pt->geo.levels;
		table = pt_table_at(pt, pt->root);
		if (!table)
			return pt_work_fail(work, PT_ECORRUPT, va, level);
		path->va = va;
		path->grants = PTE_GRANTS;
		path->slot[level] = table + pt_index(va, level);
	}
	for (;;) {
		uint64_t entry = *path->slot[level];

		path->level = level;
		if (!pt_is_table(entry, level)) {
			if ((entry & PTE_P) && level > pt_leaf_limit(&pt->geo))
				return pt_work_fail(work, PT_ECORRUPT, va, level);
			return PT_OK;
		}
		if (level == floor || (entry & PTE_SHARED))
			return PT_OK;
		table = pt_table_at(pt, entry);
		if (!table)
			return pt_work_fail(work, PT_ECORRUPT, va, level);
		path->grants &= pt_grants(entry);
		level--;
		path->slot[level] = table + pt_index(va, level);
	}
}

void pt_work_need(struct pt_work *work, uint64_t va, uint64_t last, unsigned level,
                  unsigned leaf_limit)
{
	uint64_t start = va & (pt_span(level) - 1);
	uint64_t end = (last & (pt_span(level) - 1)) + 1;

	/* Should memory run out, this is the first place where it lacks. */
	if (!work->need)
		pt_work_fail(work, PT_ENOMEM, va, level - 1);
	/* A block needs a table when the range touches it and it does not become one leaf. */
	for (; level > 1; level--) {
		unsigned shift = pt_shift(level);
		uint64_t first_whole = (start + pt_span(level) - 1) >> shift;

		work->need += ((end - 1) >> shift) - (start >> shift) + 1;
		if (level <= leaf_limit && end >> shift > first_whole)
			work->need -= (end >> shift) - first_whole;
	}
}

enum pt_status pt_work_take(struct pt_work *work)
{
	const struct pt *pt = work->pt;
	uint64_t missing = work->change.va;
	unsigned level = work->change.level;

	for (; work->need; work->need--) {
		uint64_t frame, *table;

		if (!pt->mem.alloc(pt->mem.ctx, &frame))
			return pt_work_fail(work, PT_ENOMEM, missing, level);
		table = pt_table_at(pt, frame);
		if (!table || frame >> pt->geo.maxphyaddr) {
			pt->mem.free(pt->mem.ctx, frame);
			return pt_work_fail(work, table ? PT_EWIDTH : PT_ECORRUPT, missing, level);
		}
		*table = work->pool;
		work->pool = frame;
	}
	return PT_OK;
}

static uint64_t *pool_pop(struct pt_work *work, uint64_t *frame)
{
	uint64_t *table = pt_table_at(work->pt, work->pool);

	*frame = work->pool;
	work->pool = *table;
	*table = 0;
	return table;
}

void pt_work_grow(struct pt_work *work, unsigned floor)
{
	struct pt_path *path = &work->path;

	while (path->level > floor) {
		unsigned level = path->level;
		uint64_t *slot = path->slot[level];
		uint64_t old = *slot, fill = PTE_FILL_EMPTY, frame;
		uint64_t *table = pool_pop(work, &frame);

		if (old & PTE_P) { /* a large leaf: the same translation in smaller leaves */
			uint64_t part = pt_leaf_part(old, level, level - 1, 0);

			for (unsigned i = 0; i < PT_ENTRIES; i++, part += pt_span(level - 1))
				table[i] = part;
			fill += PT_ENTRIES * PTE_FILL_ONE;
		} else {
			pt_work_gained(work, 1);
		}
		*slot = frame | PTE_TABLE | fill;
		path->level = --level;
		path->slot[level] = table + pt_index(path->va, level);
	}
}

void pt_work_gained(struct pt_work *work, uint64_t entries)
{
	struct pt_path *path = &work->path;

	if (path->level < work->pt->geo.levels) {
		uint64_t *up = path->slot[path->level + 1];

		if (*up & PTE_FILL)
			*up += entries << PTE_FILL_SHIFT;
	}
}

void pt_work_lost(struct pt_work *work, uint64_t entries)
{
	const struct pt *pt = work->pt;
	struct pt_path *path = &work->path;

	for (; entries && path->level < pt->geo.levels; entries = 1) {
		uint64_t *up = path->slot[path->level + 1];
		uint64_t entry = *up;

		if (!(entry & PTE_FILL))
			return;
		entry -= entries << PTE_FILL_SHIFT;
		if ((entry & (PTE_FILL | PTE_KEEP)) != PTE_FILL_EMPTY) {
			*up = entry;
			return;
		}
		*up = 0;
		pt->mem.free(pt->mem.ctx, entry & PTE_FRAME);
		path->level++;
	}
}

/*
 * SDM 4.10.4.3: R/W from 0 to 1 and XD from 1 to 0 may stay unflushed at the price of one spurious
 * fault.  For U/S from 0 to 1 that holds only while CR4.SMEP is 0, which is not known here: the
 * supervisor loses what it could do.
 */
static bool only_widens(uint64_t old, uint64_t new)
{
	return !(old & ~new & ~PTE_NX) && !(new & ~old & ~PTE_W);
}

void pt_work_note(struct pt_work *work, uint64_t va, unsigned level, uint64_t old, uint64_t new)
{
	struct pt_noted noted = {
	    .start = va,
	    .end = va + pt_span(level),
	    .pages = 1,
	    .global = old & PTE_G,
	    .widened = only_widens(old, new),
	};

	if (pt_is_table(old, level)) {
		/* Another tree's table may be gone by now: believe the worst rather than look. */
		noted.pages = pt_span(level) / PAGE_SIZE;
		noted.global = true;
	}
	pt_work_note_all(work, &noted);
}

void pt_work_note_all(struct pt_work *work, const struct pt_noted *noted)
{
	struct pt_change *change = &work->change;

	if (!change->flush) {
		change->flush = true;
		change->widened = true;
		change->flush_start = noted->start;
		change->flush_end = noted->end;
	}
	if (noted->start < change->flush_start)
		change->flush_start = noted->start;
	/* An end of 0 is one past the last byte of all. */
	if (noted->end - 1 > change->flush_end - 1)
		change->flush_end = noted->end;
	change->widened &= noted->widened;
	change->flush_global |= noted->global;
	change->flush_pages += noted->pages;
}

void pt_discard(const struct pt *pt, struct pt_work *work, uint64_t entry, unsigned level,
                uint64_t va)
{
	uint64_t *table = pt_table_at(pt, entry);
	uint64_t left = (entry & PTE_FILL) >> PTE_FILL_SHIFT;
	unsigned below = level - 1;

	if (!table || !left)
		return;
	/* `left` is one more than there are: when it gets to 1 the rest is zero. */
	for (unsigned i = 0; left > 1; i++, left--) {
		uint64_t at, old;

		i = pt_next_used(table, i);
		if (i == PT_ENTRIES)
			break;
		at = va + ((uint64_t)i << pt_shift(below));
		old = table[i];
		if (pt_is_table(old, below) && !(old & PTE_SHARED))
			pt_discard(pt, work, old, below, at);
		else if (work && (old & PTE_P))
			pt_work_note(work, at, below, old, 0);
		table[i] = 0;
	}
	pt->mem.free(pt->mem.ctx, entry & PTE_FRAME);
}
