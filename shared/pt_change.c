/* Page tables: map, unmap, protect, reserve.  pt_work.c says how each is all or nothing. */
#include "shared/pt_work.h"

/* ---- Map ---------------------------------------------------------------------------------- */

struct mapping {
	uint64_t last;       /* last byte of the range */
	uint64_t delta;      /* physical minus linear address */
	uint64_t small;      /* a 4 KiB leaf without its address ... */
	uint64_t large;      /* ... and a larger one */
	unsigned leaf_limit; /* level of the largest leaf allowed */
	bool replace;
};

/* The table under an entry may make way for a leaf: it is this tree's alone, and so is all below.
 */
static bool disposable(const struct pt *pt, uint64_t entry, unsigned level)
{
	const uint64_t *table;

	if (!(entry & PTE_FILL) || (entry & (PTE_KEEP | PTE_SHARED)))
		return false;
	table = pt_table_at(pt, entry);
	if (!table)
		return false;
	if (level == 2)
		return true;
	/* Level 3, since no leaf is larger: look at the page tables' entries, not into them. */
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		uint64_t below = table[i];

		if (pt_is_shared(below, 2))
			return false;
		if (pt_is_table(below, 2) &&
		    (!(below & PTE_FILL) || (below & PTE_KEEP) || !pt_table_at(pt, below)))
			return false;
	}
	return true;
}

/* Leads to the entry that becomes a leaf, or under which tables must grow.  A table in the place of
 * a large leaf is used as it is, unless it may be replaced. */
static enum pt_status map_seek(struct pt_work *work, const struct mapping *map, uint64_t va,
                               unsigned want)
{
	struct pt_path *path = &work->path;

	for (;;) {
		enum pt_status status = pt_work_seek(work, va, want);
		uint64_t entry;

		if (status)
			return status;
		entry = *path->slot[path->level];
		if (pt_is_shared(entry, path->level))
			return pt_work_fail(work, PT_ESHARED, va, path->level);
		if (path->level > want || !pt_is_table(entry, path->level))
			return PT_OK;
		if (map->replace && disposable(work->pt, entry, want))
			return PT_OK;
		want--;
	}
}

/* How many entries from the path's on take a leaf: up to one that holds a table. */
static enum pt_status map_check_batch(struct pt_work *work, const struct mapping *map, uint64_t va,
                                      uint64_t *end)
{
	unsigned level = work->path.level;
	const uint64_t *slot = work->path.slot[level];
	unsigned count = pt_batch(va, map->last, level), i = 0;

	if (level == 1 && map->replace)
		i = count;
	for (; i < count; i++) {
		if (i && pt_is_table(slot[i], level))
			break;
		if (!(slot[i] & PTE_P))
			continue;
		va += (uint64_t)i << pt_shift(level);
		if (pt_is_shared(slot[i], level))
			return pt_work_fail(work, PT_ESHARED, va, level);
		if (!map->replace)
			return pt_work_fail(work, PT_EEXIST, va, level);
		va -= (uint64_t)i << pt_shift(level);
	}
	*end = va + ((uint64_t)i << pt_shift(level)) - 1;
	return PT_OK;
}

static enum pt_status map_check(struct pt_work *work, const struct mapping *map, uint64_t va)
{
	for (;;) {
		unsigned want = pt_fit(va, map->last, map->leaf_limit), level;
		enum pt_status status = map_seek(work, map, va, want);
		uint64_t end = va;

		if (status)
			return status;
		level = work->path.level;
		if (pt_grants(map->small) & ~work->path.grants)
			return pt_work_fail(work, PT_ERIGHTS, va, level);
		if (level > want) {
			if ((*work->path.slot[level] & PTE_P) && !map->replace)
				return pt_work_fail(work, PT_EEXIST, va, level);
			end = pt_entry_end(va, level);
			if (end > map->last)
				end = map->last;
			pt_work_need(work, va, end, level, map->leaf_limit);
		} else {
			status = map_check_batch(work, map, va, &end);
			if (status)
				return status;
		}
		if (end >= map->last)
			return PT_OK;
		va = end + 1;
	}
}

/* Writes a leaf over what is present there; nothing if that is the same but for A and D. */
static void map_over(struct pt_work *work, uint64_t *slot, uint64_t va, uint64_t leaf)
{
	unsigned level = work->path.level;
	uint64_t old = *slot;

	if (!((old ^ leaf) & ~(PTE_A | PTE_D)))
		return;
	*slot = leaf;
	if (pt_is_table(old, level))
		pt_discard(work->pt, work, old, level, va);
	else
		pt_work_note(work, va, level, old, leaf);
}

