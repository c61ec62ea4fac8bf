/*
 * Random sequences of map, unmap, protect, reserve and share against a model that knows no tables:
 * a sorted list of intervals, each with its physical address and rights.  After each operation the
 * tree, a mirror of it, and what was said to need a flush must agree with the list.
 *
 * RS_SEED=<number> repeats a run.
 */
#include "tests/unit/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OPERATIONS 30000 /* in each of the sequences */
#define SEQUENCES  4
#define FRAMES     1024
#define MOST       4096 /* intervals */

static uint64_t first_seed;

/* ---- Random numbers (SplitMix64) ------------------------------------------------------------ */

static uint64_t state;

static uint64_t any(void)
{
	uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
	return any() % n;
}

/* ---- The model ---------------------------------------------------------------------------- */

struct interval {
	uint64_t va, last, pa;
	uint32_t rights;
};

struct model {
	struct interval interval[MOST];
	unsigned count;
};

static void model_add(struct model *model, struct interval new)
{
	struct interval *before = model->count ? &model->interval[model->count - 1] : NULL;

	/* Neighbours that continue each other are one. */
	if (before && before->last + 1 == new.va && before->rights == new.rights &&
	    before->pa + (new.va - before->va) == new.pa) {
		before->last = new.last;
		return;
	}
	check_that(model->count < MOST, "more than %u intervals", MOST);
	model->interval[model->count++] = new;
}

/* The part of an interval between start and end; false when there is none. */
static bool cut(const struct interval *from, uint64_t start, uint64_t end, struct interval *part)
{
	if (from->last < start || from->va > end)
		return false;
	*part = *from;
	if (part->va < start) {
		part->pa += start - part->va;
		part->va = start;
	}
	if (part->last > end)
		part->last = end;
	return true;
}

/* Puts something else, or nothing, in place of a range. */
static void model_set(struct model *model, uint64_t start, uint64_t end, const struct interval *new)
{
	static struct model next;

	next.count = 0;
	for (unsigned i = 0; i <= model->count; i++) {
		const struct interval *old = &model->interval[i];
		struct interval part;

		if (new && (i == model->count || old->last >= start)) {
			if (i < model->count && start && cut(old, 0, start - 1, &part))
				model_add(&next, part);
			model_add(&next, *new);
			new = NULL;
			if (i < model->count && end < UINT64_MAX &&
			    cut(old, end + 1, UINT64_MAX, &part))
				model_add(&next, part);
			continue;
		}
		if (i == model->count)
			break;
		if (start && cut(old, 0, start - 1, &part))
			model_add(&next, part);
		if (end < UINT64_MAX && cut(old, end + 1, UINT64_MAX, &part))
			model_add(&next, part);
	}
	*model = next;
}

static void model_protect(struct model *model, uint64_t start, uint64_t end, uint32_t rights)
{
	static struct model next;

	next.count = 0;
	for (unsigned i = 0; i < model->count; i++) {
		struct interval part;

		if (start && cut(&model->interval[i], 0, start - 1, &part))
			model_add(&next, part);
		if (cut(&model->interval[i], start, end, &part)) {
			part.rights = rights;
			model_add(&next, part);
		}
		if (end < UINT64_MAX && cut(&model->interval[i], end + 1, UINT64_MAX, &part))
			model_add(&next, part);
	}
	*model = next;
}

/* Bytes of the range that are mapped. */
static uint64_t model_mapped(const struct model *model, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;
	struct interval part;

	for (unsigned i = 0; i < model->count; i++)
		if (cut(&model->interval[i], start, end, &part))
			bytes += part.last - part.va + 1;
	return bytes;
}

/* What of the range changes its translation when it becomes `new` (rights UINT32_MAX: goes away).
 */
struct affected {
	bool any, global, widened;
	uint64_t first, last;
};

static struct affected model_affected(const struct model *model, uint64_t start, uint64_t end,
                                      bool same_pa, uint64_t pa, uint32_t rights)
{
	struct affected affected = {.widened = true};
	struct interval part;

	for (unsigned i = 0; i < model->count; i++) {
		uint32_t old;

		if (!cut(&model->interval[i], start, end, &part))
			continue;
		old = part.rights;
		if (old == rights && (same_pa || part.pa == pa + (part.va - start)))
			continue;
		if (!affected.any)
			affected.first = part.va;
		affected.any = true;
		affected.last = part.last;
		affected.global |= old & PT_GLOBAL;
		if ((old ^ rights) & ~(uint32_t)(PT_WRITE | PT_EXEC) || old & ~rights)
			affected.widened = false;
	}
	return affected;
}

/* ---- Comparing ---------------------------------------------------------------------------- */

