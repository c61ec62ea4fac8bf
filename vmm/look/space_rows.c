#include "vmm/look/space_rows.h"

#include <stddef.h>
#include <string.h>

#include "vmm/base/layout.h"

/* Where regions begin; each ends where the next one begins. */
struct borders {
	struct border {
		uint64_t start;
		const char *name;
		bool entry;
	} list[SPACE_REGIONS];
	unsigned count;
};

/* The user half is the guest's kernel's to arrange: where a row that shows it to scale is best cut.
 */
static const struct border user_half[] = {
    {0, "program", false},
    {UINT64_C(1) << 28, "mapped memory", false},
    {RS_USER_END - (UINT64_C(1) << 32), "mapped memory", false},
    {RS_USER_END - (UINT64_C(1) << 23), "stack", false},
    {UINT64_C(1) << 63, NULL, false},
};
enum { USER_BORDERS = sizeof(user_half) / sizeof(user_half[0]) };
/* A region and a gap behind it. */
_Static_assert((int)USER_BORDERS + 2 * (int)LAYOUT_REGIONS <= (int)SPACE_REGIONS, "all fit");

static void make_borders(struct borders *borders)
{
	uint64_t end = RS_DIRECT_BASE;

	memcpy(borders->list, user_half, sizeof(user_half));
	borders->count = USER_BORDERS;
	for (unsigned i = 0; i < LAYOUT_REGIONS; i++) {
		const struct layout_region *region = &layout_regions[i];

		if (region->va != end)
			borders->list[borders->count++] = (struct border){end, NULL, false};
		borders->list[borders->count++] =
		    (struct border){region->va, region->name, region->entry};
		end = region->va + region->size;
	}
	borders->list[borders->count++] = (struct border){end, NULL, false};
}

struct collector {
	struct space_rows *spaces;
	enum space_root root;
	unsigned region; /* that is being collected */
	uint64_t *runs;  /* that may still come */
};

static void add_range(struct space_side *side, uint64_t va, uint64_t len, uint32_t rights)
{
	struct space_range *last = side->count ? &side->ranges[side->count - 1] : NULL;

	side->pages += len / PAGE_SIZE;
	if (last && last->va + last->len == va && last->rights == rights && !side->more)
		last->len += len;
	else if (side->count == SPACE_RANGES)
		side->more = true;
	else
		side->ranges[side->count++] = (struct space_range){va, len, rights};
}

/* pt_each cuts runs to the range asked for, so each lies in one region. */
static bool collect(void *ctx, const struct pt_run *run)
{
	const struct collector *c = ctx;
	struct space_region *region = &c->spaces->regions[c->region];
	const uint64_t last = run->va + run->len - 1;

	if (!*c->runs) {
		c->spaces->cut[c->root] = true;
		return false;
	}
	--*c->runs;
	if (run->va < region->first)
		region->first = run->va;
	if (last > region->last)
		region->last = last;
	add_range(&region->side[c->root], run->va, run->len,
	          run->rights & (PT_WRITE | PT_EXEC | PT_USER));
	if (run->va >> 63)
		c->spaces->kernel_half[c->root] += run->len / PAGE_SIZE;
	return true;
}

/* A guest can make tables that lead to each other, 512^4 ways: so many are looked at and no more.
 */
struct budget {
	struct pt_memory memory;
	uint64_t tables;
};

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	struct budget *budget = ctx;

	return budget->tables && budget->tables-- ? budget->memory.at(budget->memory.ctx, frame)
	                                          : NULL;
}

static void collect_root(struct space_rows *spaces, enum space_root root, const struct pt *tree,
                         const struct borders *borders)
{
	struct budget budget = {tree->mem, SPACE_TABLES};
	uint64_t runs = SPACE_RUNS;
	struct pt bounded = *tree, *pt = &bounded;

	bounded.mem = (struct pt_memory){.ctx = &budget, .at = table_at};
	spaces->known[root] = true;
	spaces->root[root] = pt->root;
	for (unsigned i = 0; i < borders->count; i++) {
		struct collector c = {.spaces = spaces, .root = root, .region = i, .runs = &runs};
		const struct border *border = &borders->list[i];
		uint64_t end = i + 1 < borders->count ? border[1].start - 1 : UINT64_MAX;

		if (pt_each(pt, border->start, end, collect, &c) == PT_ECORRUPT)
			spaces->cut[root] = true;
	}
}

void space_rows_collect(struct space_rows *spaces, const struct pt *kernel, const struct pt *user)
{
	struct borders borders;

	*spaces = (struct space_rows){0};
	make_borders(&borders);
	for (unsigned i = 0; i < borders.count; i++) {
		spaces->regions[i].name = borders.list[i].name;
		spaces->regions[i].entry = borders.list[i].entry;
		spaces->regions[i].first = UINT64_MAX;
	}
	collect_root(spaces, SPACE_KERNEL, kernel, &borders);
	if (user)
		collect_root(spaces, SPACE_USER, user, &borders);
	for (unsigned i = 0; i < borders.count; i++) {
		const struct space_region *region = &spaces->regions[i];

		if (region->side[SPACE_KERNEL].pages || region->side[SPACE_USER].pages)
			spaces->regions[spaces->count++] = *region;
	}
}