/* Writes page table entries where nothing is present, which was checked: plain stores. */
static uint64_t map_fresh(struct pt_work *work, const struct mapping *map, uint64_t va)
{
	uint64_t *slot = work->path.slot[1];
	uint64_t leaf = (va + map->delta) | map->small;
	unsigned count = pt_batch(va, map->last, 1);

	for (unsigned i = 0; i < count; i++, leaf += PAGE_SIZE)
		slot[i] = leaf;
	pt_work_gained(work, count);
	return va + (uint64_t)count * PAGE_SIZE - 1;
}

/* Writes leaves that follow each other in one table; returns the last byte mapped. */
static uint64_t map_batch(struct pt_work *work, const struct mapping *map, uint64_t va)
{
	unsigned level = work->path.level;
	uint64_t *slot = work->path.slot[level];
	uint64_t span = pt_span(level);
	uint64_t leaf = (va + map->delta) | (level > 1 ? map->large : map->small);
	unsigned count = pt_batch(va, map->last, level), i, gained = 0;

	for (i = 0; i < count; i++, leaf += span) {
		if (!(slot[i] & PTE_P)) {
			slot[i] = leaf;
			gained++;
		} else if (i && pt_is_table(slot[i], level)) {
			break; /* perhaps not to be replaced: map_seek knows */
		} else {
			map_over(work, slot + i, va + i * span, leaf);
		}
	}
	pt_work_gained(work, gained);
	return va + i * span - 1;
}

static void map_perform(struct pt_work *work, const struct mapping *map, uint64_t va)
{
	for (;;) {
		unsigned want = pt_fit(va, map->last, map->leaf_limit);
		uint64_t end;

		map_seek(work, map, va, want);
		pt_work_grow(work, want);
		if (work->path.level == 1 && !map->replace)
			end = map_fresh(work, map, va);
		else
			end = map_batch(work, map, va);
		if (end >= map->last)
			return;
		va = end + 1;
	}
}

/* The largest leaf that geometry, flags and the addresses' distance allow. */
static unsigned map_leaf_limit(const struct pt *pt, uint64_t delta, uint32_t flags)
{
	unsigned limit = pt_leaf_limit(&pt->geo);

	if (flags & PT_SMALL)
		return 1;
	if ((flags & PT_MAX_2M) && limit > 2)
		limit = 2;
	while (limit > 1 && (delta & (pt_span(limit) - 1)))
		limit--;
	return limit;
}

static bool rights_known(const struct pt *pt, uint32_t flags, uint32_t known)
{
	return !(flags & ~known) && (pt->geo.pku || !(flags & PT_PKEY(15)));
}

enum pt_status pt_map(struct pt *pt, uint64_t va, uint64_t pa, uint64_t len, uint32_t flags,
                      struct pt_change *change)
{
	const uint32_t known = PT_RIGHTS | PT_SMALL | PT_MAX_2M | PT_REPLACE;
	struct mapping map = {.delta = pa - va, .replace = flags & PT_REPLACE};
	struct pt_work work;
	enum pt_status status = pt_work_begin(&work, pt, va, len, &map.last);

	if (!status && (pa & (PAGE_SIZE - 1)))
		status = pt_work_fail(&work, PT_EALIGN, va, 0);
	if (!status && (pa + len < pa || (pa + len - 1) >> pt->geo.maxphyaddr))
		status = pt_work_fail(&work, PT_EWIDTH, va, 0);
	if (!status && !rights_known(pt, flags, known))
		status = pt_work_fail(&work, PT_ERIGHTS, va, 0);
	if (!status) {
		map.leaf_limit = map_leaf_limit(pt, map.delta, flags);
		map.small = pt_leaf_bits(&pt->geo, flags);
		map.large = pt_leaf_enlarge(map.small);
		status = map_check(&work, &map, va);
	}
	if (!status)
		status = pt_work_take(&work);
	if (!status)
		map_perform(&work, &map, va);
	return pt_work_end(&work, status, change);
}

/* ---- Unmap -------------------------------------------------------------------------------- */

/* Entries from the path's on that lie wholly in the range and hold no table of this tree; 0 when
 * already the first reaches beyond the range. */
static unsigned whole_entries(const struct pt_work *work, uint64_t va, uint64_t last)
{
	unsigned level = work->path.level, count, i;
	const uint64_t *slot = work->path.slot[level];

	if (va & (pt_span(level) - 1))
		return 0;
	count = pt_batch(va, last, level);
	if (level == 1)
		return count;
	for (i = 0; i < count; i++) {
		if (pt_is_table(slot[i], level) && !pt_is_shared(slot[i], level))
			break;
	}
	return i;
}

