/* The debugger's engine: one KVM_RUN, and what it came back with. */
#include <errno.h>
#include <string.h>

#include "vmm/base/stop.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"
#include "vmm/run/run.h"

/* ---- Plants around one instruction -------------------------------------------------------------
 */

static void lift(struct engine *engine)
{
	struct engine_point *point = engine_find_point(engine, engine->state.regs.rip);

	if (!point)
		return;
	if (*point->plant.at == point->plant.planted)
		*point->plant.at = point->plant.original;
	engine->lifted = &point->plant;
}

static void replant(struct engine *engine)
{
	struct engine_plant *plant = engine->lifted;

	engine->lifted = NULL;
	if (plant)
		engine_plant(plant, plant->va, plant->at, plant->planted);
}

void engine_fence_up(struct engine *engine, enum engine_mode mode)
{
	lift(engine);
	engine->mode = mode;
	engine->stepped = engine->state.regs.rip;
	for (size_t i = 0; i < engine->fence_count; i++) {
		struct engine_plant *plant = &engine->fence[i];

		/* Not under the instruction that is to run. */
		if (plant->va == engine->stepped)
			continue;
		engine_plant(plant, plant->va, plant->at, OPCODE_OUT);
	}
}

void engine_fence_down(struct engine *engine)
{
	for (size_t i = engine->fence_count; i-- > 0;) {
		struct engine_plant *plant = &engine->fence[i];
		uint8_t *at = plant->at;

		engine_unplant(plant);
		plant->at = at;
		plant->planted = plant->original; /* down: nothing to take back */
	}
	replant(engine);
	engine->mode = ENGINE_MODE_FREE;
}

static bool fence_has(const struct engine *engine, uint64_t va)
{
	return engine->mode != ENGINE_MODE_FREE && va != engine->stepped &&
	       engine_entry(engine, va) >= 0;
}

/* ---- One KVM_RUN ----------------------------------------------------------------------------- */

bool engine_set_stepping(struct engine *engine, bool on)
{
	struct kvm_guest_debug debugging = {.control = on ? KVM_GUESTDBG_SINGLESTEP : 0};

	if (engine->hold)
		debugging.control |= KVM_GUESTDBG_BLOCKIRQ;
	if (debugging.control)
		debugging.control |= KVM_GUESTDBG_ENABLE;
	/* Again for every step: KVM remembers for which RIP it was asked. */
	if (!on && debugging.control == engine->control)
		return true;
	engine->control = debugging.control;
	return KVM_IOCTL(engine->cpu->vcpu.fd, KVM_SET_GUEST_DEBUG, &debugging) == 0;
}

