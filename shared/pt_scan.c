/* Page tables: looking at many entries: runs, differences, counts, audits. */
#include "shared/pt_entry.h"

/* ---- A walk over all present entries, tables before what is below them --------------------- */

struct scan {
	const struct pt *pt;
	uint64_t va, last; /* where the search goes on, and the last byte of interest */
	unsigned level;    /* of the table where it goes on; above the top: at the end */
	bool corrupt;      /* some table could not be looked at */
	uint64_t reserved; /* bits that are so everywhere */
	struct {
		uint64_t *table;
		uint64_t grants; /* of all entries above */
		bool shared;     /* one of them is another tree's */
	} at[PT_TOP_LEVEL + 2];
};

struct item {
	uint64_t va; /* the first address under the entry */
	uint64_t entry;
	uint64_t grants; /* its own and those of all above */
	unsigned level;
	bool shared;
	bool leaf;
	bool reserved; /* a reserved bit: maps nothing, whatever else it says */
	bool outside;  /* a table outside memory */
};

static void scan_begin(struct scan *scan, const struct pt *pt, uint64_t start, uint64_t last)
{
	const unsigned top = pt->geo.levels;

	scan->pt = pt;
	scan->va = start;
	scan->last = last;
	scan->level = top;
	scan->corrupt = false;
	scan->reserved = pt_reserved_always(&pt->geo);
	/* An address in the hole stands for the nearest one above (below, at the end). */
	if (!pt_canonical(&pt->geo, start))
		scan->va = ~(pt_span(top + 1) / 2 - 1);
	if (!pt_canonical(&pt->geo, last))
		scan->last = pt_span(top + 1) / 2 - 1;
	if (scan->va > scan->last)
		scan->level = PT_TOP_LEVEL + 1;
	scan->at[top].table = pt_table_at(pt, pt->root);
	scan->at[top].grants = PTE_GRANTS;
	scan->at[top].shared = false;
	if (!scan->at[top].table) {
		scan->corrupt = true;
		scan->level = PT_TOP_LEVEL + 1;
	}
}

/* Past the entry of this level that holds va; up, when it was the last of its table. */
static void scan_skip(struct scan *scan, unsigned level)
{
	const unsigned top = scan->pt->geo.levels;
	uint64_t end = pt_entry_end(scan->va, level);

	if (end >= scan->last) {
		scan->level = PT_TOP_LEVEL + 1;
		return;
	}
	scan->va = pt_sign_extend(&scan->pt->geo, end + 1);
	while (level < top && !pt_index(scan->va, level))
		level++;
	scan->level = level;
}

/* Moves to the next entry in use of the table at hand; false: there is none, and the scan has gone
 * on to another table. */
static bool scan_find(struct scan *scan)
{
	unsigned level = scan->level, index = pt_index(scan->va, level);
	unsigned next = pt_next_used(scan->at[level].table, index);

	if (next == index)
		return true;
	if (next == PT_ENTRIES) {
		/* Stand on the last entry, then step past it. */
		scan->va |= (uint64_t)(PT_ENTRIES - 1) << pt_shift(level);
		scan->va = pt_sign_extend(&scan->pt->geo, scan->va);
		scan_skip(scan, level);
		return false;
	}
	scan->va += (uint64_t)(next - index) << pt_shift(level);
	scan->va &= ~(pt_span(level) - 1);
	scan->va = pt_sign_extend(&scan->pt->geo, scan->va);
	if (scan->va > scan->last)
		scan->level = PT_TOP_LEVEL + 1;
	return scan->va <= scan->last;
}

static void scan_down(struct scan *scan, struct item *item)
{
	unsigned below = item->level - 1;
	uint64_t *table = pt_table_at(scan->pt, item->entry);

	if (!table) {
		item->outside = true;
		scan->corrupt = true;
		scan_skip(scan, item->level);
		return;
	}
	scan->at[below].table = table;
	scan->at[below].grants = item->grants;
	scan->at[below].shared = item->shared;
	scan->level = below;
}

/* The next present entry; false at the end. */
static bool scan_next(struct scan *scan, struct item *item)
{
	while (scan->level <= PT_TOP_LEVEL) {
		unsigned level = scan->level;
		uint64_t entry;

		if (!scan_find(scan))
			continue;
		entry = scan->at[level].table[pt_index(scan->va, level)];
		if (!(entry & PTE_P)) {
			scan_skip(scan, level);
			continue;
		}
		item->va = scan->va & ~(pt_span(level) - 1);
		item->entry = entry;
		item->grants = scan->at[level].grants & pt_grants(entry);
		item->level = level;
		item->shared = scan->at[level].shared || pt_is_shared(entry, level);
		item->reserved = pt_is_reserved(&scan->pt->geo, scan->reserved, entry, level);
		item->outside = false;
		item->leaf = !item->reserved && !pt_is_table(entry, level);
		if (item->leaf || item->reserved)
			scan_skip(scan, level);
		else
			scan_down(scan, item);
		return true;
	}
	return false;
}

