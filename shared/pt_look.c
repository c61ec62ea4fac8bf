/* Page tables: what one address leads to (walk), and what one access comes to (explain). */
#include "shared/pt_entry.h"

/* What a walk that reached a leaf found. */
static void walk_leaf(const struct pt *pt, uint64_t va, struct pt_walk *walk, uint64_t leaf,
                      unsigned level, uint64_t grants)
{
	uint64_t offset = pt_span(level) - 1;

	walk->mapped = true;
	walk->page_size = pt_span(level);
	walk->pa = (leaf & PTE_FRAME & ~offset) | (va & offset);
	/* W, U and NX count as far as the entries above let them. */
	leaf = (leaf & ~PTE_GRANTS) | (grants & (PTE_W | PTE_U)) | (~grants & PTE_NX);
	walk->rights = pt_leaf_rights(&pt->geo, leaf, level);
}

void pt_walk(const struct pt *pt, uint64_t va, struct pt_walk *walk)
{
	const uint64_t always = pt_reserved_always(&pt->geo);
	uint64_t grants = PTE_GRANTS, entry = pt->root;

	walk->steps = 0;
	walk->mapped = walk->corrupt = walk->reserved = false;
	walk->pa = walk->page_size = 0;
	walk->rights = 0;
	if (!pt_canonical(&pt->geo, va))
		return;
	for (unsigned level = pt->geo.levels;; level--) {
		const uint64_t *table = pt_table_at(pt, entry);
		struct pt_step *step;

		if (!table) {
			walk->corrupt = true;
			return;
		}
		step = &walk->step[walk->steps++];
		step->level = (uint8_t)level;
		step->index = (uint16_t)pt_index(va, level);
		step->table = entry & PTE_FRAME;
		step->entry = entry = table[step->index];
		grants &= pt_grants(entry);
		step->write = grants & PTE_W;
		step->user = grants & PTE_U;
		step->exec = (grants & PTE_NX) || !pt->geo.nx;
		if (!(entry & PTE_P))
			return;
		if (pt_is_reserved(&pt->geo, always, entry, level)) {
			walk->reserved = true;
			return;
		}
		if (!pt_is_table(entry, level)) {
			walk_leaf(pt, va, walk, entry, level, grants);
			return;
		}
	}
}

static bool key_denies(const struct pt *pt, const struct pt_walk *walk, struct pt_access access)
{
	unsigned key = walk->rights / PT_PKEY(1) % 16;
	uint32_t bits = access.pkru >> (2 * key);

	/* SDM 4.6.2: keys guard data on user pages, from the supervisor too.  WD (bit 1) binds the
	 * supervisor only with CR0.WP. */
	if (!pt->geo.pku || !(walk->rights & PT_USER) || access.kind == PT_FETCH)
		return false;
	return (bits & 1) ||
	       ((bits & 2) && access.kind == PT_STORE && (access.wp || access.cpl == 3));
}

/* SDM 4.6.1.  When several walls stand in the way the first in this order is named; the error code
 * is the same for all. */
static enum pt_reason judge(const struct pt *pt, const struct pt_walk *walk,
                            struct pt_access access)
{
	bool user_mode = access.cpl == 3;
	bool user_page = walk->rights & PT_USER;

	if (user_mode && !user_page)
		return PT_SUPERVISOR_PAGE;
	if (!user_mode && user_page && access.kind == PT_FETCH && access.smep)
		return PT_BY_SMEP;
	if (!user_mode && user_page && access.kind != PT_FETCH && access.smap && !access.ac)
		return PT_BY_SMAP;
	if (access.kind == PT_STORE && !(walk->rights & PT_WRITE) && (user_mode || access.wp))
		return PT_READ_ONLY;
	if (access.kind == PT_FETCH && !(walk->rights & PT_EXEC))
		return PT_NO_EXECUTE;
	if (key_denies(pt, walk, access))
		return PT_BY_KEY;
	return PT_ALLOWED;
}

/* The level that the reason comes from: for U/S, R/W and NX the highest that denies. */
static uint8_t blame(const struct pt_walk *walk, enum pt_reason reason)
{
	uint8_t i = 0, leaf = (uint8_t)(walk->steps - 1);

	if (reason == PT_SUPERVISOR_PAGE)
		while (i < leaf && walk->step[i].user)
			i++;
	else if (reason == PT_READ_ONLY)
		while (i < leaf && walk->step[i].write)
			i++;
	else if (reason == PT_NO_EXECUTE)
		while (i < leaf && walk->step[i].exec)
			i++;
	else
		i = leaf;
	return walk->step[i].level;
}

/* SDM 4.7, the bits that tell of the access, not of the translation. */
static uint32_t access_error(const struct pt *pt, struct pt_access access)
{
	uint64_t error = 0;

	if (access.kind == PT_STORE)
		error |= PF_W;
	if (access.cpl == 3)
		error |= PF_U;
	if (access.kind == PT_FETCH && (pt->geo.nx || access.smep))
		error |= PF_ID;
	return (uint32_t)error;
}

void pt_explain(const struct pt *pt, uint64_t va, struct pt_access access,
                struct pt_verdict *verdict)
{
	struct pt_walk walk;

	*verdict = (struct pt_verdict){.reason = PT_ALLOWED};
	pt_walk(pt, va, &walk);
	if (!pt_canonical(&pt->geo, va)) {
		verdict->reason = PT_NOT_CANONICAL;
		verdict->vector = access.stack ? VECTOR_SS : VECTOR_GP;
		return;
	}
	if (walk.corrupt) {
		verdict->reason = PT_BROKEN;
		verdict->level = walk.steps ? walk.step[walk.steps - 1].level : 0;
		return;
	}
	/* The walk stops at the first entry that is not present or has a reserved bit; rights are
	 * looked at only when it reached a leaf. */
	if (walk.reserved)
		verdict->reason = PT_RESERVED_BIT;
	else if (!walk.mapped)
		verdict->reason = PT_NOT_PRESENT;
	else
		verdict->reason = judge(pt, &walk, access);
	if (verdict->reason == PT_ALLOWED) {
		verdict->pa = walk.pa;
		return;
	}
	verdict->vector = VECTOR_PF;
	verdict->level = blame(&walk, verdict->reason);
	verdict->error = access_error(pt, access);
	if (walk.reserved)
		verdict->error |= (uint32_t)(PF_P | PF_RSVD);
	else if (walk.mapped)
		verdict->error |= (uint32_t)PF_P;
	/* PK says that the key forbids the access, whatever else does too. */
	if (walk.mapped && key_denies(pt, &walk, access))
		verdict->error |= (uint32_t)PF_PK;
}
