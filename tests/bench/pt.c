/*
 * What the page-table code costs on the host: mapping, walking and unmapping dense ranges of each
 * leaf size, and pages scattered at random.  Nanoseconds a leaf and a 4 KiB page, the best of some
 * rounds.  Held against targets: how many times longer mapping the dense gibibyte takes than memset
 * takes for the same frames of page tables, both from a cold cache; and whether a leaf costs the
 * same in a larger range.
 *
 *     bench_pt [--json]
 *
 * Exit status: 0 all targets met, 1 one missed, 2 wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "shared/pt.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define ROUNDS       12
#define FRAMES       (192 * MIB / 4096)
#define SPARSE_PAGES 100000
#define SPARSE_SPACE (64 * GIB)

/* ---- Memory: a stack of free frames, all of them touched and zero ---------------------------- */

static uint8_t *memory;
static uint64_t free_frames[FRAMES];
static unsigned free_count;

static bool frame_alloc(void *ctx, uint64_t *frame)
{
	(void)ctx;
	if (!free_count)
		return false;
	*frame = free_frames[--free_count];
	return true;
}

static void frame_free(void *ctx, uint64_t frame)
{
	(void)ctx;
	free_frames[free_count++] = frame;
}

static uint64_t *frame_at(void *ctx, uint64_t frame)
{
	(void)ctx;
	return frame < FRAMES * 4096 ? (uint64_t *)(memory + frame) : NULL;
}

static void memory_init(void)
{
	memory =
	    mmap(NULL, FRAMES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("bench_pt: 192 MiB for tables");
		exit(EXIT_FAILURE);
	}
	memset(memory, 0, FRAMES * 4096);
	for (uint64_t i = FRAMES; i > 0; i--)
		free_frames[free_count++] = (i - 1) * 4096;
}

/* ---- Measuring ---------------------------------------------------------------------------- */

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

struct timing {
	double map, walk, unmap; /* ns for all of it */
};

static void keep_best(struct timing *best, const struct timing *timing, bool first)
{
	if (first || timing->map < best->map)
		best->map = timing->map;
	if (first || timing->walk < best->walk)
		best->walk = timing->walk;
	if (first || timing->unmap < best->unmap)
		best->unmap = timing->unmap;
}

static void check(enum pt_status status, const char *what)
{
	if (status == PT_OK)
		return;
	fprintf(stderr, "bench_pt: %s: %s\n", what, pt_status_text(status));
	exit(EXIT_FAILURE);
}

static struct pt new_tree(void)
{
	const struct pt_geometry geo = {
	    .levels = 4, .maxphyaddr = 46, .nx = true, .gib_pages = true};
	struct pt pt;

	check(pt_init(&pt, geo, (struct pt_memory){NULL, frame_alloc, frame_free, frame_at}),
	      "pt_init");
	return pt;
}

/* Leaves nothing of the tables' memory in a cache. */
static void evict(void)
{
	static uint8_t other[48 * MIB];
	static uint8_t value;

	memset(other, ++value, sizeof(other));
}

static void walk_one(const struct pt *pt, uint64_t va, uint64_t pa)
{
	struct pt_walk walk;

	pt_walk(pt, va, &walk);
	if (!walk.mapped || walk.pa != pa) {
		fprintf(stderr, "bench_pt: 0x%lx leads to 0x%lx\n", va, walk.pa);
		exit(EXIT_FAILURE);
	}
}

/* One call to map it all, a walk to each leaf, one call to unmap. */
static struct timing run_dense(uint64_t len, uint64_t leaf, uint32_t flags)
{
	struct pt pt = new_tree();
	struct timing timing;
	double start, mapped, walked;

	evict();
	start = now_ns();
	check(pt_map(&pt, 0, 0, len, flags, NULL), "pt_map");
	mapped = now_ns();
	for (uint64_t va = 0; va < len; va += leaf)
		walk_one(&pt, va, va);
	walked = now_ns();
	check(pt_unmap(&pt, 0, len, NULL), "pt_unmap");
	timing = (struct timing){mapped - start, walked - mapped, now_ns() - walked};
	pt_destroy(&pt);
	return timing;
}