static uint32_t item_rights(const struct pt *pt, const struct item *item)
{
	uint64_t leaf = item->entry & ~PTE_GRANTS;

	leaf |= item->grants & (PTE_W | PTE_U);
	leaf |= ~item->grants & PTE_NX;
	return pt_leaf_rights(&pt->geo, leaf, item->level);
}

static enum pt_status scan_status(const struct scan *scan)
{
	return scan->corrupt ? PT_ECORRUPT : PT_OK;
}

/* ---- Runs --------------------------------------------------------------------------------- */

/* Joins leaves to runs.  Most leaves are like the one before but for the address, so the rights of
 * the last are remembered with the bits that they came from. */
struct joiner {
	struct scan scan;
	uint64_t start; /* runs begin and end with whole pages inside the range */
	uint64_t bits, grants;
	unsigned level; /* 0: no leaf yet */
	uint32_t rights;
	struct pt_run ahead; /* the first leaf after the run that was handed out; len 0: none */
};

static uint32_t leaf_rights(struct joiner *joiner, const struct item *item)
{
	uint64_t bits = item->entry & ~(PTE_FRAME | PTE_A | PTE_D);

	if (item->level > 1)
		bits |= item->entry & PTE_PAT_LARGE;
	if (bits != joiner->bits || item->grants != joiner->grants ||
	    item->level != joiner->level) {
		joiner->bits = bits;
		joiner->grants = item->grants;
		joiner->level = item->level;
		joiner->rights = item_rights(joiner->scan.pt, item);
	}
	return joiner->rights;
}

/* A leaf as a run of its own, cut to the range. */
static void leaf_run(struct joiner *joiner, const struct item *item, struct pt_run *run)
{
	uint64_t span = pt_span(item->level);
	uint64_t first = item->va, last = item->va + span - 1;

	if (first < joiner->start)
		first = joiner->start;
	if (last > joiner->scan.last)
		last = joiner->scan.last | (PAGE_SIZE - 1);
	run->va = first;
	run->len = last - first + 1;
	run->pa = (item->entry & PTE_FRAME & ~(span - 1)) + (first - item->va);
	run->rights = leaf_rights(joiner, item);
	run->shared = item->shared;
	run->leaves[0] = run->leaves[1] = run->leaves[2] = 0;
	run->leaves[item->level - 1] = 1;
}

static bool run_continues(const struct pt_run *run, const struct pt_run *next)
{
	return run->va + run->len == next->va && run->pa + run->len == next->pa &&
	       run->rights == next->rights && run->shared == next->shared;
}

static void joiner_begin(struct joiner *joiner, const struct pt *pt, uint64_t start, uint64_t end)
{
	scan_begin(&joiner->scan, pt, start, end);
	joiner->start = joiner->scan.va & ~(uint64_t)(PAGE_SIZE - 1);
	joiner->bits = joiner->grants = 0;
	joiner->level = 0;
	joiner->rights = 0;
	joiner->ahead.len = 0;
}

/* The next run as long as it gets; false, and len 0, at the end. */
static bool joiner_next(struct joiner *joiner, struct pt_run *run)
{
	struct item item;

	run->len = 0;
	if (joiner->ahead.len)
		*run = joiner->ahead;
	joiner->ahead.len = 0;
	while (scan_next(&joiner->scan, &item)) {
		struct pt_run *next = &joiner->ahead;

		if (!item.leaf)
			continue;
		if (!run->len) {
			leaf_run(joiner, &item, run);
			continue;
		}
		leaf_run(joiner, &item, next);
		if (!run_continues(run, next))
			return true;
		run->len += next->len;
		run->leaves[item.level - 1]++;
		next->len = 0;
	}
	return run->len;
}

enum pt_status pt_each(const struct pt *pt, uint64_t start, uint64_t end,
                       bool (*each)(void *ctx, const struct pt_run *run), void *ctx)
{
	struct joiner joiner;
	struct pt_run run;

	joiner_begin(&joiner, pt, start, end);
	while (joiner_next(&joiner, &run)) {
		if (!each(ctx, &run))
			break;
	}
	return scan_status(&joiner.scan);
}

/* ---- Differences -------------------------------------------------------------------------- */

/* Drops the first bytes of a run. */
static void run_advance(struct pt_run *run, uint64_t len)
{
	run->va += len;
	run->pa += len;
	run->len -= len;
}

/* The first `len` bytes of a run, with its leaves counted anew. */
static struct pt_run run_piece(const struct pt *pt, const struct pt_run *run, uint64_t len)
{
	struct pt_run piece = *run;
	struct pt_counts counts;

	pt_count(pt, run->va, run->va + len - 1, &counts);
	piece.len = len;
	for (unsigned i = 0; i < 3; i++)
		piece.leaves[i] = counts.leaves[i];
	return piece;
}

