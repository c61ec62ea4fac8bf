/*
 * Page tables (pt.h): what a tree is.  The other files: pt_entry.c (what its entries mean),
 * pt_work.c (how a change is made all or nothing), pt_change.c (map, unmap, protect, reserve),
 * pt_share.c (the KPTI mirror), pt_look.c (walk, explain), pt_scan.c (each, diff, count, audit).
 */
#include "shared/pt_work.h"

enum pt_status pt_init(struct pt *pt, struct pt_geometry geo, struct pt_memory mem)
{
	uint64_t root;

	if (geo.levels < 4 || geo.levels > 5 || geo.maxphyaddr < 32 || geo.maxphyaddr > 52)
		return PT_ERIGHTS;
	if (!mem.alloc(mem.ctx, &root))
		return PT_ENOMEM;
	if (root >> geo.maxphyaddr) {
		mem.free(mem.ctx, root);
		return PT_EWIDTH;
	}
	*pt = (struct pt){.geo = geo, .mem = mem, .root = root};
	return PT_OK;
}

struct pt pt_attach(struct pt_geometry geo, struct pt_memory mem, uint64_t cr3)
{
	return (struct pt){.geo = geo, .mem = mem, .root = cr3 & CR3_FRAME};
}

void pt_destroy(struct pt *pt)
{
	/* The root as if an entry pointed to it, with a count that is never used up. */
	pt_discard(pt, NULL, pt->root | PTE_TABLE | PTE_FILL, pt->geo.levels + 1u, 0);
	pt->root = 0;
}

uint64_t pt_cr3(const struct pt *pt, uint16_t pcid, bool noflush)
{
	if (!pt->geo.pcid)
		return pt->root;
	return pt->root | (pcid & CR3_PCID_MASK) | (noflush ? CR3_NOFLUSH : 0);
}
