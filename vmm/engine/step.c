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

static struct engine_stop stop_because(enum engine_why why)
{
	return (struct engine_stop){.why = why};
}

/* The TF that we set is in what the instruction has stored.  `at`: the byte with bit 8 of it. */
static void clear_stored_tf(struct engine *engine, uint64_t at)
{
	uint8_t *byte = engine_byte(engine, at + 1);

	if (byte && !engine->own_tf)
		*byte &= (uint8_t) ~(RFLAGS_TF >> 8);
}

/* The instruction ended at an entry of ring 0, with TF in what the processor saved. */
static void clear_saved_tf(struct engine *engine, int entry)
{
	unsigned vector = (unsigned)entry;
	bool has_error = vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1;

	if (vector < 256)
		clear_stored_tf(engine, engine->state.regs.rsp + (has_error ? 8 : 0) + 16);
}

/* SYSENTER, for one, leaves it set. */
static void clear_live_tf(struct engine *engine)
{
	if (engine->own_tf || !(engine->state.regs.rflags & RFLAGS_TF))
		return;
	engine->state.regs.rflags &= ~RFLAGS_TF;
	engine->changed = true;
}

static void clear_syscall_tf(struct engine *engine)
{
	if (engine->own_tf)
		return;
	engine->state.regs.r11 &= ~RFLAGS_TF;
	engine->changed = true;
}

static bool interrupted(const struct engine *engine)
{
	return engine->attention && *engine->attention;
}

/* Whether the CPU waits in HLT, and somebody will not wait for it. */
static bool waits_in_vain(const struct engine *engine)
{
	return interrupted(engine) && vcpu_is_halted(&engine->cpu->vcpu);
}

/* Until the one instruction is done or has ended at an entry; or not, while the CPU halts.  False:
 * the run is over. */
static bool run_one(struct engine *engine, uint64_t from)
{
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		if (!engine_run_to_event(engine))
			return false;
		if (engine->event != ENGINE_EVENT_NONE)
			return true;
		/* A signal; it may have come when the instruction was done. */
		if (engine->state.regs.rip != from)
			return true;
		if (waits_in_vain(engine))
			return true;
		if (engine->mode == ENGINE_MODE_STEP0 && !engine_set_stepping(engine, true))
			return false;
	}
	return true;
}

/* run_once said no. */
static struct engine_stop over(const struct engine *engine)
{
	if (engine->machine->outcome.reason != END_RUNNING)
		return stop_because(ENGINE_ENDED);
	/* Halted for ever, but others go on. */
	return stop_because(engine->cpu->halted ? ENGINE_STEPPED : ENGINE_FAILED);
}

/* alive: what came of running between the fences.  False: the run is over. */
static bool end_fenced(struct engine *engine, bool alive)
{
	alive = alive && engine_know(engine);
	engine_fence_down(engine);
	return alive;
}

static struct engine_stop step_ring0(struct engine *engine, enum engine_special special)
{
	const uint64_t from = engine->state.regs.rip;

	engine->own_tf = engine->state.regs.rflags & RFLAGS_TF;
	engine_fence_up(engine, ENGINE_MODE_STEP0);
	if (!end_fenced(engine, engine_forget(engine) && engine_set_stepping(engine, true) &&
	                            run_one(engine, from)))
		return over(engine);
	if (engine->event == ENGINE_EVENT_PLANT)
		clear_saved_tf(engine, engine_entry(engine, engine->state.regs.rip));
	else if (special == SPECIAL_PUSHF)
		clear_stored_tf(engine, engine->state.regs.rsp);
	return stop_because(ENGINE_STEPPED);
}

/* What the OUT at an entry has stopped: our own #DB, which is taken back, or a real entry.  A
 * processor that lets TF through SYSCALL comes here from the first instruction behind it, in ring
 * 0. */
static void end_step3(struct engine *engine, enum engine_special special, bool own_flags)
{
	int entry = engine_entry(engine, engine->state.regs.rip);
	struct engine_frame frame;

	if (special == SPECIAL_SYSCALL)
		clear_syscall_tf(engine);
	if (entry != VECTOR_DB || special == SPECIAL_ICEBP || engine->own_tf ||
	    !engine_frame(engine, VECTOR_DB, &frame)) {
		clear_saved_tf(engine, entry);
		clear_live_tf(engine);
		return;
	}
	if (!own_flags)
		frame.rflags &= ~RFLAGS_TF;
	engine_rewind(engine, &frame);
	if (special == SPECIAL_PUSHF)
		clear_stored_tf(engine, frame.rsp);
}

