/* The debugger's engine: one KVM_RUN, and what it came back with. */
#include <errno.h>
#include <string.h>

#include "vmm/base/stop.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"
#include "vmm/run/run.h"

/* ---- Plants around one instruction -------------------------------------------------------------
 */

void debug_fence_up(struct debug *debug)
{
	debug->stepped = debug->state.regs.rip;
	for (size_t i = 0; i < debug->fence_count; i++) {
		struct debug_plant *plant = &debug->fence[i];

		/* Not under the instruction that is to run. */
		if (plant->va == debug->stepped)
			continue;
		debug_plant(plant, plant->va, plant->at, OPCODE_OUT);
	}
}

void debug_fence_down(struct debug *debug)
{
	for (size_t i = debug->fence_count; i-- > 0;) {
		struct debug_plant *plant = &debug->fence[i];
		uint8_t *at = plant->at;

		debug_unplant(plant);
		plant->at = at;
		plant->planted = plant->original; /* down: nothing to take back */
	}
}

static bool fence_has(const struct debug *debug, uint64_t va)
{
	return debug->mode != DEBUG_MODE_FREE && va != debug->stepped &&
	       debug_entry(debug, va) >= 0;
}

struct debug_plant *debug_lift(struct debug *debug)
{
	struct debug_point *point = debug_find_point(debug, debug->state.regs.rip);

	if (!point)
		return NULL;
	if (*point->plant.at == point->plant.planted)
		*point->plant.at = point->plant.original;
	debug->lifted = &point->plant;
	return &point->plant;
}

void debug_replant(struct debug *debug, struct debug_plant *plant)
{
	debug->lifted = NULL;
	if (plant)
		debug_plant(plant, plant->va, plant->at, plant->planted);
}

/* ---- One KVM_RUN ----------------------------------------------------------------------------- */

bool debug_set_stepping(struct debug *debug, bool on)
{
	struct kvm_guest_debug debugging = {.control = on ? KVM_GUESTDBG_SINGLESTEP : 0};

	if (debug->hold)
		debugging.control |= KVM_GUESTDBG_BLOCKIRQ;
	if (debugging.control)
		debugging.control |= KVM_GUESTDBG_ENABLE;
	/* Again for every step: KVM remembers for which RIP it was asked. */
	if (!on && debugging.control == debug->control)
		return true;
	debug->control = debugging.control;
	return KVM_IOCTL(debug->cpu->vcpu.fd, KVM_SET_GUEST_DEBUG, &debugging) == 0;
}

