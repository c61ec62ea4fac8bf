/*
 * What every change to a tree is made of: all or nothing.  Every call works in three steps: check
 * all of the range and count the tables it will need; take them, and give all back if one is
 * missing; carry out, which cannot fail any more.  Until the third step no entry of the tree has
 * changed.
 */
#ifndef SHARED_PT_WORK_H
#define SHARED_PT_WORK_H

#include "shared/pt.h"
#include "shared/pt_entry.h"

/* The way from the root to one entry. */
struct pt_path {
	uint64_t va;
	uint64_t *slot[PT_TOP_LEVEL + 1]; /* [level]: the entry that va selects, from `level` up */
	uint64_t grants;                  /* of all entries above */
	unsigned level;                   /* where it ended; 0: no path yet */
};

/* A change under way: first everything is checked and counted, then all tables are taken, then it
 * is carried out, which cannot fail. */
struct pt_work {
	struct pt *pt;
	struct pt_path path;
	struct pt_change change;
	uint64_t need; /* tables that carrying out will take */
	uint64_t pool; /* tables taken: a list through their first entries, ended by POOL_END */
};
#define PT_POOL_END UINT64_MAX

/* Checks the arguments that every change has; *last becomes the last byte of the range. */
enum pt_status pt_work_begin(struct pt_work *work, struct pt *pt, uint64_t va, uint64_t len,
                             uint64_t *last);
/* Hands out the details and gives back what was taken and not used. */
enum pt_status pt_work_end(struct pt_work *work, enum pt_status status, struct pt_change *change);
/* Names the entry that is to blame. */
enum pt_status pt_work_fail(struct pt_work *work, enum pt_status status, uint64_t va,
                            unsigned level);
/* Leads the path to va, down to level `floor` or to where the tree's own tables end. */
enum pt_status pt_work_seek(struct pt_work *work, uint64_t va, unsigned floor);
/* Adds to `need` the tables for cutting or filling [va, last] under one entry of this level, whole
 * blocks up to `leaf_limit` being leaves. */
void pt_work_need(struct pt_work *work, uint64_t va, uint64_t last, unsigned level,
                  unsigned leaf_limit);
/* Takes the tables needed. */
enum pt_status pt_work_take(struct pt_work *work);
/* Lengthens the path to level `floor` with tables from the pool; a leaf in the way is split. */
void pt_work_grow(struct pt_work *work, unsigned floor);
/* The table that holds the path's entry has gained (lost) entries; an empty one is freed. */
void pt_work_gained(struct pt_work *work, uint64_t entries);
void pt_work_lost(struct pt_work *work, uint64_t entries);
/* Entries that were present have changed. */
struct pt_noted {
	uint64_t start, end; /* addresses */
	uint64_t pages;      /* as in struct pt_change */
	bool global, widened;
};
void pt_work_note_all(struct pt_work *work, const struct pt_noted *noted);
/* One has. */
void pt_work_note(struct pt_work *work, uint64_t va, unsigned level, uint64_t old, uint64_t new);
/* Frees a table that nothing points to any more, with all below it.  Leaves are noted if `work` is
 * not NULL. */
void pt_discard(const struct pt *pt, struct pt_work *work, uint64_t entry, unsigned level,
                uint64_t va);

/* Entries of this level, from va's on, that lie in the same table and wholly inside the range.
 * va is a multiple of their span. */
static inline unsigned pt_batch(uint64_t va, uint64_t last, unsigned level)
{
	uint64_t whole = (last - va + 1) >> pt_shift(level);
	unsigned room = PT_ENTRIES - pt_index(va, level);

	return whole < room ? (unsigned)whole : room;
}

/* The highest level, up to `limit`, of which an entry at va lies wholly inside the range. */
static inline unsigned pt_fit(uint64_t va, uint64_t last, unsigned limit)
{
	unsigned level = 1;

	while (level < limit && !(va & (pt_span(level + 1) - 1)) &&
	       last - va >= pt_span(level + 1) - 1)
		level++;
	return level;
}

#endif
