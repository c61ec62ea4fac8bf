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

/* ---- One KVM_RUN (event.c) ------------------------------------------------------------------- */

/* The OUTs at all entries of ring 0, while ring 3 is stepped. */
void debug_fence_up(struct debug *debug);
void debug_fence_down(struct debug *debug);
/* Takes the point at RIP out, so that the instruction can run; what debug_replant needs. */
struct debug_plant *debug_lift(struct debug *debug);
void debug_replant(struct debug *debug, struct debug_plant *plant);
/* Whether our OUT stands at this address; the guest may have one of its own under a lifted plant.
 */
bool debug_has_plant(const struct debug *debug, uint64_t va);
/* A native SYSCALL whose fault at LSTAR has not come yet, on a KVM that leaves CPL at 3: a place
 * that no instruction of the guest is at. */
bool debug_is_half_syscall(const struct debug *debug);
/* KVM's single step, on or off.  False after a message. */
bool debug_set_stepping(struct debug *debug, bool on);
/* KVM_RUN until something happened.  False: the run is over. */
bool debug_run_to_event(struct debug *debug);
/* #DB by TF sets DR6.BS, which the guest shall not find. */
void debug_keep_dr6(struct debug *debug);
void debug_put_dr6_back(struct debug *debug);

/* ---- Turns (turns.c) ------------------------------------------------------------------- */

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