static enum pt_status unmap_check(struct pt_work *work, uint64_t va, uint64_t last)
{
	for (;;) {
		enum pt_status status = pt_work_seek(work, va, 1);
		unsigned level = work->path.level, whole;
		uint64_t end = pt_entry_end(va, level), entry;

		if (status)
			return status;
		entry = *work->path.slot[level];
		whole = whole_entries(work, va, last);
		if (whole) {
			end = va + ((uint64_t)whole << pt_shift(level)) - 1;
		} else if (entry & PTE_P) {
			if (pt_is_shared(entry, level))
				return pt_work_fail(work, PT_ESHARED, va, level);
			pt_work_need(work, va, end < last ? end : last, level, level);
		}
		if (end >= last)
			return PT_OK;
		va = end + 1;
	}
}

/* Clears page table entries.  They are many and alike, so what they owe is added up here. */
static unsigned unmap_pages(struct pt_work *work, uint64_t va, unsigned count)
{
	uint64_t *slot = work->path.slot[1], all = 0;
	unsigned lost = 0, first = 0, last = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t old = slot[i];

		if (!(old & PTE_P))
			continue;
		if (!lost++)
			first = i;
		last = i;
		all |= old;
		slot[i] = 0;
	}
	if (lost)
		pt_work_note_all(work, &(struct pt_noted){
		                           .start = va + first * pt_span(1),
		                           .end = va + (last + 1) * pt_span(1),
		                           .pages = lost,
		                           .global = all & PTE_G,
		                       });
	return lost;
}

static unsigned unmap_large(struct pt_work *work, uint64_t va, unsigned count)
{
	unsigned level = work->path.level, lost = 0;
	uint64_t *slot = work->path.slot[level];

	for (; count; count--, slot++, va += pt_span(level)) {
		if (!(*slot & PTE_P))
			continue;
		pt_work_note(work, va, level, *slot, 0);
		*slot = 0;
		lost++;
	}
	return lost;
}

static void unmap_perform(struct pt_work *work, uint64_t va, uint64_t last)
{
	for (;;) {
		unsigned level, whole;
		uint64_t end;

		pt_work_seek(work, va, 1);
		level = work->path.level;
		if (*work->path.slot[level] & PTE_P)
			pt_work_grow(work, pt_fit(va, last, level));
		level = work->path.level;
		whole = whole_entries(work, va, last);
		end = pt_entry_end(va, level);
		if (whole) {
			end = va + ((uint64_t)whole << pt_shift(level)) - 1;
			pt_work_lost(work, level == 1 ? unmap_pages(work, va, whole)
			                              : unmap_large(work, va, whole));
		}
		if (end >= last)
			return;
		va = end + 1;
	}
}

enum pt_status pt_unmap(struct pt *pt, uint64_t va, uint64_t len, struct pt_change *change)
{
	struct pt_work work;
	uint64_t last;
	enum pt_status status = pt_work_begin(&work, pt, va, len, &last);

	if (!status)
		status = unmap_check(&work, va, last);
	if (!status)
		status = pt_work_take(&work);
	if (!status)
		unmap_perform(&work, va, last);
	return pt_work_end(&work, status, change);
}

/* ---- Protect ------------------------------------------------------------------------------ */

struct protection {
	uint64_t last;
	uint64_t small, large;           /* the bits to set, by size of leaf ... */
	uint64_t small_mask, large_mask; /* ... and those that rights are made of */
};

static uint64_t protect_leaf(const struct protection *prot, uint64_t leaf, unsigned level)
{
	if (level > 1)
		return (leaf & ~prot->large_mask) | prot->large;
	return (leaf & ~prot->small_mask) | prot->small;
}

/* Leaves from the path's on that lie wholly in the range. */
static enum pt_status protect_check_batch(struct pt_work *work, const struct protection *prot,
                                          uint64_t va, uint64_t *end)
{
	unsigned level = work->path.level;
	const uint64_t *slot = work->path.slot[level];
	unsigned count = pt_batch(va, prot->last, level);

	for (; count; count--, slot++, va += pt_span(level)) {
		if (!(*slot & PTE_P))
			return pt_work_fail(work, PT_ENOENT, va, level);
		if (pt_is_shared(*slot, level))
			return pt_work_fail(work, PT_ESHARED, va, level);
		if (pt_is_table(*slot, level))
			break;
	}
	*end = va - 1;
	return PT_OK;
}