static struct engine_stop step_ring3(struct engine *engine, enum engine_special special)
{
	const uint64_t from = engine->state.regs.rip;
	const bool own_flags = engine_loads_flags(engine, from);

	engine_keep_dr6(engine);
	engine->own_tf = engine->state.regs.rflags & RFLAGS_TF;
	engine->state.regs.rflags |= RFLAGS_TF;
	engine->changed = true;
	engine_fence_up(engine, ENGINE_MODE_STEP3);
	if (!end_fenced(engine, engine_set_stepping(engine, false) && engine_forget(engine) &&
	                            run_one(engine, from)))
		return over(engine);
	if (engine->event == ENGINE_EVENT_PLANT) {
		end_step3(engine, special, own_flags);
	} else {
		clear_live_tf(engine);
	}
	return stop_because(ENGINE_STEPPED);
}

/* Where a return goes, and with which RPL of CS; the next instruction of the others.  False: what
 * it reads is not there. */
static bool target_of(const struct engine *engine, enum engine_special special, uint64_t *rip,
                      uint64_t *cs)
{
	uint64_t words[2];

	if (special == SPECIAL_SYSRET || special == SPECIAL_SYSEXIT) {
		*rip = special == SPECIAL_SYSRET ? engine->state.regs.rcx : engine->state.regs.rdx;
		*cs = 3;
		return true;
	}
	if (special == SPECIAL_GROUP || special == SPECIAL_EXIT || special == SPECIAL_REP) {
		uint8_t code[32];
		size_t i = engine_read_code(engine, engine->state.regs.rip, code);

		*rip = engine->state.regs.rip + i + engine_size_from_opcode(code + i);
		*cs = engine_cpl(engine);
		return true;
	}
	if (engine_read(engine, engine->state.regs.rsp, words, sizeof(words)) != sizeof(words))
		return false;
	*rip = words[0];
	*cs = words[1];
	return true;
}

/* Runs to a plant where the instruction goes, with TF nowhere. */
static struct engine_stop step_to_target(struct engine *engine, enum engine_special special)
{
	struct engine_plant target = {0};
	uint64_t rip = 0, cs = 0;
	bool known = target_of(engine, special, &rip, &cs), alive;
	const struct engine_point *point = known ? engine_find_point(engine, rip) : NULL;
	uint8_t *at = known && rip != engine->state.regs.rip ? engine_byte(engine, rip) : NULL;

	engine->msrs_due = true; /* it may be WRMSR */
	engine->own_tf = true;   /* whatever TF there is, is the guest's */
	engine_fence_up(engine, ENGINE_MODE_STEP3);
	if (at && !point)
		engine_plant(&target, rip, at, cs & 3 ? OPCODE_INT3 : OPCODE_OUT);
	if (!(cs & 3) && target.at) {
		/* An OUT that has_plant knows of. */
		engine->points[engine->point_count] =
		    (struct engine_point){.plant = target, .hooks = 1};
		engine->point_count++;
	}
	alive = engine_set_stepping(engine, false) && engine_forget(engine) &&
	        run_one(engine, engine->state.regs.rip);
	if (!(cs & 3) && target.at)
		engine->point_count--;
	engine_unplant(&target);
	if (!end_fenced(engine, alive))
		return over(engine);

	struct engine_frame frame;

	if (engine->event == ENGINE_EVENT_PLANT &&
	    entries_lead(&engine->entries, VECTOR_BP, engine->state.regs.rip) &&
	    engine_frame(engine, VECTOR_BP, &frame) && frame.cs & 3 && frame.rip == rip + 1) {
		frame.rip = rip;
		engine_rewind(engine, &frame);
	}
	return stop_because(ENGINE_STEPPED);
}

/* Whether the instruction runs to where it goes, which is known, rather than with a trap behind it.
 */
