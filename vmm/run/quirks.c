#include "vmm/run/quirks.h"

#include <string.h>

enum { UD_RUNS_MAX = 1000 };

/* NP 0F 01 CA: CLAC, NP 0F 01 CB: STAC (SDM volume 2). */
static bool is_clac(const struct kvm_run *run)
{
	return memcmp(run->emulation_failure.insn_bytes, "\x0f\x01\xca", 3) == 0;
}
static bool is_stac(const struct kvm_run *run)
{
	return memcmp(run->emulation_failure.insn_bytes, "\x0f\x01\xcb", 3) == 0;
}

static bool has_bytes(const struct kvm_run *run)
{
	return run->emulation_failure.ndata >= 3 &&
	       run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES &&
	       run->emulation_failure.insn_size >= 3;
}

/* KVM has queued a #UD for the instruction that it could not emulate, and would deliver it. */
static void clear_exception(struct vcpu_state *state)
{
	state->events.exception.injected = 0;
	state->events.exception.pending = 0;
	state->events.flags = 0;
}

static bool complete_stac(struct cpu *cpu, struct vcpu_state *state)
{
	const struct kvm_run *run = cpu->vcpu.run;

	if (!has_bytes(run) || !(is_stac(run) || is_clac(run)))
		return false;
	if (is_stac(run))
		state->regs.rflags |= RFLAGS_AC;
	else
		state->regs.rflags &= ~RFLAGS_AC;
	state->regs.rip += 3;
	clear_exception(state);
	if (!vcpu_write(&cpu->vcpu, state, STATE_REGS | STATE_EVENTS))
		return false;
	cpu->stats.quirk_stac++;
	cpu->machine->quirks |= RS_QUIRK_NO_STAC;
	if (cpu->machine->boot.page)
		boot_set_quirk(&cpu->machine->boot, RS_QUIRK_NO_STAC);
	return true;
}

static bool inject_ud(struct cpu *cpu, struct vcpu_state *state)
{
	/* A handler that gets on with it leaves a trace in some register, RIP at least. */
	if (memcmp(&cpu->ud_regs, &state->regs, sizeof(state->regs)) != 0)
		cpu->ud_runs = 0;
	cpu->ud_regs = state->regs;
	if (++cpu->ud_runs > UD_RUNS_MAX)
		return false;
	clear_exception(state);
	state->events.exception.injected = 1;
	state->events.exception.nr = VECTOR_UD;
	state->events.exception.has_error_code = 0;
	if (!vcpu_write(&cpu->vcpu, state, STATE_EVENTS))
		return false;
	cpu->stats.quirk_ud_injected++;
	return true;
}

bool quirk_complete(struct cpu *cpu)
{
	struct vcpu_state state;

	if (cpu->vcpu.run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    !vcpu_read(&cpu->vcpu, &state, STATE_BASIC))
		return false;
	/* CPL is SS.DPL (SDM 5.5). */
	if (state.sregs.ss.dpl == 3)
		return inject_ud(cpu, &state);
	return state.sregs.ss.dpl == 0 && complete_stac(cpu, &state);
}
