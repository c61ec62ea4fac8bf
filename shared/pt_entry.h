/*
 * What the entries of a tree mean, and the way down it: for the files of the page-table code.
 * Nothing here is for users of pt.h.
 */
#ifndef SHARED_PT_ENTRY_H
#define SHARED_PT_ENTRY_H

#include "shared/pt.h"
#include "shared/x86.h"

/* An entry (SDM tables 4-14 to 4-20).  Bits that depend on the level are marked. */
#define PTE_P         X86_BIT(0)
#define PTE_W         X86_BIT(1)
#define PTE_U         X86_BIT(2)
#define PTE_PWT       X86_BIT(3)
#define PTE_PCD       X86_BIT(4)
#define PTE_A         X86_BIT(5)
#define PTE_D         X86_BIT(6)
#define PTE_PS        X86_BIT(7) /* levels 2 and 3: a leaf; above: reserved */
#define PTE_PAT_4K    X86_BIT(7) /* level 1 */
#define PTE_G         X86_BIT(8)
#define PTE_PAT_LARGE X86_BIT(12) /* leaves of levels 2 and 3 */
#define PTE_FRAME     CR3_FRAME
#define PTE_KEY_SHIFT 59 /* leaves; ignored without CR4.PKE */
#define PTE_KEY       (UINT64_C(15) << PTE_KEY_SHIFT)
#define PTE_NX        X86_BIT(63)

/*
 * The bits that processors leave to software, and what this code keeps in them.
 *
 * SHARED (levels 2 and up): the entry was made by pt_share.  What it points to is another tree's.
 *
 * KEEP (table entries): the table stays though it is empty, since pt_reserve promised it or
 * another tree points to it.
 *
 * FILL (table entries): 1 + the number of entries in use in the table it points to; 0 when this
 * code did not allocate the table, which it then never frees.  So whether an unmap left a table
 * empty is known without looking at 512 entries, which matters where ring 0 is interpreted at a
 * microsecond an instruction.  The count lies beside the pointer and not in struct pt, so that it
 * survives pt_attach in another program.  Bits 62:52 of entries that point to tables are ignored by
 * every processor (keys live in leaves only), and changing them owes no flush.  The root has no
 * entry that points to it, needs no count and is freed by pt_destroy alone.
 */
#define PTE_SHARED     X86_BIT(9)
#define PTE_KEEP       X86_BIT(10)
#define PTE_FILL_SHIFT 52
#define PTE_FILL_ONE   (UINT64_C(1) << PTE_FILL_SHIFT)
#define PTE_FILL       (UINT64_C(0x3ff) << PTE_FILL_SHIFT)
#define PTE_FILL_EMPTY PTE_FILL_ONE

/*
 * Entries that point to tables grant everything, leaves decide.  So pt_map never has to widen an
 * entry that exists, which would owe a flush and leave the copies in other trees behind.
 */
#define PTE_TABLE (PTE_P | PTE_W | PTE_U)

#define PT_ENTRIES   512
#define PT_TOP_LEVEL 5 /* the highest that there is */

/* Bits of an address below the index of this level: 12, 21, 30, 39, 48. */
static inline unsigned pt_shift(unsigned level)
{
	return 3 + 9 * level;
}

/* Bytes that one entry of this level covers. */
static inline uint64_t pt_span(unsigned level)
{
	return UINT64_C(1) << pt_shift(level);
}

static inline unsigned pt_index(uint64_t va, unsigned level)
{
	return (va >> pt_shift(level)) & (PT_ENTRIES - 1);
}

/* The last byte under the entry of this level that holds va. */
static inline uint64_t pt_entry_end(uint64_t va, unsigned level)
{
	return va | (pt_span(level) - 1);
}

/* Bit 47 or 56 copied upwards (SDM volume 1, 3.3.7.1). */
static inline uint64_t pt_sign_extend(const struct pt_geometry *geo, uint64_t va)
{
	unsigned unused = 64 - pt_shift(geo->levels + 1u);

	return (uint64_t)((int64_t)(va << unused) >> unused);
}

static inline bool pt_canonical(const struct pt_geometry *geo, uint64_t va)
{
	return pt_sign_extend(geo, va) == va;
}

/* Level of the largest leaf. */
static inline unsigned pt_leaf_limit(const struct pt_geometry *geo)
{
	return geo->gib_pages ? 3 : 2;
}

/* Present, and points to a table.  PS above the leaf limit is a reserved bit and does not count. */
static inline bool pt_is_table(uint64_t entry, unsigned level)
{
	return level > 1 && (entry & (PTE_P | PTE_PS)) == PTE_P;
}

static inline bool pt_is_shared(uint64_t entry, unsigned level)
{
	return level > 1 && (entry & (PTE_P | PTE_SHARED)) == (PTE_P | PTE_SHARED);
}

static inline uint64_t *pt_table_at(const struct pt *pt, uint64_t entry)
{
	return pt->mem.at(pt->mem.ctx, entry & PTE_FRAME);
}

/* The first entry in use at index or after it; PT_ENTRIES when there is none.  Most entries of most
 * tables are zero, hence eight at a time. */
static inline unsigned pt_next_used(const uint64_t *table, unsigned index)
{
	while (index < PT_ENTRIES) {
		const uint64_t *e = table + index;

		if (*e)
			break;
		if (index % 8 == 0 && !(e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7]))
			index += 8;
		else
			index++;
	}
	return index;
}

/* The bits that are reserved in every present entry (SDM 4.5, figure 4-11) ... */
static inline uint64_t pt_reserved_always(const struct pt_geometry *geo)
{
	return (PTE_FRAME & ~((UINT64_C(1) << geo->maxphyaddr) - 1)) | (geo->nx ? 0 : PTE_NX);
}
/* ... and in one of this level above 1 whose PS bit is set. */
uint64_t pt_reserved_large(const struct pt_geometry *geo, unsigned level);

static inline bool pt_is_reserved(const struct pt_geometry *geo, uint64_t always, uint64_t entry,
                                  unsigned level)
{
	return (entry & always) ||
	       (level > 1 && (entry & PTE_PS) && (entry & pt_reserved_large(geo, level)));
}

/* PT_* rights as bits of a 4 KiB leaf, without its address, and back from a leaf of any level. */
uint64_t pt_leaf_bits(const struct pt_geometry *geo, uint32_t rights);
uint32_t pt_leaf_rights(const struct pt_geometry *geo, uint64_t leaf, unsigned level);
/* The bits of a 4 KiB leaf as those of a larger one: PAT makes room for PS. */
static inline uint64_t pt_leaf_enlarge(uint64_t bits)
{
	return bits | PTE_PS | ((bits & PTE_PAT_4K) ? PTE_PAT_LARGE : 0);
}
/* The smaller leaf that maps va as this one does. */
uint64_t pt_leaf_part(uint64_t leaf, unsigned level, unsigned part_level, uint64_t va);

/* What table entries on the way down grant, as bits of which 1 allows: W, U, and NX turned over. */
#define PTE_GRANTS (PTE_W | PTE_U | PTE_NX)

static inline uint64_t pt_grants(uint64_t entry)
{
	return (entry ^ PTE_NX) & PTE_GRANTS;
}

#endif