static enum pt_status protect_check(struct pt_work *work, const struct protection *prot,
                                    uint64_t va)
{
	for (;;) {
		enum pt_status status = pt_work_seek(work, va, 1);
		unsigned level = work->path.level;
		uint64_t end = va, leaf;

		if (status)
			return status;
		leaf = *work->path.slot[level];
		if (!(leaf & PTE_P))
			return pt_work_fail(work, PT_ENOENT, va, level);
		if (pt_is_shared(leaf, level))
			return pt_work_fail(work, PT_ESHARED, va, level);
		if (pt_grants(prot->small) & ~work->path.grants)
			return pt_work_fail(work, PT_ERIGHTS, va, level);
		if (pt_fit(va, prot->last, level) == level) {
			status = protect_check_batch(work, prot, va, &end);
			if (status)
				return status;
		} else { /* a large leaf, in part: to be split unless nothing changes */
			end = pt_entry_end(va, level);
			if (end > prot->last)
				end = prot->last;
			if (protect_leaf(prot, leaf, level) != leaf)
				pt_work_need(work, va, end, level, level);
		}
		if (end >= prot->last)
			return PT_OK;
		va = end + 1;
	}
}

static uint64_t protect_batch(struct pt_work *work, const struct protection *prot, uint64_t va)
{
	unsigned level = work->path.level;
	uint64_t *slot = work->path.slot[level];
	unsigned count = pt_batch(va, prot->last, level);

	for (; count; count--, slot++, va += pt_span(level)) {
		uint64_t old = *slot, new = protect_leaf(prot, old, level);

		if (pt_is_table(old, level))
			break;
		if (new == old)
			continue;
		*slot = new;
		pt_work_note(work, va, level, old, new);
	}
	return va - 1;
}

static void protect_perform(struct pt_work *work, const struct protection *prot, uint64_t va)
{
	for (;;) {
		unsigned level, fit;
		uint64_t leaf, end;

		pt_work_seek(work, va, 1);
		level = work->path.level;
		leaf = *work->path.slot[level];
		fit = pt_fit(va, prot->last, level);
		if (fit < level && protect_leaf(prot, leaf, level) == leaf) {
			end = pt_entry_end(va, level);
		} else {
			pt_work_grow(work, fit);
			end = protect_batch(work, prot, va);
		}
		if (end >= prot->last)
			return;
		va = end + 1;
	}
}

enum pt_status pt_protect(struct pt *pt, uint64_t va, uint64_t len, uint32_t rights,
                          struct pt_change *change)
{
	/* Bits that this geometry does not use are not touched. */
	const uint64_t mask = PTE_W | PTE_U | PTE_G | PTE_PWT | PTE_PCD |
	                      (pt->geo.nx ? PTE_NX : 0) | (pt->geo.pku ? PTE_KEY : 0);
	const uint64_t bits = pt_leaf_bits(&pt->geo, rights);
	struct protection prot = {
	    .small_mask = mask | PTE_PAT_4K,
	    .large_mask = mask | PTE_PAT_LARGE,
	    .small = bits,
	    .large = pt_leaf_enlarge(bits),
	};
	struct pt_work work;
	enum pt_status status = pt_work_begin(&work, pt, va, len, &prot.last);

	if (!status && !rights_known(pt, rights, PT_RIGHTS))
		status = pt_work_fail(&work, PT_ERIGHTS, va, 0);
	if (!status)
		status = protect_check(&work, &prot, va);
	if (!status)
		status = pt_work_take(&work);
	if (!status)
		protect_perform(&work, &prot, va);
	return pt_work_end(&work, status, change);
}

/* ---- Reserve ------------------------------------------------------------------------------ */

enum pt_status pt_reserve(struct pt *pt, uint64_t va, uint64_t len, struct pt_change *change)
{
	const unsigned top = pt->geo.levels;
	struct pt_work work;
	uint64_t last, *slot = NULL;
	unsigned count = 0;
	enum pt_status status = pt_work_begin(&work, pt, va, len, &last);

	if (!status)
		status = pt_work_seek(&work, va, top);
	if (!status) {
		slot = work.path.slot[top];
		count = pt_index(last, top) - pt_index(va, top) + 1;
		for (unsigned i = 0; i < count; i++) {
			uint64_t at = va + i * pt_span(top);

			if (!(slot[i] & PTE_P)) {
				if (!work.need++)
					pt_work_fail(&work, PT_ENOMEM, at, top - 1);
			} else if (!pt_is_table(slot[i], top)) {
				status = pt_work_fail(&work, PT_ECORRUPT, at, top);
				break;
			}
		}
	}
	if (!status)
		status = pt_work_take(&work);
	for (unsigned i = 0; !status && i < count; i++, va += pt_span(top)) {
		if (!(slot[i] & PTE_P)) {
			work.path.va = va;
			work.path.level = top;
			work.path.slot[top] = slot + i;
			pt_work_grow(&work, top - 1);
		}
		if (!(slot[i] & PTE_SHARED))
			slot[i] |= PTE_KEEP;
	}
	return pt_work_end(&work, status, change);
}
