#include "vmm/look/legacy.h"

#include <string.h>

#include "shared/x86.h"

#define ENTRY_P  UINT64_C(1)
#define ENTRY_PS UINT64_C(0x80)
#define ALLOW    UINT64_C(7) /* P, R/W, U/S */

/* Made frames: bit 51, the level less 1 in 50:49, and what they are made from in 48:12. */
#define MADE          X86_BIT(51)
#define MADE_LEVEL    49
#define MADE_FROM     12
#define MADE_FROM_MAX ((UINT64_C(1) << 37) - 1)

enum { PAE_ENTRIES = 4, GIB_ENTRIES = 256, HALF_ENTRIES = 512 };

static uint64_t made_frame(unsigned level, uint64_t from)
{
	return MADE | (uint64_t)(level - 1) << MADE_LEVEL | from << MADE_FROM;
}

void legacy_init(struct legacy *legacy, const struct memory *memory, const struct kvm_sregs *sregs)
{
	legacy->memory = memory;
	legacy->pse = sregs->cr4 & CR4_PSE;
	if (!(sregs->cr0 & CR0_PG))
		legacy->mode = LEGACY_OFF;
	else if (sregs->efer & EFER_LMA)
		legacy->mode = LEGACY_NONE;
	else
		legacy->mode = sregs->cr4 & CR4_PAE ? LEGACY_PAE : LEGACY_32;
}

const char *legacy_name(enum legacy_mode mode)
{
	static const char *const names[] = {
	    [LEGACY_OFF] = "off", [LEGACY_32] = "32-bit", [LEGACY_PAE] = "PAE"};

	return names[mode];
}

uint64_t legacy_address(const struct legacy *legacy, uint64_t cr3)
{
	/* PAE's four entries are aligned to 32 bytes (SDM volume 3, table 4-7). */
	return cr3 & (legacy->mode == LEGACY_PAE ? UINT32_C(0xffffffe0) : CR3_FRAME);
}

uint64_t legacy_root(const struct legacy *legacy, uint64_t cr3)
{
	if (legacy->mode == LEGACY_NONE)
		return cr3 & CR3_FRAME;
	return made_frame(4, (uint32_t)cr3 >> 5);
}

struct pt_geometry legacy_geometry(const struct legacy *legacy, struct pt_geometry geometry)
{
	if (legacy->mode == LEGACY_NONE)
		return geometry;
	geometry.levels = 4;
	geometry.maxphyaddr = 52; /* made frames are that wide */
	geometry.nx &= legacy->mode == LEGACY_PAE;
	geometry.gib_pages = legacy->mode == LEGACY_OFF;
	return geometry;
}

/* The four entries below the one of the top level; `from` is CR3 without its low five bits. */
static bool make_pdpt(struct legacy *legacy, uint64_t *to, uint64_t from)
{
	const uint64_t *real = NULL;

	if (legacy->mode == LEGACY_PAE) {
		real = memory_at(legacy->memory, from << 5, PAE_ENTRIES * sizeof(*real));
		if (!real)
			return false;
	}
	for (unsigned i = 0; i < PAE_ENTRIES; i++) {
		if (real)
			to[i] = real[i] & ENTRY_P ? (real[i] & CR3_FRAME) | ALLOW : 0;
		else if (legacy->mode == LEGACY_OFF)
			to[i] = (uint64_t)i << 30 | ENTRY_PS | ALLOW;
		else
			to[i] = made_frame(2, from >> 7 << 2 | i) | ALLOW;
	}
	return true;
}

/* Two entries for one of the 4 MiB that it covers. */
static void make_pde(const struct legacy *legacy, uint64_t to[2], uint32_t real)
{
	const uint64_t low = real & 0x1ff & (legacy->pse ? UINT64_MAX : ~ENTRY_PS);

	for (unsigned half = 0; half < 2; half++) {
		if (!(real & ENTRY_P))
			to[half] = 0;
		else if (low & ENTRY_PS)
			/* Bits 39:32 of the address are in 20:13 (PSE-36), PAT stays in 12. */
			to[half] = (real & UINT64_C(0xffc01000)) |
			           (uint64_t)(real >> 13 & 0xff) << 32 | (uint64_t)half << 21 | low;
		else
			to[half] = made_frame(1, (uint64_t)(real >> 12) << 1 | half) | low;
	}
}

