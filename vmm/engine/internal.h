/* What the parts of the debugger's engine share: see vmm/engine/engine.h. */
#ifndef VMM_ENGINE_INTERNAL_H
#define VMM_ENGINE_INTERNAL_H

#include "vmm/engine/engine.h"

enum { OPCODE_OUT = 0xee /* OUT DX, AL */, OPCODE_INT3 = 0xcc, OPCODE_HLT = 0xf4 };

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
/* Whether anything in the watched memory differs from what it was; brings `old` up to date. */
struct debug_watch *debug_check_watches(struct debug *debug);

/* A stop that did not come from an instruction's end: makes the CPU selected stand where one of the
 * guest's could.  False after a message. */
bool debug_settle(struct debug *debug);
/* Leaves the CPU selected as if nobody had ever looked at it: registers written, no step, its own
 * DR6.  False after a message. */
bool debug_let_go(struct debug *debug);
/* One go of the CPU selected: free, or stepped where it must be.  DEBUG_STEPPED: nothing to stop
 * for. first: a point at RIP does not count. */
struct debug_stop debug_go(struct debug *debug, bool first);

/* ---- Turns (debug_turns.c) ------------------------------------------------------------------- */

bool debug_turns_open(struct debug *debug);
void debug_turns_close(struct debug *debug);

enum debug_turn {
	DEBUG_TURN_OWN,    /* the CPU selected goes on */
	DEBUG_TURN_OTHER,  /* another one was selected */
	DEBUG_TURN_NOBODY, /* none of those that may run can */
	DEBUG_TURN_FAILED, /* after a message */
};
/* Around a KVM_RUN that may last: ends it when the turn is over.  A step is never cut short, since
 * an exception that is on its way could be lost by it. */
void debug_clock_on(struct debug *debug);
void debug_clock_off(struct debug *debug);
/* Before each go: whose it is. */
enum debug_turn debug_take_turn(struct debug *debug);
bool debug_turn_is_over(const struct debug *debug);
/* After the last one. */
void debug_turn_end(struct debug *debug);

#endif
