/*
 * The way back: what the guest has done since a checkpoint, counted in instructions, and any place
 * of it again.
 *
 * A guest that is stepped does the same again from the same state, but for what is not in that
 * state: time stamps, random numbers, ports and other devices, an interrupt that comes, what
 * another CPU has written meanwhile.  So the machine is kept (vmm/run/snapshot.h) behind every such
 * instruction, and else every so many: from the last one kept before a place to that place there is
 * nothing but what the guest decides by itself, and it is gone through again, step by step.  What
 * was read from a clock or a device is thereby given again, and what was written to one is not
 * written twice.
 *
 * Each place has its sum of the registers.  A guest that goes another way the second time is told
 * of, and not taken for the first one: by what it has read from its local APIC's timer, say, whose
 * registers look like memory.
 *
 * Places are numbered by the instructions since history_begin.  The window reaches from
 * history_first to history_last; as it grows its beginning may move, see HISTORY_KEPT.
 *
 * Usage:
 *
 *	struct history *history = history_begin(engine);
 *
 *	while (...)
 *	        history_step(history);
 *	history_go(history, history_here(history) - 1);
 *	history_end(history);
 */
#ifndef VMM_ENGINE_HISTORY_H
#define VMM_ENGINE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine/engine.h"

enum {
	HISTORY_KEPT = 256,       /* machines kept at most; then the first ones go */
	HISTORY_PLACES = 1 << 20, /* instructions of the window */
	HISTORY_SPACING = 64,     /* instructions between machines kept, at first */
};

struct history;

/* Begins where the guest is stopped: place 0.  The engine must stay attached until history_end.
 * NULL after a message. */
struct history *history_begin(struct engine *engine);
/* The guest stays where it is.  NULL is fine. */
void history_end(struct history *history);

uint64_t history_here(const struct history *history);
uint64_t history_first(const struct history *history);
uint64_t history_last(const struct history *history);
/* The guest has ended by the instruction at history_here, the last one. */
bool history_is_beyond(const struct history *history);
/* Machines that are kept. */
unsigned history_kept(const struct history *history);

/* One instruction of the CPU selected, as engine_step; in the window what came of it before.
 * ENGINE_FAILED while the machine has not ended: it is done, but could not be kept (a message was
 * given), and the history is of no more use. */
struct engine_stop history_step(struct history *history);
/* As engine_let_others, where the window ends; elsewhere the others have done theirs. */
struct engine_stop history_let_others(struct history *history);

/* Takes the guest to a place of the window.  False after a message: it went another way, and is at
 * the last place before that the machine was kept at; or KVM has failed, and the machine has ended
 * (END_VMM_FAILED). */
bool history_go(struct history *history, uint64_t place);
/* Back to the nearest place where RIP is at a point, or before the instruction that gave a watched
 * place what it holds now: ENGINE_POINT, ENGINE_WATCHED.  ENGINE_STEPPED: to history_first, where
 * nothing was found; ENGINE_INTERRUPTED: somebody wanted to stop, and the guest is where it was;
 * ENGINE_FAILED: as history_go's false. */
struct engine_stop history_back(struct history *history);
/* The guest was changed where it is: what lies ahead is not its future any more.  False after a
 * message: there is no memory to keep it, and the history is of no more use. */
bool history_branch(struct history *history);

#endif