static uint64_t sparse_va[SPARSE_PAGES];

/* Distinct pages in random order: a full-period linear congruence modulo a power of two. */
static void sparse_init(void)
{
	const uint64_t pages = SPARSE_SPACE / 4096;
	uint64_t page = 12345;

	for (unsigned i = 0; i < SPARSE_PAGES; i++) {
		page =
		    (page * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407)) % pages;
		sparse_va[i] = page * 4096;
	}
}

/* A call for each page. */
static struct timing run_sparse(void)
{
	struct pt pt = new_tree();
	struct timing timing;
	double start = now_ns(), mapped, walked;

	for (unsigned i = 0; i < SPARSE_PAGES; i++)
		check(pt_map(&pt, sparse_va[i], sparse_va[i], 4096, PT_WRITE, NULL), "pt_map");
	mapped = now_ns();
	for (unsigned i = 0; i < SPARSE_PAGES; i++)
		walk_one(&pt, sparse_va[i], sparse_va[i]);
	walked = now_ns();
	for (unsigned i = 0; i < SPARSE_PAGES; i++)
		check(pt_unmap(&pt, sparse_va[i], 4096, NULL), "pt_unmap");
	timing = (struct timing){mapped - start, walked - mapped, now_ns() - walked};
	pt_destroy(&pt);
	return timing;
}

/* The frames that the page tables of the dense gibibyte take, written as fast as the C library
 * can: what no builder can beat. */
static double run_memset(void)
{
	enum { TABLES = GIB / (2 * MIB) };
	uint64_t frames[TABLES];
	double start, ns;

	for (unsigned i = 0; i < TABLES; i++)
		check(frame_alloc(NULL, &frames[i]) ? PT_OK : PT_ENOMEM, "a frame for memset");
	evict();
	start = now_ns();
	for (unsigned i = 0; i < TABLES; i++) {
		memset(frame_at(NULL, frames[i]), 0, 4096);
		__asm__ volatile("" : : : "memory");
	}
	ns = now_ns() - start;
	for (unsigned i = TABLES; i-- > 0;)
		frame_free(NULL, frames[i]);
	return ns;
}

/* ---- Report ------------------------------------------------------------------------------- */

struct row {
	const char *name;
	uint64_t leaves, pages;
	struct timing best;
};

enum { ROW_4K, ROW_4K_MORE, ROW_2M, ROW_1G, ROW_SPARSE, ROWS };

static double map_ns_a_leaf(const struct row *row)
{
	return row->best.map / (double)row->leaves;
}

static void print_table(const struct row rows[ROWS])
{
	printf("%-30s %9s | %27s | %27s\n", "", "", "ns a leaf", "ns a 4 KiB page");
	printf("%-30s %9s | %8s %8s %9s | %8s %8s %9s\n", "", "leaves", "map", "walk", "unmap",
	       "map", "walk", "unmap");
	for (unsigned i = 0; i < ROWS; i++) {
		const struct timing *t = &rows[i].best;
		double leaves = (double)rows[i].leaves, pages = (double)rows[i].pages;

		printf("%-30s %9lu | %8.2f %8.2f %9.2f | %8.3g %8.3g %9.3g\n", rows[i].name,
		       rows[i].leaves, t->map / leaves, t->walk / leaves, t->unmap / leaves,
		       t->map / pages, t->walk / pages, t->unmap / pages);
	}
}

struct target {
	const char *what;
	double value, limit;
};

static bool met(const struct target *t)
{
	return t->value <= t->limit;
}

static void print_targets(const struct target *targets, unsigned count)
{
	printf("\nTargets\n  %-58s %8s %8s\n", "", "measured", "at most");
	for (unsigned i = 0; i < count; i++)
		printf("  %-58s %8.2f %8.2f  %s\n", targets[i].what, targets[i].value,
		       targets[i].limit, met(&targets[i]) ? "met" : "MISSED");
}