/* What a signal handler has set, but for a request to end the run: that is nobody's to forget. */
static void clear_immediate_exit(struct kvm_run *run)
{
	__atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (stop_requested())
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

bool debug_has_plant(const struct debug *debug, uint64_t va)
{
	const struct debug_point *point = debug_find_point(debug, va);

	if (point && point->plant.planted == OPCODE_OUT && &point->plant != debug->lifted)
		return true;
	return fence_has(debug, va);
}

bool debug_is_half_syscall(const struct debug *debug)
{
	return debug_cpl(debug) == 3 &&
	       debug_entry(debug, debug->state.regs.rip) == DEBUG_ENTRY_SYSCALL;
}

/* A signal may end KVM_RUN between the arrival at a plant and the OUT that stands there: as good as
 * the OUT, and all that tells of an INT3 of ours on its way through #BP's gate.  False after a
 * message. */
static bool see_arrival(struct debug *debug)
{
	if (!debug_know(debug))
		return false;
	if (debug_has_plant(debug, debug->state.regs.rip) && !debug_is_half_syscall(debug))
		debug->event = DEBUG_EVENT_PLANT;
	return true;
}

/* Lets KVM finish the instruction of an exit, without entering the guest. */
static bool finish_instruction(struct debug *debug)
{
	struct kvm_run *run = debug->cpu->vcpu.run;
	int error;

	if (!debug_set_stepping(debug, false))
		return false;
	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	error = vcpu_run(&debug->cpu->vcpu);
	clear_immediate_exit(run);
	debug->known = false;
	return error == EINTR && debug_know(debug);
}

/*
 * Whether an exit by port I/O is a plant's; then the guest is put back before it.  When the exit
 * arrives RIP is at the OUT on one KVM and behind it on another, and so it says nothing as long as
 * the guest's own OUT may stand next to a plant: only a finished instruction has a known place.
 */
static bool is_plant(struct debug *debug)
{
	struct kvm_run *run = debug->cpu->vcpu.run;
	const __typeof__(run->io) io = run->io;
	uint8_t *data = (uint8_t *)run + io.data_offset, byte;

	if (io.direction != KVM_EXIT_IO_OUT || io.size != 1 || io.count != 1 ||
	    !debug_know(debug) ||
	    (!debug_has_plant(debug, debug->state.regs.rip) &&
	     !debug_has_plant(debug, debug->state.regs.rip - 1)))
		return false;
	byte = *data;
	if (finish_instruction(debug) && debug_has_plant(debug, debug->state.regs.rip - 1)) {
		debug->state.regs.rip--;
		debug->changed = true;
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
static void stop_stepping(struct debug *debug)
{
	if (debug->mode == DEBUG_MODE_STEP0) {
		debug_set_stepping(debug, false);
	} else if (debug->mode == DEBUG_MODE_STEP3 && !debug->own_tf && debug_know(debug)) {
		debug->state.regs.rflags &= ~RFLAGS_TF;
		debug->changed = false;
		vcpu_write(&debug->cpu->vcpu, &debug->state, STATE_REGS);
		debug->known = false;
	}
}

bool debug_takes_exit(struct debug *debug)
{
	switch (debug->cpu->vcpu.run->exit_reason) {
	case KVM_EXIT_DEBUG:
		debug->event = DEBUG_EVENT_STEP;
		break;
	case KVM_EXIT_IO:
		debug->event = is_plant(debug) ? DEBUG_EVENT_PLANT : DEBUG_EVENT_EXIT;
		break;
	default:
		debug->event = DEBUG_EVENT_EXIT;
		break;
	}
	if (debug->event == DEBUG_EVENT_EXIT) {
		stop_stepping(debug);
		return false;
	}
	stats_reassign(&debug->cpu->stats, STATS_DEBUGGER);
	return true;
}

/* KVM_RUN, once.  A return without an exit is the debugger's, but where a mark was due. */
static bool run_and_count(struct debug *debug)
{
	struct cpu *cpu = debug->cpu;
	const bool mark_due = cpu->mark_due;

	debug->event = DEBUG_EVENT_NONE;
	debug->known = false;
	if (!run_once(cpu))
		return false;
	if (debug->event == DEBUG_EVENT_NONE && !mark_due)
		stats_reassign(&cpu->stats, STATS_DEBUGGER);
	return true;
}

/* The instruction of an exit that has been served: KVM completes it on the next entry. */
static bool complete(struct debug *debug)
{
	struct kvm_run *run = debug->cpu->vcpu.run;
	bool alive;

	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	alive = run_and_count(debug);
	clear_immediate_exit(run);
	return alive;
}

bool debug_run_to_event(struct debug *debug)
{
	if (!run_and_count(debug))
		return false;
	if (debug->event == DEBUG_EVENT_NONE) {
		clear_immediate_exit(debug->cpu->vcpu.run);
		return see_arrival(debug);
	}
	if (debug->event != DEBUG_EVENT_EXIT)
		return true;
	if (!complete(debug))
		return false;
	debug->event = DEBUG_EVENT_EXIT;
	return true;
}

/* ---- DR6 ---------------------------------------------------------------------------------------
 */

void debug_keep_dr6(struct debug *debug)
{
	struct kvm_debugregs registers;

	if (debug->dr6_known)
		return;
	debug->dr6_known = kvm_try(debug->cpu->vcpu.fd, KVM_GET_DEBUGREGS, &registers) == 0;
	debug->dr6 = registers.dr6;
}

void debug_put_dr6_back(struct debug *debug)
{
	struct kvm_debugregs registers;

	if (!debug->dr6_known)
		return;
	debug->dr6_known = false;
	if (kvm_try(debug->cpu->vcpu.fd, KVM_GET_DEBUGREGS, &registers) < 0 ||
	    registers.dr6 == debug->dr6)
		return;
	registers.dr6 = debug->dr6;
	kvm_try(debug->cpu->vcpu.fd, KVM_SET_DEBUGREGS, &registers);
}
