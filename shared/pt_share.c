/*
 * Page tables: letting one tree see a part of another.  This is how every process has the same
 * kernel half, and how a KPTI user root has the entry area and nothing else of it.
 *
 * The range is cut into batches, entries of one level that lie in one table of either tree.  Three
 * passes go over them: check and count; write what `from` has; clear what it has not.  Clearing
 * comes last because it may free tables that writing counts on.
 */
#include "shared/pt_work.h"

struct sharing {
	const struct pt *from;
	uint64_t last;
	uint64_t deny;    /* what every sharing entry gets: NX or nothing */
	uint64_t counted; /* the last address whose tables were counted ... */
	bool any_counted; /* ... if there was one */
	bool write;       /* there is something to write, ... */
	bool clear;       /* ... to clear */

	/* The batch at hand. */
	unsigned level, count;
	uint64_t *slot;      /* in `to`; NULL: its table does not exist */
	uint64_t *source;    /* in `from`; NULL: parts of this leaf: */
	uint64_t leaf;       /* 0: nothing */
	unsigned leaf_level; /* its level */
	uint64_t grants;     /* of the entries above in `from` */
};

static enum pt_status share_find_source(struct pt_work *work, struct sharing *sharing, uint64_t va)
{
	const struct pt *from = sharing->from;
	uint64_t entry = from->root;

	sharing->source = NULL;
	sharing->leaf = 0;
	sharing->grants = PTE_GRANTS;
	for (unsigned level = from->geo.levels;; level--) {
		uint64_t *table = pt_table_at(from, entry);

		if (!table)
			return pt_work_fail(work, PT_ECORRUPT, va, level);
		if (level == sharing->level) {
			sharing->source = table + pt_index(va, level);
			return PT_OK;
		}
		entry = table[pt_index(va, level)];
		if (!(entry & PTE_P))
			return PT_OK;
		if (!pt_is_table(entry, level)) {
			if (level > pt_leaf_limit(&from->geo))
				return pt_work_fail(work, PT_ECORRUPT, va, level);
			sharing->leaf = entry;
			sharing->leaf_level = level;
			return PT_OK;
		}
		sharing->grants &= pt_grants(entry);
	}
}

/* Prepares the batch at va: as high a level as the alignment of what is left allows. */
static enum pt_status share_batch(struct pt_work *work, struct sharing *sharing, uint64_t va)
{
	unsigned level = pt_fit(va, sharing->last, work->pt->geo.levels);
	enum pt_status status = pt_work_seek(work, va, level);
	unsigned stop = work->path.level;
	uint64_t entry;

	if (status)
		return status;
	entry = *work->path.slot[stop];
	if (stop > level && (entry & PTE_P))
		return pt_work_fail(work, pt_is_shared(entry, stop) ? PT_ESHARED : PT_EEXIST, va,
		                    stop);
	sharing->slot = stop == level ? work->path.slot[level] : NULL;
	sharing->level = level;
	sharing->count = pt_batch(va, sharing->last, level);
	return share_find_source(work, sharing, va);
}

/* The i-th entry of the batch as `to` is to have it; 0 for none. */
static uint64_t share_entry(const struct sharing *sharing, uint64_t va, unsigned i)
{
	unsigned level = sharing->level;
	uint64_t entry = sharing->leaf, denied = PTE_GRANTS & ~sharing->grants;

	if (sharing->source)
		entry = sharing->source[i];
	else if (entry)
		entry = pt_leaf_part(entry, sharing->leaf_level, level,
		                     va + ((uint64_t)i << pt_shift(level)));
	if (!(entry & PTE_P))
		return 0;
	if (pt_is_table(entry, level))
		entry &= ~(PTE_FILL | PTE_KEEP);
	/* What tables above deny in `from` stays denied; A and D are each tree's own. */
	entry &= ~((denied & ~PTE_NX) | PTE_A | PTE_D);
	return entry | (denied & PTE_NX) | sharing->deny | PTE_SHARED;
}

static bool share_differs(uint64_t old, uint64_t new)
{
	return (old ^ new) & ~(PTE_A | PTE_D);
}

/* As long as another tree points to a table, its own must not free it. */
static bool share_must_keep(const struct sharing *sharing, unsigned i)
{
	return sharing->source && pt_is_table(sharing->source[i], sharing->level) &&
	       !(sharing->source[i] & (PTE_KEEP | PTE_SHARED));
}

/* Counts the tables that `to` lacks above an entry, none twice: batches come in order. */
static void share_need(struct pt_work *work, struct sharing *sharing, uint64_t va)
{
	for (unsigned up = work->path.level; up > sharing->level; up--) {
		if (sharing->any_counted && va >> pt_shift(up) == sharing->counted >> pt_shift(up))
			continue;
		if (!work->need++)
			pt_work_fail(work, PT_ENOMEM, va, up - 1);
	}
	sharing->counted = va;
	sharing->any_counted = true;
}

