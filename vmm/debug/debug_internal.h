/* What the parts of the debugger's engine share: see vmm/debug/debug.h. */
#ifndef VMM_DEBUG_INTERNAL_H
#define VMM_DEBUG_INTERNAL_H

#include "vmm/debug/debug.h"

enum { OPCODE_OUT = 0xee /* OUT DX, AL */, OPCODE_INT3 = 0xcc };

/* Puts the byte in place, and back again.  A byte that the guest has written over since stays. */
void debug_plant(struct debug_plant *plant, uint64_t va, uint8_t *at, uint8_t byte);
void debug_unplant(struct debug_plant *plant);
/* The byte of guest RAM at a virtual address; NULL when it is nowhere. */
uint8_t *debug_byte(const struct debug *debug, uint64_t va);
/* The point at this address; NULL for none. */
struct debug_point *debug_find_point(const struct debug *debug, uint64_t va);
/* OUT in ring 0, INT3 in ring 3. */
uint8_t debug_plant_byte(const struct debug *debug, uint64_t va);
/* Writes registers that were changed; afterwards nothing is known.  False after a message. */
bool debug_forget(struct debug *debug);
/* Takes an entry back to where its frame says.  False: the frame cannot be read. */
bool debug_rewind(struct debug *debug, const struct debug_frame *frame);
/* Whether anything in the watched memory differs from what it was; brings `old` up to date. */
struct debug_watch *debug_check_watches(struct debug *debug);

#endif
