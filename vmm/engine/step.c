/* The debugger's engine: running the guest, freely or one instruction at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/stop.h"
#include "vmm/engine/decode.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"
#include "vmm/run/run.h"

/* Several tries of one instruction that signals keep from running. */
enum { TRIES_MAX = 10000 };

/* ---- One instruction ---------------------------------------------------------------------------
 */

static struct debug_stop stop_because(enum debug_why why)
{
	return (struct debug_stop){.why = why};
}

/* The TF that we set is in what the instruction has stored.  `at`: the byte with bit 8 of it. */
static void clear_stored_tf(struct debug *debug, uint64_t at)
{
	uint8_t *byte = debug_byte(debug, at + 1);

	if (byte && !debug->own_tf)
		*byte &= (uint8_t) ~(RFLAGS_TF >> 8);
}

/* The instruction ended at an entry of ring 0, with TF in what the processor saved. */
static void clear_saved_tf(struct debug *debug, int entry)
{
	unsigned vector = (unsigned)entry;
	bool has_error = vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1;

	if (vector < 256)
		clear_stored_tf(debug, debug->state.regs.rsp + (has_error ? 8 : 0) + 16);
}

/* SYSENTER, for one, leaves it set. */
static void clear_live_tf(struct debug *debug)
{
	if (debug->own_tf || !(debug->state.regs.rflags & RFLAGS_TF))
		return;
	debug->state.regs.rflags &= ~RFLAGS_TF;
	debug->changed = true;
}

static void clear_syscall_tf(struct debug *debug)
{
	if (debug->own_tf)
		return;
	debug->state.regs.r11 &= ~RFLAGS_TF;
	debug->changed = true;
}

static bool interrupted(const struct debug *debug)
{
	return debug->attention && *debug->attention;
}

/* Whether the CPU waits in HLT, and somebody will not wait for it. */
static bool waits_in_vain(const struct debug *debug)
{
	return interrupted(debug) && vcpu_is_halted(&debug->cpu->vcpu);
}

/* Until the one instruction is done or has ended at an entry; or not, while the CPU halts.  False:
 * the run is over. */
static bool run_one(struct debug *debug, uint64_t from)
{
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		if (!debug_run_to_event(debug))
			return false;
		if (debug->event != DEBUG_EVENT_NONE)
			return true;
		/* A signal; it may have come when the instruction was done. */
		if (debug->state.regs.rip != from)
			return true;
		if (waits_in_vain(debug))
			return true;
		if (debug->mode == DEBUG_MODE_STEP0 && !debug_set_stepping(debug, true))
			return false;
	}
	return true;
}

/* run_once said no. */
static struct debug_stop over(const struct debug *debug)
{
	if (debug->machine->outcome.reason != END_RUNNING)
		return stop_because(DEBUG_ENDED);
	/* Halted for ever, but others go on. */
	return stop_because(debug->cpu->halted ? DEBUG_STEPPED : DEBUG_FAILED);
}

static struct debug_stop step_ring0(struct debug *debug, enum debug_special special)
{
	struct debug_plant *lifted = debug_lift(debug);
	uint64_t from = debug->state.regs.rip;
	bool alive;

	debug->mode = DEBUG_MODE_STEP0;
	debug->own_tf = debug->state.regs.rflags & RFLAGS_TF;
	debug_fence_up(debug);
	alive = debug_forget(debug) && debug_set_stepping(debug, true) && run_one(debug, from);
	if (alive)
		alive = debug_know(debug);
	debug_fence_down(debug);
	debug_replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_PLANT)
		clear_saved_tf(debug, debug_entry(debug, debug->state.regs.rip));
	else if (special == SPECIAL_PUSHF)
		clear_stored_tf(debug, debug->state.regs.rsp);
	return stop_because(DEBUG_STEPPED);
}

/* What the OUT at an entry has stopped: our own #DB, which is taken back, or a real entry.  A
 * processor that lets TF through SYSCALL comes here from the first instruction behind it, in ring
 * 0. */
