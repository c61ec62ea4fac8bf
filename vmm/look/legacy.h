/*
 * Page tables of 32-bit protected mode, for looking: shown as a tree of long mode that maps the
 * same memory with the same rights, so that all of shared/pt.h walks them (SDM volume 3, 4.3, 4.4).
 *
 *     32-bit  2 levels of 1,024 entries of 4 bytes, pages of 4 KiB, and of 4 MiB with CR4.PSE
 *     PAE     4 entries, then 2 levels as in long mode
 *     off     each address is physical, and everything is allowed
 *
 * The tables that long mode has above, and those whose entries have another width, are made when
 * asked for; their frames have numbers that no RAM has.  PDPTEs are read from memory, where a guest
 * may have changed them since the processor loaded its own (4.4.1).
 */
#ifndef VMM_LOOK_LEGACY_H
#define VMM_LOOK_LEGACY_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "shared/pt.h"
#include "vmm/base/memory.h"

enum legacy_mode {
	LEGACY_NONE, /* long mode: nothing to do with this */
	LEGACY_OFF,
	LEGACY_32,
	LEGACY_PAE,
};

struct legacy {
	const struct memory *memory;
	enum legacy_mode mode;
	bool pse;
	uint64_t table[4][512]; /* by level, until the next of that level is asked for */
};

void legacy_init(struct legacy *legacy, const struct memory *memory, const struct kvm_sregs *sregs);
/* "off", "32-bit", "PAE"; NULL: long mode */
const char *legacy_name(enum legacy_mode mode);

/* Where the first table is, as CR3 says it: for people. */
uint64_t legacy_address(const struct legacy *legacy, uint64_t cr3);
/* The frame that stands for the root that CR3 names, and the geometry to look at it with. */
uint64_t legacy_root(const struct legacy *legacy, uint64_t cr3);
struct pt_geometry legacy_geometry(const struct legacy *legacy, struct pt_geometry geometry);
/* struct pt_memory's at: NULL for a table outside RAM.  Good until the next call for a table of the
 * same level. */
uint64_t *legacy_table(struct legacy *legacy, uint64_t frame);

/* Puts the tables that there are into what pt_walk said of va in the tree of cr3: steps, and a
 * page's size, which is 0 without paging. */
void legacy_walk(const struct legacy *legacy, uint64_t cr3, uint64_t va, struct pt_walk *walk);

/* Out of long mode, for who asks for one address and keeps nothing: where va is, and which rights
 * (PT_WRITE and its like) all levels together give.  geometry: the view's.  False: it is not
 * mapped, has a reserved bit set on its way, or its tables are not in RAM. */
bool legacy_translate(const struct memory *memory, const struct kvm_sregs *sregs,
                      struct pt_geometry geometry, uint64_t va, uint64_t *pa, uint32_t *rights);

#endif