struct world {
	struct fixture fix;
	struct pt mirror; /* sees the user half without execution, and the top of the kernel half */
	struct model model;
	uint64_t half; /* bytes in each half of the address space */
	uint64_t seed;
	unsigned nth;
	const char *doing;
	uint64_t va, len;
};

#define MIRROR_TOP (0 - 8 * GIB)

struct matching {
	const struct world *world;
	uint64_t start, end;
	unsigned next;
	bool mirror;
};

/* The next interval that the range and the mirror show; false at the end. */
static bool matching_next(struct matching *m, struct interval *wanted)
{
	while (m->next < m->world->model.count) {
		const struct interval *interval = &m->world->model.interval[m->next++];

		uint64_t start = m->start;

		if (m->mirror && interval->va >> 63 && start < MIRROR_TOP)
			start = MIRROR_TOP;
		if (!cut(interval, start, m->end, wanted))
			continue;
		if (m->mirror && !(wanted->va >> 63)) {
			wanted->rights &= ~(uint32_t)PT_EXEC;
			/* What differed in execution alone is one run here. */
			while (m->next < m->world->model.count) {
				struct interval more = m->world->model.interval[m->next];

				if (more.va != wanted->last + 1 ||
				    more.pa != wanted->pa + (more.va - wanted->va) ||
				    (more.rights & ~(uint32_t)PT_EXEC) != wanted->rights ||
				    !cut(&more, m->start, m->end, &more))
					break;
				wanted->last = more.last;
				m->next++;
			}
		}
		return true;
	}
	return false;
}

static bool match_run(void *ctx, const struct pt_run *got)
{
	struct matching *m = ctx;
	const struct world *w = m->world;
	struct interval wanted = {0};
	bool more = matching_next(m, &wanted);

	check_that(more && got->va == wanted.va && got->len == wanted.last - wanted.va + 1 &&
	               got->pa == wanted.pa && got->rights == wanted.rights &&
	               got->shared == m->mirror,
	           "RS_SEED=%lu operation %u, %s 0x%lx len 0x%lx, %s\n"
	           "   got 0x%lx -> 0x%lx len 0x%lx rights 0x%x shared %d\n"
	           "wanted 0x%lx -> 0x%lx len 0x%lx rights 0x%x%s",
	           w->seed, w->nth, w->doing, w->va, w->len, m->mirror ? "mirror" : "tree", got->va,
	           got->pa, got->len, got->rights, got->shared, wanted.va, wanted.pa,
	           wanted.last - wanted.va + 1, wanted.rights, more ? "" : " (the end)");
	return true;
}

static void match(const struct world *w, const struct pt *pt, uint64_t start, uint64_t end)
{
	struct matching m = {.world = w, .start = start, .end = end, .mirror = pt == &w->mirror};
	struct interval wanted;

	want(pt_each(pt, start, end, match_run, &m), PT_OK);
	check_that(!matching_next(&m, &wanted),
	           "RS_SEED=%lu operation %u, %s 0x%lx len 0x%lx, %s: 0x%lx is missing", w->seed,
	           w->nth, w->doing, w->va, w->len, m.mirror ? "mirror" : "tree", wanted.va);
}

static void match_flush(const struct world *w, const struct pt_change *got,
                        const struct affected *wanted, bool exact)
{
	uint64_t got_last = got->flush_end - 1;
	bool good;

	if (!wanted->any)
		good = !exact || !got->flush;
	else if (exact)
		good = got->flush && got->flush_start == wanted->first &&
		       got_last == wanted->last && got->flush_global == wanted->global &&
		       got->widened == wanted->widened;
	else
		good = got->flush && got->flush_start <= wanted->first &&
		       got_last >= wanted->last && (got->flush_global || !wanted->global);
	if (got->flush)
		good = good && got->flush_pages && got->flush_start >= w->va &&
		       got_last <= w->va + (w->len - 1) && got->flush_pages <= w->len / 4096;
	check_that(good,
	           "RS_SEED=%lu operation %u, %s 0x%lx len 0x%lx\n"
	           "   got flush %d 0x%lx-0x%lx global %d widened %d pages %lu\n"
	           "wanted flush %d 0x%lx-0x%lx global %d widened %d",
	           w->seed, w->nth, w->doing, w->va, w->len, got->flush, got->flush_start, got_last,
	           got->flush_global, got->widened, got->flush_pages, wanted->any, wanted->first,
	           wanted->last, wanted->global, wanted->widened);
}

/* ---- Operations --------------------------------------------------------------------------- */

/* Where things are mapped: near edges of every kind. */
static uint64_t any_window(const struct world *w)
{
	switch (below(6)) {
	case 0:
		return 0;
	case 1:
		return 512 * GIB - 4 * GIB;
	case 2:
		return w->half - 8 * GIB;
	case 3:
		return 0 - w->half;
	case 4:
		return 0 - 512 * GIB - 4 * GIB;
	default:
		return 0 - 8 * GIB;
	}
}