static void end_step3(struct debug *debug, enum debug_special special, bool own_flags)
{
	int entry = debug_entry(debug, debug->state.regs.rip);
	struct debug_frame frame;

	if (special == SPECIAL_SYSCALL)
		clear_syscall_tf(debug);
	if (entry != VECTOR_DB || special == SPECIAL_ICEBP || debug->own_tf ||
	    !debug_frame(debug, VECTOR_DB, &frame)) {
		clear_saved_tf(debug, entry);
		clear_live_tf(debug);
		return;
	}
	if (!own_flags)
		frame.rflags &= ~RFLAGS_TF;
	debug_rewind(debug, &frame);
	if (special == SPECIAL_PUSHF)
		clear_stored_tf(debug, frame.rsp);
}

static struct debug_stop step_ring3(struct debug *debug, enum debug_special special)
{
	struct debug_plant *lifted = debug_lift(debug);
	uint64_t from = debug->state.regs.rip;
	bool own_flags = debug_loads_flags(debug, from), alive;

	debug_keep_dr6(debug);
	debug->own_tf = debug->state.regs.rflags & RFLAGS_TF;
	debug->state.regs.rflags |= RFLAGS_TF;
	debug->changed = true;
	debug->mode = DEBUG_MODE_STEP3;
	debug_fence_up(debug);
	alive = debug_set_stepping(debug, false) && debug_forget(debug) && run_one(debug, from);
	if (alive)
		alive = debug_know(debug);
	debug_fence_down(debug);
	debug_replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_PLANT) {
		end_step3(debug, special, own_flags);
	} else {
		clear_live_tf(debug);
	}
	return stop_because(DEBUG_STEPPED);
}

/* Where a return goes; the next instruction of the others.  False: what it reads is not
 * there. */
static bool target_of(const struct debug *debug, enum debug_special special, uint64_t *rip,
                      uint64_t *cs)
{
	uint64_t words[2];

	if (special == SPECIAL_SYSRET || special == SPECIAL_SYSEXIT) {
		*rip = special == SPECIAL_SYSRET ? debug->state.regs.rcx : debug->state.regs.rdx;
		*cs = RS_SEL_USER_CODE;
		return true;
	}
	if (special == SPECIAL_GROUP || special == SPECIAL_EXIT) {
		uint8_t code[32];
		size_t i = debug_read_code(debug, debug->state.regs.rip, code);

		*rip = debug->state.regs.rip + i + debug_size_from_opcode(code + i);
		*cs = debug_cpl(debug) == 3 ? RS_SEL_USER_CODE : RS_SEL_KERNEL_CODE;
		return true;
	}
	if (debug_read(debug, debug->state.regs.rsp, words, sizeof(words)) != sizeof(words))
		return false;
	*rip = words[0];
	*cs = words[1];
	return true;
}

/* Runs to a plant where the instruction goes, with TF nowhere. */
static struct debug_stop step_to_target(struct debug *debug, enum debug_special special)
{
	struct debug_plant *lifted = debug_lift(debug), target = {0};
	uint64_t rip = 0, cs = 0;
	bool known = target_of(debug, special, &rip, &cs), alive;
	const struct debug_point *point = known ? debug_find_point(debug, rip) : NULL;
	uint8_t *at = known && rip != debug->state.regs.rip ? debug_byte(debug, rip) : NULL;

	debug->mode = DEBUG_MODE_STEP3;
	debug->own_tf = true; /* whatever TF there is, is the guest's */
	debug_fence_up(debug);
	if (at && !point)
		debug_plant(&target, rip, at, cs & 3 ? OPCODE_INT3 : OPCODE_OUT);
	if (!(cs & 3) && target.at) {
		/* An OUT that has_plant knows of. */
		debug->points[debug->point_count] =
		    (struct debug_point){.plant = target, .hooks = 1};
		debug->point_count++;
	}
	alive = debug_set_stepping(debug, false) && debug_forget(debug) &&
	        run_one(debug, debug->state.regs.rip) && debug_know(debug);
	if (!(cs & 3) && target.at)
		debug->point_count--;
	debug_unplant(&target);
	debug_fence_down(debug);
	debug_replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);

	struct debug_frame frame;

	if (debug->event == DEBUG_EVENT_PLANT &&
	    debug_entry(debug, debug->state.regs.rip) == VECTOR_BP &&
	    debug_frame(debug, VECTOR_BP, &frame) && frame.cs & 3 && frame.rip == rip + 1) {
		frame.rip = rip;
		debug_rewind(debug, &frame);
	}
	return stop_because(DEBUG_STEPPED);
}

