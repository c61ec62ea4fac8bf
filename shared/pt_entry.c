#include "shared/pt_entry.h"

uint64_t pt_reserved_large(const struct pt_geometry *geo, unsigned level)
{
	if (level > pt_leaf_limit(geo))
		return PTE_PS;
	/* Between the PAT bit and the address. */
	return (pt_span(level) - 1) & PTE_FRAME & ~PTE_PAT_LARGE;
}

uint64_t pt_leaf_bits(const struct pt_geometry *geo, uint32_t rights)
{
	uint64_t bits = PTE_P;

	if (rights & PT_WRITE)
		bits |= PTE_W;
	if (rights & PT_USER)
		bits |= PTE_U;
	if (rights & PT_GLOBAL)
		bits |= PTE_G;
	if (geo->nx && !(rights & PT_EXEC))
		bits |= PTE_NX;
	if (rights & PT_PAT(1))
		bits |= PTE_PWT;
	if (rights & PT_PAT(2))
		bits |= PTE_PCD;
	if (rights & PT_PAT(4))
		bits |= PTE_PAT_4K;
	return bits | (uint64_t)(rights / PT_PKEY(1) % 16) << PTE_KEY_SHIFT;
}

uint32_t pt_leaf_rights(const struct pt_geometry *geo, uint64_t leaf, unsigned level)
{
	uint32_t rights = 0;

	if (leaf & PTE_W)
		rights |= PT_WRITE;
	if (leaf & PTE_U)
		rights |= PT_USER;
	if (leaf & PTE_G)
		rights |= PT_GLOBAL;
	if (!geo->nx || !(leaf & PTE_NX))
		rights |= PT_EXEC;
	if (leaf & PTE_PWT)
		rights |= PT_PAT(1);
	if (leaf & PTE_PCD)
		rights |= PT_PAT(2);
	if (leaf & ((level > 1) ? PTE_PAT_LARGE : PTE_PAT_4K))
		rights |= PT_PAT(4);
	if (geo->pku)
		rights |= PT_PKEY(leaf >> PTE_KEY_SHIFT & 15);
	return rights;
}

uint64_t pt_leaf_part(uint64_t leaf, unsigned level, unsigned part_level, uint64_t va)
{
	uint64_t offset = va & (pt_span(level) - 1) & ~(pt_span(part_level) - 1);

	if (part_level == 1) {
		uint64_t pat = (leaf & PTE_PAT_LARGE) ? PTE_PAT_4K : 0;

		leaf = (leaf & ~(PTE_PS | PTE_PAT_LARGE)) | pat;
	}
	return leaf + offset;
}
