/* Questions of --probe about what stops a guest: interrupts, KVM's debugging, a triple fault. */
#include "vmm/instruments/probe/probe_questions.h"

#include "shared/x86.h"
#include "vmm/instruments/probe/probe_guest.h"

/* ---- Interrupts -------------------------------------------------------------------------- */

void probe_ask_lapic_timer(struct asking *asking)
{
	enum { COUNT = 2000000 }; /* ticks of KVM's 1 GHz APIC bus: 2 ms */
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;
	uint64_t halted = 0;

	for (int ring = 0; ring <= 3; ring += 3) {
		probe_vm_start0(vm, probe_r0_apic);
		vm->regs.rsi = COUNT;
		probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
		if (stop.end != PROBE_DONE)
			break;
		probe_start(vm, (unsigned)ring, ring ? probe_r3_spin : probe_r0_halt);
		vm->regs.rflags |= RFLAGS_IF;
		probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
		if (!probe_is_trap(&stop, PROBE_TIMER_VECTOR, 0))
			break;
		if (ring == 0)
			halted = stop.nanoseconds;
	}
	if (probe_is_trap(&stop, PROBE_TIMER_VECTOR, 0) && stop.cpl == 3) {
		asking->result->values[0] = (struct probe_value){"asked_ns", COUNT};
		asking->result->values[1] = (struct probe_value){"halted_ns", (double)halted};
		asking->result->values[2] =
		    (struct probe_value){"ring3_ns", (double)stop.nanoseconds};
		asking_answer(asking, PROBE_AS_MANUAL, "fires; 2 ms take %.1f in ring 3",
		              (double)stop.nanoseconds / 1e6);
	} else {
		asking_unexpected(asking, &stop);
	}
}

void probe_ask_nmi(struct asking *asking)
{
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;

	probe_vm_start3(vm, probe_r3_spin);
	if (probe_vm_load(vm, &stop)) {
		kvm_try(vm->vcpu, KVM_NMI, NULL);
		probe_vm_continue(vm, PROBE_RUN_LIMIT, &stop);
	}
	if (probe_is_trap(&stop, VECTOR_NMI, 0))
		asking_answer(asking, PROBE_AS_MANUAL, "delivered on its IST stack");
	else
		asking_unexpected(asking, &stop);
}

/* ---- Debugging --------------------------------------------------------------------------- */

/* Loads a guest and arms debug; false when the result is already given. */
static bool start_debug(struct asking *asking, struct kvm_guest_debug *debug)
{
	const unsigned ring = asking->probe->ring;
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;

	probe_start(vm, ring, ring == 0 ? probe_r0_nops : probe_r3_nops);
	if (!probe_vm_load(vm, &stop)) {
		asking_no_answer(asking, &stop);
		return false;
	}
	if (kvm_try(vm->vcpu, KVM_SET_GUEST_DEBUG, debug) == 0)
		return true;
	asking_answer(asking, PROBE_NO_ANSWER, "KVM_SET_GUEST_DEBUG is refused");
	return false;
}

void probe_ask_step(struct asking *asking)
{
	enum { STEPS = 3 };
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;
	uint64_t steps = 0;

	if (!start_debug(asking, &debug))
		return;
	do {
		probe_vm_continue(vm, PROBE_RUN_LIMIT, &stop);
		steps += stop.end == PROBE_EXIT && stop.exit_reason == KVM_EXIT_DEBUG &&
		         stop.regs.rip == vm->regs.rip + steps + 1;
	} while (steps < STEPS && stop.end == PROBE_EXIT && stop.exit_reason == KVM_EXIT_DEBUG);
	if (steps == STEPS)
		asking_answer(asking, PROBE_AS_MANUAL, "stops after each instruction");
	else
		asking_answer(asking, PROBE_DIFFERS, "does not stop in ring %u", stop.cpl);
}

void probe_ask_breakpoint(struct asking *asking)
{
	enum { DR7_L0_G0 = 3, DR7_FIXED = 0x400 };
	uint64_t target = (asking->probe->ring == 0 ? probe_address0(probe_r0_nops)
	                                            : probe_address3(probe_r3_nops)) +
	                  2;
	struct kvm_guest_debug debug = {
	    .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
	    .arch.debugreg = {[0] = target, [7] = DR7_FIXED | DR7_L0_G0},
	};
	struct probe_stop stop;

	if (!start_debug(asking, &debug))
		return;
	probe_vm_continue(&asking->vm, PROBE_RUN_LIMIT, &stop);
	if (stop.end == PROBE_EXIT && stop.exit_reason == KVM_EXIT_DEBUG && stop.regs.rip == target)
		asking_answer(asking, PROBE_AS_MANUAL, "stops there");
	else
		asking_answer(asking, PROBE_DIFFERS, "never fires");
}

/* #UD without an IDT: a triple fault.  What do the registers say then? */
void probe_ask_shutdown(struct asking *asking)
{
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;

	probe_vm_start3(vm, probe_r3_end);
	vm->sregs.idt.limit = 0;
	probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
	if (stop.end != PROBE_EXIT || stop.exit_reason != KVM_EXIT_SHUTDOWN)
		asking_unexpected(asking, &stop);
	else
		asking_answer(asking, PROBE_MEASURED, "SHUTDOWN; %s",
		              stop.regs.rip == vm->regs.rip ? "registers are kept"
		                                            : "registers are reset");
}