/* Whether the instruction runs to where it goes, which is known, rather than with a trap behind it.
 */
static bool goes_to_target(const struct debug *debug, enum debug_special special)
{
	switch (special) {
	case SPECIAL_EXIT:
		return true;
	case SPECIAL_IRET:
	case SPECIAL_SYSRET:
	case SPECIAL_SYSEXIT:
	case SPECIAL_FAR_RET:
	case SPECIAL_GROUP:
		return debug_cpl(debug) != 3 && debug->fence_count;
	default:
		return false;
	}
}

/* ---- To the next entry -------------------------------------------------------------------------
 */

/* At #BP's stub: a point of ring 3, taken back to; or the guest's own INT3. */
static bool is_point3(struct debug *debug)
{
	struct debug_frame frame;
	const struct debug_point *point;

	if (debug_entry(debug, debug->state.regs.rip) != VECTOR_BP ||
	    !debug_frame(debug, VECTOR_BP, &frame) || !(frame.cs & 3))
		return false;
	point = debug_find_point(debug, frame.rip - 1);
	if (!point || point->plant.planted != OPCODE_INT3)
		return false;
	frame.rip--;
	return debug_rewind(debug, &frame);
}

/* At full speed until it enters ring 0. */
static struct debug_stop run_to_entry(struct debug *debug)
{
	struct debug_plant *lifted = debug_lift(debug);
	bool alive;

	debug_put_dr6_back(debug);
	debug->mode = DEBUG_MODE_STEP3;
	debug->own_tf = true;
	debug_fence_up(debug);
	debug_clock_on(debug);
	alive =
	    debug_set_stepping(debug, false) && debug_forget(debug) && debug_run_to_event(debug);
	debug_clock_off(debug);
	if (alive)
		alive = debug_know(debug);
	debug_fence_down(debug);
	debug_replant(debug, lifted);
	debug->mode = DEBUG_MODE_FREE;
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_PLANT)
		is_point3(debug);
	return stop_because(DEBUG_STEPPED);
}

/* Whether this CPU is in HLT or about to be, and others have turns too: one of them may have to
 * send what it waits for. */
static bool is_at_hlt(const struct debug *debug)
{
	uint8_t code[2] = {0};

	if (!debug->has_clock)
		return false;
	debug_read(debug, debug->state.regs.rip - 1, code, sizeof(code));
	return code[1] == OPCODE_HLT ||
	       (code[0] == OPCODE_HLT && vcpu_is_halted(&debug->cpu->vcpu));
}

/* Whether interrupts can wait: not those that HLT waits for. */
static bool can_hold(const struct debug *debug)
{
	uint8_t code[32];
	size_t i = debug_read_code(debug, debug->state.regs.rip, code);

	return debug->can_hold && code[i] != OPCODE_HLT;
}

/* hold: interrupts wait. */
static struct debug_stop step(struct debug *debug, bool hold)
{
	struct debug_stop stop;
	enum debug_special special;

	if (!debug_know(debug))
		return stop_because(DEBUG_FAILED);
	if (debug_cpl(debug) == 3 && !debug->fence_count)
		return stop_because(DEBUG_NO_RING3);
	special = debug_special_at(debug, debug->state.regs.rip);
	debug->steps++;
	debug->hold = hold && can_hold(debug);
	if (is_at_hlt(debug)) {
		stop = run_to_entry(debug);
	} else if (goes_to_target(debug, special)) {
		debug_put_dr6_back(debug);
		stop = step_to_target(debug, special);
	} else if (debug_cpl(debug) == 3) {
		stop = step_ring3(debug, special);
	} else {
		debug_put_dr6_back(debug);
		stop = step_ring0(debug, special);
	}
	debug->hold = false;
	if (stop.why == DEBUG_STEPPED) {
		stop.watch = debug_check_watches(debug);
		if (stop.watch)
			stop.why = DEBUG_WATCHED;
	}
	return stop;
}