static bool goes_to_target(const struct engine *engine, enum engine_special special)
{
	switch (special) {
	case SPECIAL_EXIT:
		return true;
	case SPECIAL_IRET:
	case SPECIAL_SYSRET:
	case SPECIAL_SYSEXIT:
	case SPECIAL_FAR_RET:
		return engine_cpl(engine) != 3 && engine_catches_ring3(engine);
	case SPECIAL_GROUP:
	case SPECIAL_REP:
		return engine_cpl(engine) != 3 && engine->fence_count;
	default:
		return false;
	}
}

/* ---- To the next entry -------------------------------------------------------------------------
 */

/* At #BP's stub: a point of ring 3, taken back to; or the guest's own INT3.  The page of such a
 * point may be one that ring 0 runs in, too: a kernel without SMEP. */
static bool is_point3(struct engine *engine)
{
	struct engine_frame frame;
	const struct engine_point *point;

	if (!entries_lead(&engine->entries, VECTOR_BP, engine->state.regs.rip) ||
	    !engine_frame(engine, VECTOR_BP, &frame))
		return false;
	point = engine_find_point(engine, frame.rip - 1);
	if (!point || point->plant.planted != OPCODE_INT3)
		return false;
	frame.rip--;
	return engine_rewind(engine, &frame);
}

/* At full speed until it enters ring 0. */
static struct engine_stop run_to_entry(struct engine *engine)
{
	bool alive;

	engine_put_dr6_back(engine);
	engine->own_tf = true;
	engine->msrs_due = true;
	engine->root_count = 0;
	engine_fence_up(engine, ENGINE_MODE_STEP3);
	engine_clock_on(engine);
	alive = engine_set_stepping(engine, false) && engine_forget(engine) &&
	        engine_run_to_event(engine);
	engine_clock_off(engine);
	if (!end_fenced(engine, alive))
		return over(engine);
	if (engine->event == ENGINE_EVENT_PLANT)
		is_point3(engine);
	return stop_because(ENGINE_STEPPED);
}

/* Whether this CPU is in HLT or about to be, and others have turns too: one of them may have to
 * send what it waits for. */
static bool is_at_hlt(const struct engine *engine)
{
	uint8_t code[2] = {0};

	if (!engine->has_clock)
		return false;
	engine_read(engine, engine->state.regs.rip - 1, code, sizeof(code));
	return code[1] == OPCODE_HLT ||
	       (code[0] == OPCODE_HLT && vcpu_is_halted(&engine->cpu->vcpu));
}

/* Whether interrupts can wait: not those that HLT waits for. */
static bool can_hold(const struct engine *engine)
{
	uint8_t code[32];
	size_t i = engine_read_code(engine, engine->state.regs.rip, code);

	return engine->can_hold && code[i] != OPCODE_HLT;
}

/* hold: interrupts wait. */
static struct engine_stop step(struct engine *engine, bool hold)
{
	struct engine_stop stop;
	enum engine_special special;
	bool waits;

	if (!engine_look_at_entries(engine))
		return stop_because(ENGINE_FAILED);
	if (engine_cpl(engine) == 3 && !engine_catches_ring3(engine))
		return stop_because(ENGINE_NO_RING3);
	special = engine_special_at(engine, engine->state.regs.rip);
	engine->steps++;
	engine->hold = hold && can_hold(engine);
	waits = is_at_hlt(engine);
	engine->single = !waits;
	if (waits) {
		stop = run_to_entry(engine);
	} else if (goes_to_target(engine, special)) {
		engine_put_dr6_back(engine);
		stop = step_to_target(engine, special);
	} else if (engine_cpl(engine) == 3) {
		stop = step_ring3(engine, special);
	} else {
		engine_put_dr6_back(engine);
		stop = step_ring0(engine, special);
	}
	engine->hold = engine->single = false;
	if (stop.why == ENGINE_STEPPED) {
		stop.watch = engine_check_watches(engine);
		if (stop.watch)
			stop.why = ENGINE_WATCHED;
	}
	return stop;
}

struct engine_stop engine_step(struct engine *engine)
{
	return step(engine, true);
}

/* ---- Freely ------------------------------------------------------------------------------------
 */