/* A range of 4 KiB, 2 MiB or 1 GiB units, inside an 8 GiB window. */
static void any_range(struct world *w)
{
	static const uint64_t units[] = {4096, 4096, 2 * MIB, 2 * MIB, GIB};
	uint64_t unit = units[below(5)];
	uint64_t reach = unit == GIB ? 8 : below(4) ? 8 : 1024;
	uint64_t start = below(reach), len = 1 + below(below(4) ? 3 : reach);
	uint64_t edge = below(3) ? 0 : below(4) * GIB;

	w->va = edge + start * unit;
	w->len = len * unit;
	if (!below(4)) /* ragged ends */
		w->len += below(600) * 4096;
	if (!below(8) && w->va >= 4096)
		w->va -= 4096;
	if (w->va > 8 * GIB - 4096)
		w->va = 8 * GIB - 4096;
	if (w->len > 8 * GIB - w->va)
		w->len = 8 * GIB - w->va;
	w->va += any_window(w);
}

static uint32_t any_rights(void)
{
	/* Few, so that neighbours are often alike. */
	static const uint32_t rights[] = {0,
	                                  PT_WRITE,
	                                  PT_EXEC,
	                                  PT_USER,
	                                  PT_WRITE | PT_USER,
	                                  PT_EXEC | PT_USER,
	                                  PT_WRITE,
	                                  PT_GLOBAL,
	                                  PT_WRITE | PT_EXEC,
	                                  PT_PAT(5),
	                                  PT_PAT(2) | PT_WRITE,
	                                  PT_PKEY(3) | PT_USER};

	return rights[below(sizeof(rights) / sizeof(rights[0]))];
}

static enum pt_status do_map(struct world *w, bool replace)
{
	uint32_t rights = any_rights(), flags = rights;
	uint64_t end = w->va + (w->len - 1);
	uint64_t pa = (w->va & (8 * GIB - 1)) + below(4) * 2 * MIB;
	struct pt_change change;
	struct affected affected;
	enum pt_status status;

	w->doing = replace ? "map over" : "map";
	if (below(2))
		pa &= ~(GIB - 1), pa |= w->va & (GIB - 1);
	if (!below(4))
		pa += 4096;
	if (!below(4))
		flags |= below(2) ? PT_SMALL : PT_MAX_2M;
	/* Not more pages than a sequence has time for. */
	if (((pa ^ w->va) & (2 * MIB - 1) || flags & PT_SMALL) && w->len > 64 * MIB)
		return PT_OK;
	if (replace)
		flags |= PT_REPLACE;
	affected = model_affected(&w->model, w->va, end, false, pa, rights);
	status = pt_map(&w->fix.pt, w->va, pa, w->len, flags, &change);
	if (status == PT_ENOMEM)
		return status;
	if (!replace && model_mapped(&w->model, w->va, end)) {
		want(status, PT_EEXIST);
		return PT_OK;
	}
	want(status, PT_OK);
	match_flush(w, &change, &affected, !replace);
	model_set(&w->model, w->va, end, &(struct interval){w->va, end, pa, rights});
	return status;
}

static enum pt_status do_unmap(struct world *w)
{
	uint64_t end = w->va + (w->len - 1);
	struct affected affected =
	    model_affected(&w->model, w->va, end, true, 0, UINT32_MAX & ~(uint32_t)PT_RIGHTS);
	struct pt_change change;
	enum pt_status status;

	w->doing = "unmap";
	affected.widened = false;
	status = pt_unmap(&w->fix.pt, w->va, w->len, &change);
	if (status == PT_ENOMEM)
		return status;
	want(status, PT_OK);
	match_flush(w, &change, &affected, true);
	model_set(&w->model, w->va, end, NULL);
	return status;
}

static enum pt_status do_protect(struct world *w)
{
	uint64_t end = w->va + (w->len - 1);
	uint32_t rights = any_rights();
	struct affected affected = model_affected(&w->model, w->va, end, true, 0, rights);
	struct pt_change change;
	enum pt_status status;

	w->doing = "protect";
	status = pt_protect(&w->fix.pt, w->va, w->len, rights, &change);
	if (status == PT_ENOMEM)
		return status;
	if (model_mapped(&w->model, w->va, end) != w->len) {
		want(status, PT_ENOENT);
		return PT_OK;
	}
	want(status, PT_OK);
	match_flush(w, &change, &affected, true);
	model_protect(&w->model, w->va, end, rights);
	return status;
}

static enum pt_status do_any(struct world *w)
{
	uint64_t dice = below(16);