/* A quarter of the page directory: 1 GiB. */
static bool make_directory(const struct legacy *legacy, uint64_t *to, uint64_t from)
{
	const uint64_t at = (from >> 2 << 12) + (from & 3) * GIB_ENTRIES * sizeof(uint32_t);
	const uint32_t *real = memory_at(legacy->memory, at, GIB_ENTRIES * sizeof(*real));

	if (!real)
		return false;
	for (unsigned i = 0; i < GIB_ENTRIES; i++)
		make_pde(legacy, &to[(size_t)2 * i], real[i]);
	return true;
}

/* Half of a page table: 2 MiB. */
static bool make_page_table(const struct legacy *legacy, uint64_t *to, uint64_t from)
{
	const uint64_t at = (from >> 1 << 12) + (from & 1) * HALF_ENTRIES * sizeof(uint32_t);
	const uint32_t *real = memory_at(legacy->memory, at, HALF_ENTRIES * sizeof(*real));

	if (!real)
		return false;
	for (unsigned i = 0; i < HALF_ENTRIES; i++)
		to[i] = real[i] & ENTRY_P ? real[i] & ~UINT32_C(0xe00) : 0;
	return true;
}

uint64_t *legacy_table(struct legacy *legacy, uint64_t frame)
{
	const unsigned level = (unsigned)(frame >> MADE_LEVEL & 3) + 1;
	const uint64_t from = frame >> MADE_FROM & MADE_FROM_MAX;
	uint64_t *to = legacy->table[level - 1];
	bool good = true;

	if (legacy->mode == LEGACY_NONE || !(frame & MADE))
		return memory_at(legacy->memory, frame, PAGE_SIZE);
	memset(to, 0, sizeof(legacy->table[0]));
	switch (level) {
	case 4:
		to[0] = made_frame(3, from) | ALLOW;
		break;
	case 3:
		good = make_pdpt(legacy, to, from);
		break;
	case 2:
		good = make_directory(legacy, to, from);
		break;
	default:
		good = make_page_table(legacy, to, from);
		break;
	}
	return good ? to : NULL;
}

/* An entry of `size` bytes; 0 where there is no RAM. */
static uint64_t read_entry(const struct legacy *legacy, uint64_t table, unsigned index,
                           unsigned size)
{
	const void *from = memory_at(legacy->memory, table + (uint64_t)index * size, size);
	uint64_t entry = 0;

	if (from)
		memcpy(&entry, from, size);
	return entry;
}

static void walk_32(const struct legacy *legacy, uint64_t cr3, uint64_t va, struct pt_walk *walk)
{
	uint64_t table = cr3 & UINT32_C(0xfffff000);

	for (unsigned i = 0; i < walk->steps; i++) {
		struct pt_step *step = &walk->step[i];

		step->table = table;
		step->index = va >> (step->level == 2 ? 22 : 12) & 0x3ff;
		step->entry = read_entry(legacy, table, step->index, sizeof(uint32_t));
		table = step->entry & UINT32_C(0xfffff000);
	}
	if (walk->mapped && walk->page_size > PAGE_SIZE)
		walk->page_size = UINT64_C(4) << 20;
}

void legacy_walk(const struct legacy *legacy, uint64_t cr3, uint64_t va, struct pt_walk *walk)
{
	/* Levels that are only made. */
	const unsigned made = legacy->mode == LEGACY_PAE ? 1 : 2;

	if (legacy->mode == LEGACY_NONE)
		return;
	if (legacy->mode == LEGACY_OFF || walk->steps < made || va >> 32) {
		walk->steps = 0;
		walk->page_size = 0;
		return;
	}
	walk->steps = (uint8_t)(walk->steps - made);
	memmove(walk->step, walk->step + made, walk->steps * sizeof(walk->step[0]));
	if (legacy->mode == LEGACY_32) {
		walk_32(legacy, cr3, va, walk);
	} else if (walk->steps) {
		walk->step[0].table = legacy_address(legacy, cr3);
		walk->step[0].entry =
		    read_entry(legacy, walk->step[0].table, walk->step[0].index, sizeof(uint64_t));
	}
}

/* ---- One address --------------------------------------------------------------------------- */

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	return legacy_table(ctx, frame);
}

bool legacy_translate(const struct memory *memory, const struct kvm_sregs *sregs,
                      struct pt_geometry geometry, uint64_t va, uint64_t *pa, uint32_t *rights)
{
	struct legacy legacy;
	struct pt_walk walk;
	struct pt tree;

	legacy_init(&legacy, memory, sregs);
	tree = pt_attach(legacy_geometry(&legacy, geometry),
	                 (struct pt_memory){.ctx = &legacy, .at = table_at},
	                 legacy_root(&legacy, sregs->cr3));
	pt_walk(&tree, va, &walk);
	*pa = walk.pa;
	*rights = walk.rights;
	return walk.mapped && !walk.reserved;
}