static void print_json(const struct row rows[ROWS], const struct target *targets, unsigned count)
{
	printf("{\n  \"rounds\": %d,\n  \"cases\": [\n", ROUNDS);
	for (unsigned i = 0; i < ROWS; i++) {
		const struct timing *t = &rows[i].best;

		printf("    {\"name\": \"%s\", \"leaves\": %lu, \"pages\": %lu, \"map_ns\": %.0f, "
		       "\"walk_ns\": %.0f, \"unmap_ns\": %.0f}%s\n",
		       rows[i].name, rows[i].leaves, rows[i].pages, t->map, t->walk, t->unmap,
		       i + 1 < ROWS ? "," : "");
	}
	printf("  ],\n  \"targets\": [\n");
	for (unsigned i = 0; i < count; i++)
		printf("    {\"what\": \"%s\", \"measured\": %.3f, \"at_most\": %.2f}%s\n",
		       targets[i].what, targets[i].value, targets[i].limit,
		       i + 1 < count ? "," : "");
	printf("  ]\n}\n");
}

/* One round of everything; the best of each stays. */
static void run_round(struct row rows[ROWS], double *memset_ns, bool first)
{
	const struct timing timing[ROWS] = {
	    [ROW_4K] = run_dense(GIB, 4096, PT_WRITE | PT_SMALL),
	    [ROW_4K_MORE] = run_dense(8 * GIB, 4096, PT_WRITE | PT_SMALL),
	    [ROW_2M] = run_dense(64 * GIB, 2 * MIB, PT_WRITE | PT_MAX_2M),
	    [ROW_1G] = run_dense(16 * TIB, GIB, PT_WRITE),
	    [ROW_SPARSE] = run_sparse(),
	};
	const double ns = run_memset();

	for (unsigned i = 0; i < ROWS; i++)
		keep_best(&rows[i].best, &timing[i], first);
	if (first || ns < *memset_ns)
		*memset_ns = ns;
}

int main(int argc, char **argv)
{
	struct row rows[ROWS] = {
	    [ROW_4K] = {"1 GiB in 4 KiB pages", GIB / 4096, GIB / 4096, {0}},
	    [ROW_4K_MORE] = {"8 GiB in 4 KiB pages", 8 * GIB / 4096, 8 * GIB / 4096, {0}},
	    [ROW_2M] = {"64 GiB in 2 MiB pages", 32768, 64 * GIB / 4096, {0}},
	    [ROW_1G] = {"16 TiB in 1 GiB pages", 16384, 16 * TIB / 4096, {0}},
	    [ROW_SPARSE] = {"100,000 pages, each a call", SPARSE_PAGES, SPARSE_PAGES, {0}},
	};
	bool json = argc == 2 && !strcmp(argv[1], "--json"), good = true;
	double memset_ns = 0;

	if (argc > 1 && !json) {
		fprintf(stderr, "usage: bench_pt [--json]\n");
		return 2;
	}
	memory_init();
	sparse_init();
	for (unsigned round = 0; round < ROUNDS; round++)
		run_round(rows, &memset_ns, !round);

	const struct target targets[] = {
	    {"mapping 1 GiB in 4 KiB pages, of memset of its tables",
	     rows[ROW_4K].best.map / memset_ns, 3},
	    {"a leaf of 8 GiB, of one of 1 GiB",
	     map_ns_a_leaf(&rows[ROW_4K_MORE]) / map_ns_a_leaf(&rows[ROW_4K]), 1.5},
	};
	const unsigned count = sizeof(targets) / sizeof(targets[0]);

	if (json) {
		print_json(rows, targets, count);
	} else {
		print_table(rows);
		print_targets(targets, count);
	}
	for (unsigned i = 0; i < count; i++)
		good &= met(&targets[i]);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