	if (dice < 5)
		return do_map(w, false);
	if (dice < 8)
		return do_map(w, true);
	if (dice < 13) {
		/* Mostly where something is. */
		if (w->model.count && below(4)) {
			struct interval *at = &w->model.interval[below(w->model.count)];
			uint64_t pages = (at->last - at->va + 1) / 4096, skip = below(pages);

			w->va = at->va + skip * 4096;
			w->len = (1 + below(pages - skip)) * 4096;
		}
		return do_protect(w);
	}
	if (dice == 15) {
		w->va = any_window(w);
		w->len = 8 * GIB;
	}
	return do_unmap(w);
}

static void share_all(struct world *w, bool anew)
{
	if (anew) {
		want(pt_unmap(&w->mirror, 0, w->half, NULL), PT_OK);
		want(pt_share(&w->mirror, &w->fix.pt, 0, w->half, PT_SHARE_NX, NULL), PT_OK);
	}
	want(pt_share(&w->mirror, &w->fix.pt, MIRROR_TOP, 8 * GIB, 0, NULL), PT_OK);
}

static void step(struct world *w)
{
	uint64_t start, end;
	bool failing = !below(6), copying = failing && !below(20);
	struct arena_copy copy;
	enum pt_status status;
	unsigned live = w->fix.arena.live;

	any_range(w);
	if (copying)
		copy = arena_copy(&w->fix.arena);
	arena_fail_at(&w->fix.arena, failing ? 1 + (unsigned)below(5) : 0);
	status = do_any(w);
	arena_fail_at(&w->fix.arena, 0);
	if (status == PT_ENOMEM && copying) {
		arena_same(&w->fix.arena, &copy);
	} else if (copying) {
		free(copy.frame);
		free(copy.out);
	}
	check_that(status == PT_OK || live == w->fix.arena.live,
	           "RS_SEED=%lu operation %u, %s 0x%lx len 0x%lx: frames out %u, wanted %u",
	           w->seed, w->nth, w->doing, w->va, w->len, w->fix.arena.live, live);
	start = w->va & ~(4 * MIB - 1);
	end = (w->va + (w->len - 1)) | (4 * MIB - 1);
	match(w, &w->fix.pt, start, end);
	/* The user half needs no sharing again: its slots are reserved. */
	if (w->va >> 63)
		share_all(w, false);
	match(w, &w->mirror, start, end);
}

static void check_all(struct world *w)
{
	struct pt_counts counts;

	w->doing = "full check after";
	match(w, &w->fix.pt, 0, UINT64_MAX);
	share_all(w, !below(4));
	match(w, &w->mirror, 0, UINT64_MAX);
	check_that(tree_sane(&w->fix.pt) + tree_sane(&w->mirror) == w->fix.arena.live,
	           "RS_SEED=%lu operation %u: %u frames out", w->seed, w->nth, w->fix.arena.live);
	want(pt_count(&w->fix.pt, 0, UINT64_MAX, &counts), PT_OK);
	check_that(counts.pages == model_mapped(&w->model, 0, UINT64_MAX) / 4096,
	           "RS_SEED=%lu operation %u: %lu pages", w->seed, w->nth, counts.pages);
}

START_TEST(random_sequences)
{
	static struct world w;
	struct pt_geometry geo = geometry(4 + (unsigned)_i % 2);

	geo.pku = true;
	geo.gib_pages = _i < 2;
	w.seed = first_seed;
	state = first_seed + (uint64_t)_i;
	w.half = UINT64_C(1) << (geo.levels == 5 ? 56 : 47);
	arena_init(&w.fix.arena, FRAMES);
	want(pt_init(&w.fix.pt, geo, arena_memory(&w.fix.arena)), PT_OK);
	want(pt_init(&w.mirror, geo, arena_memory(&w.fix.arena)), PT_OK);
	want(pt_reserve(&w.fix.pt, 0, 1 * TIB, NULL), PT_OK);
	want(pt_reserve(&w.fix.pt, w.half - 8 * GIB, 8 * GIB, NULL), PT_OK);
	share_all(&w, true);
	for (w.nth = 0; w.nth < OPERATIONS; w.nth++) {
		step(&w);
		if (w.nth % 128 == 0)
			check_all(&w);
	}
	check_all(&w);
	pt_destroy(&w.mirror);
	fixture_done(&w.fix);
}
END_TEST

Suite *suite_pt_model(void)
{
	Suite *suite = suite_create("pt_model");
	TCase *tc = tcase_create("model");
	const char *seed = getenv("RS_SEED");

	first_seed = seed ? strtoull(seed, NULL, 0)
	                  : ((uint64_t)time(NULL) << 20 ^ (uint64_t)getpid()) & 0xffffffff;
	printf("random sequences: RS_SEED=%lu, %d operations\n", first_seed,
	       SEQUENCES * OPERATIONS);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, random_sequences, 0, SEQUENCES);
	suite_add_tcase(suite, tc);
	return suite;
}