/* The first entry of the batch, from i on, that one of the trees has.  A half of the address space
 * is 256 slots, and few are in use. */
static unsigned share_next(const struct sharing *sharing, unsigned i)
{
	const uint64_t *slot = sharing->slot, *source = sharing->source;
	const unsigned count = sharing->count;

	if (slot && source) {
		while (i < count && !(slot[i] | source[i]))
			i++;
	} else if (source) {
		while (i < count && !source[i])
			i++;
	}
	return i;
}

static enum pt_status share_check(struct pt_work *work, struct sharing *sharing, uint64_t va)
{
	unsigned level = sharing->level;
	bool need = false;

	for (unsigned i = share_next(sharing, 0); i < sharing->count;
	     i = share_next(sharing, i + 1)) {
		uint64_t old = sharing->slot ? sharing->slot[i] : 0;
		uint64_t new = share_entry(sharing, va, i);
		uint64_t at = va + ((uint64_t)i << pt_shift(level));

		if ((old & PTE_P) && !pt_is_shared(old, level))
			return pt_work_fail(work, PT_EEXIST, at, level);
		if (new && !pt_is_table(new, level) && level > pt_leaf_limit(&sharing->from->geo))
			return pt_work_fail(work, PT_ECORRUPT, at, level);
		if (!new)
			sharing->clear |= old & PTE_P;
		else
			sharing->write |= share_differs(old, new) || share_must_keep(sharing, i);
		need |= new && !sharing->slot;
	}
	if (need)
		share_need(work, sharing, va);
	return PT_OK;
}

static enum pt_status share_write(struct pt_work *work, struct sharing *sharing, uint64_t va)
{
	const unsigned level = sharing->level;

	for (unsigned i = share_next(sharing, 0); i < sharing->count;
	     i = share_next(sharing, i + 1)) {
		uint64_t new = share_entry(sharing, va, i), old;

		if (!new)
			continue;
		if (!sharing->slot) {
			pt_work_grow(work, level);
			sharing->slot = work->path.slot[level];
		}
		if (share_must_keep(sharing, i))
			sharing->source[i] |= PTE_KEEP;
		old = sharing->slot[i];
		if (!share_differs(old, new))
			continue;
		sharing->slot[i] = new;
		if (old & PTE_P)
			pt_work_note(work, va + i * pt_span(level), level, old, new);
		else
			pt_work_gained(work, 1);
	}
	return PT_OK;
}

static enum pt_status share_clear(struct pt_work *work, struct sharing *sharing, uint64_t va)
{
	const unsigned level = sharing->level;
	unsigned lost = 0;

	if (!sharing->slot)
		return PT_OK;
	for (unsigned i = share_next(sharing, 0); i < sharing->count;
	     i = share_next(sharing, i + 1)) {
		uint64_t old = sharing->slot[i];

		if (!(old & PTE_P) || share_entry(sharing, va, i))
			continue;
		sharing->slot[i] = 0;
		pt_work_note(work, va + i * pt_span(level), level, old, 0);
		lost++;
	}
	pt_work_lost(work, lost);
	return PT_OK;
}

static enum pt_status share_pass(struct pt_work *work, struct sharing *sharing, uint64_t va,
                                 enum pt_status (*step)(struct pt_work *, struct sharing *,
                                                        uint64_t va))
{
	for (;;) {
		enum pt_status status = share_batch(work, sharing, va);
		uint64_t end;

		if (!status)
			status = step(work, sharing, va);
		if (status)
			return status;
		end = va + sharing->count * pt_span(sharing->level) - 1;
		if (end >= sharing->last)
			return PT_OK;
		va = end + 1;
	}
}

enum pt_status pt_share(struct pt *to, const struct pt *from, uint64_t va, uint64_t len,
                        uint32_t flags, struct pt_change *change)
{
	struct sharing sharing = {.from = from, .deny = flags & PT_SHARE_NX ? PTE_NX : 0};
	struct pt_work work;
	enum pt_status status = pt_work_begin(&work, to, va, len, &sharing.last);

	if (!status && ((va | len) & (pt_span(2) - 1)))
		status = pt_work_fail(&work, PT_EALIGN, va, 0);
	if (!status && ((flags & ~(uint32_t)PT_SHARE_NX) || (sharing.deny && !to->geo.nx) ||
	                to->geo.levels != from->geo.levels))
		status = pt_work_fail(&work, PT_ERIGHTS, va, 0);
	if (!status)
		status = share_pass(&work, &sharing, va, share_check);
	if (!status)
		status = pt_work_take(&work);
	if (!status && sharing.write)
		share_pass(&work, &sharing, va, share_write);
	if (!status && sharing.clear)
		share_pass(&work, &sharing, va, share_clear);
	return pt_work_end(&work, status, change);
}