struct debug_stop debug_step(struct debug *debug)
{
	return step(debug, true);
}

/* ---- Freely ------------------------------------------------------------------------------------
 */

/* Whether to stop where the guest is now. */
static bool stops_here(struct debug *debug)
{
	return debug_know(debug) && debug_has_point(debug, debug->state.regs.rip);
}

/* One KVM_RUN of the guest at full speed. */
static struct debug_stop run_freely(struct debug *debug)
{
	bool alive;

	debug_put_dr6_back(debug);
	if (!debug_set_stepping(debug, false) || !debug_forget(debug))
		return stop_because(DEBUG_FAILED);
	debug_clock_on(debug);
	alive = debug_run_to_event(debug);
	debug_clock_off(debug);
	if (!alive)
		return over(debug);
	if (debug->event == DEBUG_EVENT_EXIT && debug->stop_at_exits)
		return stop_because(DEBUG_EXIT);
	if (debug->event == DEBUG_EVENT_PLANT) {
		is_point3(debug);
		if (stops_here(debug))
			return stop_because(DEBUG_POINT);
	}
	return stop_because(DEBUG_STEPPED);
}

static bool only_kernel_watches(const struct debug *debug)
{
	for (size_t i = 0; i < debug->watch_count; i++) {
		if (!debug->watches[i].kernel)
			return false;
	}
	return true;
}

struct debug_stop debug_go(struct debug *debug, bool first)
{
	const struct debug_point *here;

	if (!debug_know(debug))
		return stop_because(DEBUG_FAILED);
	here = debug_find_point(debug, debug->state.regs.rip);
	if (!first && here && here->uses && !debug_is_half_syscall(debug))
		return stop_because(DEBUG_POINT);
	if (!debug->watch_count && !here)
		return run_freely(debug);
	if (debug->watch_count && !here && debug_cpl(debug) == 3 && only_kernel_watches(debug) &&
	    debug->fence_count)
		return run_to_entry(debug);
	/* An interrupt before the instruction of a point would return to it: it would be met again.
	 */
	return step(debug, here);
}

bool debug_settle(struct debug *debug)
{
	if (!debug_know(debug))
		return false;
	if (debug_is_half_syscall(debug))
		debug_step(debug);
	return true;
}

/* Somebody wants the guest to stop, or nothing will happen any more. */
static struct debug_stop stop_because_of_others(struct debug *debug, enum debug_why why)
{
	return stop_because(debug_settle(debug) ? why : DEBUG_FAILED);
}

/* Signals may keep coming: each of them ends one KVM_RUN. */
static struct debug_stop run_on(struct debug *debug)
{
	bool first = true;

	for (;;) {
		struct debug_stop stop;

		switch (debug_take_turn(debug)) {
		case DEBUG_TURN_OWN:
			break;
		case DEBUG_TURN_OTHER:
			first = false;
			break;
		case DEBUG_TURN_NOBODY:
			return stop_because_of_others(debug, DEBUG_IDLE);
		case DEBUG_TURN_FAILED:
			return stop_because(DEBUG_FAILED);
		}
		stop = debug_go(debug, first);
		first = false;
		if (stop.why != DEBUG_STEPPED)
			return stop;
		if (interrupted(debug))
			return stop_because_of_others(debug, DEBUG_INTERRUPTED);
	}
}

struct debug_stop debug_continue(struct debug *debug)
{
	const struct debug_stop stop = run_on(debug);

	debug_turn_end(debug);
	return stop;
}

bool debug_let_go(struct debug *debug)
{
	debug_put_dr6_back(debug);
	return debug_set_stepping(debug, false) && debug_forget(debug);
}
