/*
 * The way of one round through the text to be hit: which instructions, in which order, and the
 * state before each.  Knows nothing of KVM.
 *
 * A path begins where the guest's call to the VMM returns and ends where it makes the next one, so
 * that its first piece leads out to ring 3 and its last one in again; what lies between is the
 * crossing.
 */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_PATH_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/instruments/torture/torture_text.h"

/* Whose stack it is that RSP points to. */
enum torture_stack {
	TORTURE_STACK_FOREIGN, /* ring 3's, or no stack at all */
	TORTURE_STACK_KERNEL,
	TORTURE_STACK_ENTRY,
	TORTURE_STACK_IST, /* + 1 to 7 */
};

struct torture_step {
	uint32_t insn;  /* in the text */
	uint32_t visit; /* how many steps before it are at the same instruction */
	uint64_t rsp, rflags;
	uint64_t target; /* it returns to ring 3, there; 0: it does not */
	bool from_ring3; /* an entry: the step before it was ring 3's */
	bool shadow;     /* behind STI: interrupts are held back */
	bool kernel_gs, user_root;
	uint8_t stack; /* enum torture_stack */
};

struct torture_path {
	struct torture_step *list; /* owned */
	size_t count, room;
};

/* Adds a step; its visit is counted here.  False: no memory. */
bool torture_path_add(struct torture_path *path, const struct torture_step *step);
void torture_path_clear(struct torture_path *path);
void torture_path_free(struct torture_path *path);

/* The crossing: steps [*first, *end).  Empty for a path that does not leave for ring 3 and come
 * back. */
void torture_path_crossing(const struct torture_path *path, size_t *first, size_t *end);

/* The stack that RSP points to. */
enum torture_stack torture_stack_of(uint64_t rsp);
/* The same of the path's next step: what was ring 3's stays so, whatever address it is. */
enum torture_stack torture_path_stack(const struct torture_path *path, uint64_t rsp);
/* One number for all that tells two places of a path apart as far as an event is concerned: GS,
 * CR3, the stack, interrupts.  Never 0, below 4096. */
uint32_t torture_step_context(const struct torture_step *step);
/* Whether an external interrupt arrives at once. */
bool torture_step_open(const struct torture_step *step);
/* Where an external interrupt arrives that is pending from `step` on: at the first instruction with
 * RFLAGS.IF set that is not behind STI (SDM 6.8).  False: nowhere on this path. */
bool torture_path_opens(const struct torture_path *path, const struct torture_text *text,
                        size_t step, uint64_t *rip);

#endif