/* Whether to stop where the guest is now. */
static bool stops_here(struct engine *engine)
{
	return engine_know(engine) && engine_has_point(engine, engine->state.regs.rip);
}

/* One KVM_RUN of the guest at full speed. */
static struct engine_stop run_freely(struct engine *engine)
{
	bool alive;

	engine_put_dr6_back(engine);
	if (!engine_set_stepping(engine, false) || !engine_forget(engine))
		return stop_because(ENGINE_FAILED);
	engine->msrs_due = true;
	engine->root_count = 0;
	engine_clock_on(engine);
	alive = engine_run_to_event(engine);
	engine_clock_off(engine);
	if (!alive)
		return over(engine);
	if ((engine->event == ENGINE_EVENT_PLANT || engine->asks) &&
	    !engine_look_at_entries(engine))
		return stop_because(ENGINE_FAILED);
	if (engine->event == ENGINE_EVENT_EXIT && engine->stop_at_exits)
		return stop_because(ENGINE_EXIT);
	if (engine->event == ENGINE_EVENT_PLANT) {
		is_point3(engine);
		if (stops_here(engine))
			return stop_because(ENGINE_POINT);
	}
	return stop_because(ENGINE_STEPPED);
}

bool engine_enter_in_vain(struct engine *engine, uint64_t *ticks)
{
	const struct cpu *cpu = engine->cpu;
	const uint64_t rip = engine->state.regs.rip;
	const bool came_back = run_freely(engine).why == ENGINE_POINT;

	*ticks = cpu->stats.inside;
	return came_back && engine->cpu == cpu && engine->state.regs.rip == rip;
}

static bool only_kernel_watches(const struct engine *engine)
{
	for (size_t i = 0; i < engine->watch_count; i++) {
		if (!engine->watches[i].kernel)
			return false;
	}
	return true;
}

struct engine_stop engine_go(struct engine *engine, bool first)
{
	const struct engine_point *here;

	if (!(engine->entries_cpu == engine->cpu ? engine_know(engine)
	                                         : engine_look_at_entries(engine)))
		return stop_because(ENGINE_FAILED);
	here = engine_find_point(engine, engine->state.regs.rip);
	if (!first && here && here->uses && !engine_is_half_syscall(engine))
		return stop_because(ENGINE_POINT);
	if (!engine->watch_count && !here)
		return run_freely(engine);
	if (engine->watch_count && !here && engine_cpl(engine) == 3 &&
	    only_kernel_watches(engine) && engine_catches_ring3(engine))
		return run_to_entry(engine);
	/* An interrupt before the instruction of a point would return to it: it would be met again.
	 */
	return step(engine, here);
}

bool engine_settle(struct engine *engine)
{
	if (!engine_look_at_entries(engine))
		return false;
	if (engine_is_half_syscall(engine))
		engine_step(engine);
	return true;
}

/* Somebody wants the guest to stop, or nothing will happen any more. */
static struct engine_stop stop_because_of_others(struct engine *engine, enum engine_why why)
{
	return stop_because(engine_settle(engine) ? why : ENGINE_FAILED);
}

/* Signals may keep coming: each of them ends one KVM_RUN. */
static struct engine_stop run_on(struct engine *engine)
{
	bool first = true;

	for (;;) {
		struct engine_stop stop;

		switch (engine_take_turn(engine)) {
		case ENGINE_TURN_OWN:
			break;
		case ENGINE_TURN_OTHER:
			first = false;
			break;
		case ENGINE_TURN_NOBODY:
			return stop_because_of_others(engine, ENGINE_IDLE);
		case ENGINE_TURN_FAILED:
			return stop_because(ENGINE_FAILED);
		}
		stop = engine_go(engine, first);
		first = false;
		if (stop.why != ENGINE_STEPPED)
			return stop;
		if (interrupted(engine))
			return stop_because_of_others(engine, ENGINE_INTERRUPTED);
	}
}

struct engine_stop engine_continue(struct engine *engine)
{
	const struct engine_stop stop = run_on(engine);

	engine_turn_end(engine);
	return stop;
}

bool engine_let_go(struct engine *engine)
{
	engine_put_dr6_back(engine);
	return engine_set_stepping(engine, false) && engine_forget(engine);
}
