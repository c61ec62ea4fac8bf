#include "tests/unit/tree.h"

#include <stdio.h>
#include <string.h>

struct pt_geometry geometry(unsigned levels)
{
	return (struct pt_geometry){
	    .levels = (uint8_t)levels,
	    .maxphyaddr = 46,
	    .nx = true,
	    .gib_pages = true,
	    .pcid = true,
	};
}

void fixture_init(struct fixture *fix, unsigned levels, unsigned frames)
{
	arena_init(&fix->arena, frames);
	want(pt_init(&fix->pt, geometry(levels), arena_memory(&fix->arena)), PT_OK);
}

void fixture_done(struct fixture *fix)
{
	tree_sane(&fix->pt);
	pt_destroy(&fix->pt);
	arena_done(&fix->arena);
}

struct compare {
	const struct pt_run *wanted;
	unsigned nth;
};

static void run_text(char *buf, size_t size, const struct pt_run *run)
{
	if (run->len) {
		char rights[8];

		snprintf(buf, size, "0x%lx -> 0x%lx len 0x%lx %s (0x%x)%s %lu/%lu/%lu", run->va,
		         run->pa, run->len, pt_rights_text(rights, run->rights), run->rights,
		         run->shared ? " shared" : "", run->leaves[0], run->leaves[1],
		         run->leaves[2]);
	} else {
		snprintf(buf, size, "the end");
	}
}

static void compare_run(struct compare *compare, const struct pt_run *got)
{
	const struct pt_run *wanted = compare->wanted;
	bool any = !wanted->leaves[0] && !wanted->leaves[1] && !wanted->leaves[2];
	char got_text[128], wanted_text[128];

	run_text(got_text, sizeof(got_text), got);
	run_text(wanted_text, sizeof(wanted_text), wanted);
	check_that(
	    got->len == wanted->len &&
	        (!got->len || (got->va == wanted->va && got->pa == wanted->pa &&
	                       got->rights == wanted->rights && got->shared == wanted->shared &&
	                       (any || !memcmp(got->leaves, wanted->leaves, sizeof(got->leaves))))),
	    "run %u\n   got %s\nwanted %s", compare->nth, got_text, wanted_text);
	compare->nth++;
	if (wanted->len)
		compare->wanted++;
}

static bool compare_each(void *ctx, const struct pt_run *run)
{
	compare_run(ctx, run);
	return true;
}

void tree_part_is(const struct pt *pt, uint64_t start, uint64_t end, const struct pt_run *wanted)
{
	struct compare compare = {wanted, 0};

	want(pt_each(pt, start, end, compare_each, &compare), PT_OK);
	compare_run(&compare, &(struct pt_run){0});
}

void tree_is(const struct pt *pt, const struct pt_run *wanted)
{
	tree_part_is(pt, 0, UINT64_MAX, wanted);
}

/* Written without the help of shared/pt_entry.h: the software bits are part of what is tested.
 */
#define SANE_FRAME  UINT64_C(0x000ffffffffff000)
#define SANE_SHARED (UINT64_C(1) << 9)
#define SANE_KEEP   (UINT64_C(1) << 10)

static unsigned sane_table(const struct pt *pt, uint64_t frame, unsigned level, unsigned *used)
{
	const uint64_t *table = pt->mem.at(pt->mem.ctx, frame);
	unsigned tables = 1;

	check_that(table, "level-%u table at 0x%lx is not in use", level, frame);
	*used = 0;
	for (unsigned i = 0; i < 512; i++) {
		uint64_t entry = table[i];
		unsigned below, count = entry >> 52 & 0x3ff;

		*used += entry & 1;
		if (!(entry & 1) || level == 1 || (entry & (0x80 | SANE_SHARED)))
			continue;
		tables += sane_table(pt, entry & SANE_FRAME, level - 1, &below);
		check_that(count == below + 1, "level-%u entry %u (0x%lx): count %u, wanted %u + 1",
		           level, i, entry, count, below);
		check_that(below || (entry & SANE_KEEP),
		           "level-%u entry %u (0x%lx) points to an empty table", level, i, entry);
	}
	return tables;
}

unsigned tree_sane(const struct pt *pt)
{
	unsigned used;

	return sane_table(pt, pt->root, pt->geo.levels, &used);
}

uint64_t *tree_slot(const struct pt *pt, uint64_t va, unsigned level)
{
	uint64_t frame = pt->root;

	for (unsigned at = pt->geo.levels;; at--) {
		uint64_t *table = pt->mem.at(pt->mem.ctx, frame & SANE_FRAME);
		uint64_t *slot;

		check_that(table, "no level-%u table for 0x%lx", at, va);
		slot = table + (va >> (3 + 9 * at) & 511);
		if (at == level)
			return slot;
		frame = *slot;
	}
}

static void change_is(const struct pt_change *got, const struct pt_change *wanted)
{
	check_that(got->va == wanted->va && got->level == wanted->level &&
	               got->flush == wanted->flush && got->flush_global == wanted->flush_global &&
	               got->widened == wanted->widened && got->flush_start == wanted->flush_start &&
	               got->flush_end == wanted->flush_end &&
	               got->flush_pages == wanted->flush_pages,
	           "   got va 0x%lx level %u flush %d global %d widened %d 0x%lx-0x%lx pages %lu\n"
	           "wanted va 0x%lx level %u flush %d global %d widened %d 0x%lx-0x%lx pages %lu",
	           got->va, got->level, got->flush, got->flush_global, got->widened,
	           got->flush_start, got->flush_end, got->flush_pages, wanted->va, wanted->level,
	           wanted->flush, wanted->flush_global, wanted->widened, wanted->flush_start,
	           wanted->flush_end, wanted->flush_pages);
}

void no_flush(const struct pt_change *change)
{
	change_is(change, &(struct pt_change){0});
}

void flush_is(const struct pt_change *change, uint64_t start, uint64_t end, uint64_t pages,
              bool global, bool widened)
{
	change_is(change, &(struct pt_change){
	                      .flush = true,
	                      .flush_global = global,
	                      .widened = widened,
	                      .flush_start = start,
	                      .flush_end = end,
	                      .flush_pages = pages,
	                  });
}

void fail_is(const struct pt_change *change, uint64_t va, unsigned level)
{
	change_is(change, &(struct pt_change){.va = va, .level = (uint8_t)level});
}