/* What a signal handler has set, but for a request to end the run: that is nobody's to forget. */
static void clear_immediate_exit(struct kvm_run *run)
{
	__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (stop_requested())
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

bool engine_has_plant(const struct engine *engine, uint64_t va)
{
	const struct engine_point *point = engine_find_point(engine, va);

	if (point && point->plant.planted == OPCODE_OUT && &point->plant != engine->lifted)
		return true;
	return fence_has(engine, va);
}

bool engine_is_half_syscall(const struct engine *engine)
{
	return engine_cpl(engine) == 3 &&
	       engine_entry(engine, engine->state.regs.rip) == ENGINE_ENTRY_SYSCALL;
}

/* A signal may end KVM_RUN between the arrival at a plant and the OUT that stands there: as good as
 * the OUT, and all that tells of an INT3 of ours on its way through #BP's gate.  False after a
 * message. */
static bool see_arrival(struct engine *engine)
{
	if (!engine_know(engine))
		return false;
	if (engine_has_plant(engine, engine->state.regs.rip) && !engine_is_half_syscall(engine))
		engine->event = ENGINE_EVENT_PLANT;
	return true;
}

/* Lets KVM finish the instruction of an exit, without entering the guest. */
static bool finish_instruction(struct engine *engine)
{
	struct kvm_run *run = engine->cpu->vcpu.run;
	int error;

	if (!engine_set_stepping(engine, false))
		return false;
	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	error = vcpu_run(&engine->cpu->vcpu);
	clear_immediate_exit(run);
	engine->known = false;
	return error == EINTR && engine_know(engine);
}

/*
 * Whether an exit by port I/O is a plant's; then the guest is put back before it.  When the exit
 * arrives RIP is at the OUT on one KVM and behind it on another, and so it says nothing as long as
 * the guest's own OUT may stand next to a plant: only a finished instruction has a known place.
 */
static bool is_plant(struct engine *engine)
{
	struct kvm_run *run = engine->cpu->vcpu.run;
	const __typeof__(run->io) io = run->io;
	uint8_t *data = (uint8_t *)run + io.data_offset, byte;

	if (io.direction != KVM_EXIT_IO_OUT || io.size != 1 || io.count != 1 ||
	    !engine_know(engine) ||
	    (!engine_has_plant(engine, engine->state.regs.rip) &&
	     !engine_has_plant(engine, engine->state.regs.rip - 1)))
		return false;
	byte = *data;
	if (finish_instruction(engine) && engine_has_plant(engine, engine->state.regs.rip - 1)) {
		engine->state.regs.rip--;
		engine->changed = true;
		return true;
	}
	/* The guest's own: to be served now, with nothing left to finish. */
	run->exit_reason = KVM_EXIT_IO;
	run->io = io;
	*data = byte;
	return false;
}

/* An exit of the guest's own in the middle of a step: what TF does to the rest of the instruction
 * differs, so let it end without. */
static void stop_stepping(struct engine *engine)
{
	if (engine->mode == ENGINE_MODE_STEP0) {
		engine_set_stepping(engine, false);
	} else if (engine->mode == ENGINE_MODE_STEP3 && !engine->own_tf && engine_know(engine)) {
		engine->state.regs.rflags &= ~RFLAGS_TF;
		engine->changed = false;
		vcpu_write(&engine->cpu->vcpu, &engine->state, STATE_REGS);
		engine->known = false;
	}
}

bool engine_takes_exit(struct engine *engine)
{
	switch (engine->cpu->vcpu.run->exit_reason) {
	case KVM_EXIT_DEBUG:
		engine->event = ENGINE_EVENT_STEP;
		break;
	case KVM_EXIT_IO:
		engine->event = is_plant(engine) ? ENGINE_EVENT_PLANT : ENGINE_EVENT_EXIT;
		break;
	default:
		engine->event = ENGINE_EVENT_EXIT;
		break;
	}
	if (engine->event == ENGINE_EVENT_EXIT) {
		stop_stepping(engine);
		return false;
	}
	stats_reassign(&engine->cpu->stats, STATS_DEBUGGER);
	engine->own_exits++;
	engine->own_ticks += engine->single ? engine->cpu->stats.inside : 0;
	engine->taken_at = engine->cpu->stats.last;
	return true;
}

/* KVM_RUN, once.  A return without an exit is the debugger's, but where a mark was due. */
static bool run_and_count(struct engine *engine)
{
	struct cpu *cpu = engine->cpu;
	const bool mark_due = cpu->mark_due;
	const bool enters = !engine->single && !cpu->vcpu.run->immediate_exit;
	bool alive;

	if (engine->taken_at)
		engine->own_ticks += stats_now() - engine->taken_at;
	engine->taken_at = 0;
	engine->event = ENGINE_EVENT_NONE;
	engine->known = engine->entries_known = false;
	alive = run_once(cpu);
	engine->free_runs += enters;
	engine->free_ticks += enters ? cpu->stats.inside : 0;
	if (!alive)
		return false;
	if (engine->event == ENGINE_EVENT_NONE && !mark_due)
		stats_reassign(&cpu->stats, STATS_DEBUGGER);
	return true;
}

/* The instruction of an exit that has been served: KVM completes it on the next entry. */
static bool complete(struct engine *engine)
{
	struct kvm_run *run = engine->cpu->vcpu.run;
	bool alive;

	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	alive = run_and_count(engine);
	clear_immediate_exit(run);
	return alive;
}

bool engine_run_to_event(struct engine *engine)
{
	if (!run_and_count(engine))
		return false;
	if (engine->event == ENGINE_EVENT_NONE) {
		clear_immediate_exit(engine->cpu->vcpu.run);
		return see_arrival(engine);
	}
	if (engine->event != ENGINE_EVENT_EXIT)
		return true;
	if (!complete(engine))
		return false;
	engine->event = ENGINE_EVENT_EXIT;
	return true;
}

/* ---- DR6 ---------------------------------------------------------------------------------------
 */

void engine_keep_dr6(struct engine *engine)
{
	struct kvm_debugregs registers;

	if (engine->dr6_known)
		return;
	engine->dr6_known = kvm_try(engine->cpu->vcpu.fd, KVM_GET_DEBUGREGS, &registers) == 0;
	engine->dr6 = registers.dr6;
}

void engine_put_dr6_back(struct engine *engine)
{
	struct kvm_debugregs registers;

	if (!engine->dr6_known)
		return;
	engine->dr6_known = false;
	if (kvm_try(engine->cpu->vcpu.fd, KVM_GET_DEBUGREGS, &registers) < 0 ||
	    registers.dr6 == engine->dr6)
		return;
	registers.dr6 = engine->dr6;
	kvm_try(engine->cpu->vcpu.fd, KVM_SET_DEBUGREGS, &registers);
}