/* How far the two runs are alike in kind, from the lower start on: only one, or both there. */
static uint64_t diff_piece(const struct pt_run *a, const struct pt_run *b, bool *in_a, bool *in_b)
{
	*in_a = a->len && (!b->len || a->va <= b->va);
	*in_b = b->len && (!a->len || b->va <= a->va);
	if (*in_a && *in_b)
		return a->len < b->len ? a->len : b->len;
	if (*in_a)
		return b->len && b->va - a->va < a->len ? b->va - a->va : a->len;
	return a->len && a->va - b->va < b->len ? a->va - b->va : b->len;
}

enum pt_status pt_diff(const struct pt *a, const struct pt *b,
                       bool (*each)(void *ctx, const struct pt_run *a, const struct pt_run *b),
                       void *ctx)
{
	struct joiner joiner_a, joiner_b;
	struct pt_run run_a, run_b;

	joiner_begin(&joiner_a, a, 0, UINT64_MAX);
	joiner_begin(&joiner_b, b, 0, UINT64_MAX);
	joiner_next(&joiner_a, &run_a);
	joiner_next(&joiner_b, &run_b);
	while (run_a.len || run_b.len) {
		bool in_a, in_b;
		uint64_t len = diff_piece(&run_a, &run_b, &in_a, &in_b);

		if (!in_a || !in_b || run_a.pa != run_b.pa || run_a.rights != run_b.rights) {
			struct pt_run piece_a, piece_b;

			if (in_a)
				piece_a = run_piece(a, &run_a, len);
			if (in_b)
				piece_b = run_piece(b, &run_b, len);
			if (!each(ctx, in_a ? &piece_a : NULL, in_b ? &piece_b : NULL))
				break;
		}
		if (in_a) {
			run_advance(&run_a, len);
			if (!run_a.len)
				joiner_next(&joiner_a, &run_a);
		}
		if (in_b) {
			run_advance(&run_b, len);
			if (!run_b.len)
				joiner_next(&joiner_b, &run_b);
		}
	}
	return scan_status(&joiner_a.scan) | scan_status(&joiner_b.scan);
}

/* ---- Counts ------------------------------------------------------------------------------- */

enum pt_status pt_count(const struct pt *pt, uint64_t start, uint64_t end, struct pt_counts *counts)
{
	struct joiner joiner;
	struct item item;

	*counts = (struct pt_counts){0};
	joiner_begin(&joiner, pt, start, end);
	if (!joiner.scan.corrupt)
		counts->tables[pt->geo.levels] = 1;
	while (scan_next(&joiner.scan, &item)) {
		if (pt_is_shared(item.entry, item.level))
			counts->shared++;
		if (item.leaf) {
			struct pt_run run;

			leaf_run(&joiner, &item, &run);
			counts->leaves[item.level - 1]++;
			counts->pages += run.len / PAGE_SIZE;
			if (run.rights & PT_USER)
				counts->user_pages += run.len / PAGE_SIZE;
		} else if (!item.reserved && !item.outside && !item.shared) {
			counts->tables[item.level - 1]++;
		}
	}
	return scan_status(&joiner.scan);
}

/* ---- Audit -------------------------------------------------------------------------------- */

static bool frame_outside(const struct item *item, const struct pt_ram *ram)
{
	uint64_t size = item->leaf ? pt_span(item->level) : PAGE_SIZE;
	uint64_t frame = item->entry & PTE_FRAME & ~(size - 1);

	for (unsigned i = 0; i < 2 && !item->outside; i++) {
		if (frame >= ram->part[i].start && frame < ram->part[i].end &&
		    size <= ram->part[i].end - frame)
			return false;
	}
	return true;
}

static uint32_t broken_rules(const struct pt *pt, const struct item *item, const struct pt_ram *ram)
{
	uint32_t rights, broken = 0;

	if (item->reserved)
		return PT_RULE_RESERVED;
	if (frame_outside(item, ram))
		broken |= PT_RULE_OUTSIDE;
	if (!item->leaf)
		return broken;
	rights = item_rights(pt, item);
	if ((rights & PT_WRITE) && (rights & PT_EXEC))
		broken |= PT_RULE_WX;
	if (rights & PT_USER) {
		if (item->va >> 63)
			broken |= PT_RULE_USER_KERNEL;
		if (rights & PT_GLOBAL)
			broken |= PT_RULE_GLOBAL_USER;
	}
	return broken;
}

uint32_t pt_audit(const struct pt *pt, struct pt_ram ram,
                  bool (*each)(void *ctx, const struct pt_finding *finding), void *ctx)
{
	struct scan scan;
	struct item item;
	uint32_t all = 0;

	scan_begin(&scan, pt, 0, UINT64_MAX);
	if (scan.corrupt)
		all |= PT_RULE_OUTSIDE;
	while (scan_next(&scan, &item)) {
		uint32_t broken = broken_rules(pt, &item, &ram);

		all |= broken;
		for (uint32_t rule = 1; each && rule <= broken; rule <<= 1) {
			struct pt_finding finding = {
			    .rule = (enum pt_rule)rule,
			    .va = item.va,
			    .entry = item.entry,
			    .level = (uint8_t)item.level,
			};

			if ((broken & rule) && !each(ctx, &finding))
				each = NULL;
		}
	}
	return all;
}
