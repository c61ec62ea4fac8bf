/* What the parts of the debugger's engine share: see vmm/engine/engine.h. */
#ifndef VMM_ENGINE_INTERNAL_H
#define VMM_ENGINE_INTERNAL_H

#include "vmm/engine/engine.h"

enum { OPCODE_OUT = 0xee /* OUT DX, AL */, OPCODE_INT3 = 0xcc, OPCODE_HLT = 0xf4 };

/* Puts the byte in place, and back again.  A byte that the guest has written over since stays. */
void engine_plant(struct engine_plant *plant, uint64_t va, uint8_t *at, uint8_t byte);
void engine_unplant(struct engine_plant *plant);
/* The byte of guest RAM at a virtual address; NULL when it is nowhere. */
uint8_t *engine_byte(const struct engine *engine, uint64_t va);
/* The point at this address; NULL for none. */
struct engine_point *engine_find_point(const struct engine *engine, uint64_t va);
/* INT3 in pages of ring 3, where a guest has what catches it, else OUT. */
uint8_t engine_plant_byte(const struct engine *engine, uint64_t va);
/* Whether there are gates for #DB and #BP: what stepping ring 3 needs. */
bool engine_catches_ring3(const struct engine *engine);
/* Reads the entries again, if the guest may have changed them, and moves the fence and the points
 * that go with them.  To be called with no step under way.  False after a message. */
bool engine_look_at_entries(struct engine *engine);
/* Writes registers that were changed; afterwards nothing is known.  False after a message. */
bool engine_forget(struct engine *engine);
/* Whether anything in the watched memory differs from what it was; brings `old` up to date. */
struct engine_watch *engine_check_watches(struct engine *engine);

/* A stop that did not come from an instruction's end: makes the CPU selected stand where one of the
 * guest's could.  False after a message. */
bool engine_settle(struct engine *engine);
/* Leaves the CPU selected as if nobody had ever looked at it: registers written, no step, its own
 * DR6.  False after a message. */
bool engine_let_go(struct engine *engine);
/* One go of the CPU selected: free, or stepped where it must be.  ENGINE_STEPPED: nothing to stop
 * for. first: a point at RIP does not count. */
struct engine_stop engine_go(struct engine *engine, bool first);

/* ---- One KVM_RUN (event.c) ------------------------------------------------------------------- */

/* Before the guest runs on from here to what ends a step: OUTs at all entries of ring 0, and the
 * point at RIP out, so that its instruction can run.  mode: of the step. */
void engine_fence_up(struct engine *engine, enum engine_mode mode);
/* After it: all as it was. */
void engine_fence_down(struct engine *engine);
/* Whether our OUT stands at this address; the guest may have one of its own under a lifted plant.
 */
bool engine_has_plant(const struct engine *engine, uint64_t va);
/* A native SYSCALL whose fault at LSTAR has not come yet, on a KVM that leaves CPL at 3: a place
 * that no instruction of the guest is at. */
bool engine_is_half_syscall(const struct engine *engine);
/* KVM's single step, on or off.  False after a message. */
bool engine_set_stepping(struct engine *engine, bool on);
/* KVM_RUN until something happened.  False: the run is over. */
bool engine_run_to_event(struct engine *engine);
/* #DB by TF sets DR6.BS, which the guest shall not find. */
void engine_keep_dr6(struct engine *engine);
void engine_put_dr6_back(struct engine *engine);

/* ---- Turns (turns.c) ------------------------------------------------------------------- */

bool engine_turns_open(struct engine *engine);
void engine_turns_close(struct engine *engine);

enum engine_turn {
	ENGINE_TURN_OWN,    /* the CPU selected goes on */
	ENGINE_TURN_OTHER,  /* another one was selected */
	ENGINE_TURN_NOBODY, /* none of those that may run can */
	ENGINE_TURN_FAILED, /* after a message */
};
/* Whether points of entries are asked for that the guest has yet to make: until it was seen in ring
 * 3 the clock then ends every KVM_RUN that lasts, so that its entries are looked at again. */
bool engine_awaits_entries(struct engine *engine);
/* Around a KVM_RUN that may last: ends it when the turn is over.  A step is never cut short, since
 * an exception that is on its way could be lost by it. */
void engine_clock_on(struct engine *engine);
void engine_clock_off(struct engine *engine);
/* Before each go: whose it is. */
enum engine_turn engine_take_turn(struct engine *engine);
bool engine_turn_is_over(const struct engine *engine);
/* After the last one. */
void engine_turn_end(struct engine *engine);

#endif
