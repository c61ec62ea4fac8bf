#include "vmm/run/hypercall.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/stop.h"
#include "vmm/run/threads.h"

/* A copy of guest memory that the compiler may not repeat. */
static void copy_once(void *to, const volatile void *from, size_t size)
{
	memcpy(to, (const void *)(uintptr_t)from, size);
	__asm__ volatile("" : : : "memory");
}

static struct rs_call *call_page(const struct cpu *cpu)
{
	return cpu->machine->boot.call[cpu->number];
}

/* ---- Calls --------------------------------------------------------------------------------- */

/* RS_CALL_WRITE: bytes written, or a negative errno value. */
static int64_t call_write(struct cpu *cpu, const uint64_t arg[4])
{
	struct rs_call *call = call_page(cpu);

	if (arg[0] != 1 && arg[0] != 2)
		return -EBADF;
	if (arg[1] > sizeof(call->data))
		return -EMSGSIZE;
	/* From guest memory straight to where it goes: nothing decides on these bytes. */
	if (!console_write(&cpu->machine->console, (int)arg[0], call->data, arg[1]))
		return -EIO;
	cpu->stats.console_bytes += arg[1];
	return (int64_t)arg[1];
}

/* RS_CALL_RECORD: how many were taken, or a negative errno value. */
static int64_t call_record(struct cpu *cpu, uint64_t count)
{
	const void *list = call_page(cpu)->data;

	if (count == 0 || count > RS_RECORDS_A_CALL)
		return -EINVAL;
	return figures_take(&cpu->machine->figures, list, count);
}
_Static_assert(RS_RECORDS_A_CALL * sizeof(struct rs_record) <= sizeof(((struct rs_call *)0)->data),
               "what a call can bring lies in its data");

/* RS_CALL_ESCAPE: likewise. */
static int64_t call_escape(struct cpu *cpu, uint64_t count)
{
	const void *list = call_page(cpu)->data;

	if (count == 0 || count > RS_ESCAPES_A_CALL)
		return -EINVAL;
	return attempts_take(&cpu->machine->attempts, list, count);
}
_Static_assert(RS_ESCAPES_A_CALL * sizeof(struct rs_escape) <= sizeof(((struct rs_call *)0)->data),
               "what a call can bring lies in its data");

/* RS_CALL_PANIC: whatever the arguments are, the guest is dead. */
static void call_panic(struct cpu *cpu, const uint64_t arg[4])
{
	struct panic *panic = &cpu->machine->panic;
	const void *regs = memory_at(&cpu->machine->memory, arg[1], sizeof(panic->regs));

	panic->message_size = arg[0] < sizeof(panic->message) ? arg[0] : sizeof(panic->message);
	copy_once(panic->message, call_page(cpu)->data, panic->message_size);
	panic->has_regs = regs;
	if (regs)
		copy_once(&panic->regs, regs, sizeof(panic->regs));
}
_Static_assert(sizeof(((struct rs_call *)0)->data) == sizeof(((struct panic *)0)->message),
               "a message fits");

/* RS_CALL_START_CPU: 0, or a negative errno value.  False after a message: the VMM failed. */
static bool call_start_cpu(struct machine *machine, uint64_t number, int64_t *result)
{
	*result = -EINVAL;
	if (number == 0 || number >= machine->boot.cpus)
		return true;
	*result = machine->cpus[number].started ? -EALREADY : 0;
	return *result < 0 || threads_start(&machine->cpus[number]);
}

static bool nobody_waits(void *ctx)
{
	const struct machine *machine = ctx;

	return stop_requested() ||
	       __atomic_load_n(&machine->outcome.reason, __ATOMIC_RELAXED) != END_RUNNING;
}

/* RS_CALL_READ: bytes, or a negative errno value.  The other CPUs go on meanwhile. */
static int64_t call_read(struct cpu *cpu, uint64_t count)
{
	struct machine *machine = cpu->machine;
	char *data = call_page(cpu)->data;
	int64_t result;

	if (count > sizeof(call_page(cpu)->data))
		return -EINVAL;
	/* What the guest asks for is to be seen before it is answered. */
	if (!console_flush(&machine->console))
		return -EIO;
	machine_unlock(machine);
	result = console_read(data, count, nobody_waits, machine);
	machine_lock(machine);
	/* The run is over: immediate_exit keeps this CPU from seeing what is returned. */
	if (result == -EINTR)
		return 0;
	if (result > 0)
		cpu->stats.input_bytes += (uint64_t)result;
	return result;
}

static __attribute__((noinline)) bool do_call(struct cpu *cpu, uint32_t function)
{
	struct rs_call *call = call_page(cpu);
	uint64_t arg[4];
	int64_t result = -ENOSYS;

	copy_once(arg, call->arg, sizeof(arg));
	cpu->stats.hypercalls++;
	switch (function) {
	case RS_CALL_WRITE:
		result = call_write(cpu, arg);
		break;
	case RS_CALL_CLOCK:
		result = (int64_t)clock_ns();
		break;
	case RS_CALL_START_CPU:
		if (!call_start_cpu(cpu->machine, arg[0], &result))
			return machine_end(cpu->machine, END_VMM_FAILED);
		break;
	case RS_CALL_READ:
		result = call_read(cpu, arg[0]);
		break;
	case RS_CALL_RECORD:
		result = call_record(cpu, arg[0]);
		break;
	case RS_CALL_ESCAPE:
		result = call_escape(cpu, arg[0]);
		break;
	case RS_CALL_PANIC:
		call_panic(cpu, arg);
		return machine_end(cpu->machine, END_PANIC);
	default:
		observers_call(cpu->machine->observers, cpu, function, arg, call->data, &result);
		break;
	}
	if (result < 0)
		cpu->stats.bad_hypercalls++;
	call->result = result;
	return !cpu->machine->console.failed || machine_end(cpu->machine, END_VMM_FAILED);
}

/* ---- Marks --------------------------------------------------------------------------------- */

/* On some KVMs RIP is still at the OUT when the exit arrives, and moves when the next KVM_RUN
 * completes it.  So let one complete it without entering the guest, and look then. */
static void request_mark(struct cpu *cpu, unsigned slot)
{
	if (slot >= RS_MARKS) {
		cpu->stats.bad_hypercalls++;
		return;
	}
	cpu->mark_due = true;
	cpu->mark_slot = slot;
	cpu->vcpu.run->immediate_exit = 1;
	if (cpu->vcpu.sync_regs)
		cpu->vcpu.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

static bool read_state(struct cpu *cpu)
{
	struct kvm_run *run = cpu->vcpu.run;

	if (!cpu->vcpu.sync_regs)
		return vcpu_read(&cpu->vcpu, &cpu->last, STATE_BASIC);
	run->kvm_valid_regs = 0;
	cpu->last.regs = run->s.regs.regs;
	cpu->last.sregs = run->s.regs.sregs;
	return true;
}

bool hypercall_store_mark(struct cpu *cpu)
{
	uint64_t tsc;
	struct rs_mark *mark = &call_page(cpu)->marks[cpu->mark_slot];

	cpu->mark_due = false;
	if (!read_state(cpu))
		return false;
	vcpu_read_msr(&cpu->vcpu, MSR_TSC, &tsc); /* 0 if it fails */
	cpu->last_when = "at the last mark";

	const struct kvm_regs *regs = &cpu->last.regs;
	const struct kvm_sregs *sregs = &cpu->last.sregs;

	*mark = (struct rs_mark){
	    .count = mark->count + 1,
	    .rip = regs->rip,
	    .rsp = regs->rsp,
	    .rflags = regs->rflags,
	    .cr3 = sregs->cr3,
	    .cs = sregs->cs.selector,
	    .ss = sregs->ss.selector,
	    .cpl = sregs->ss.dpl,
	    .tsc = tsc,
	};
	return observers_marked(cpu->machine->observers, cpu, cpu->mark_slot, mark);
}

/* ---- Ports --------------------------------------------------------------------------------- */

static __attribute__((noinline)) bool do_putc(struct cpu *cpu, char byte)
{
	cpu->stats.console_bytes++;
	return console_write(&cpu->machine->console, 1, &byte, 1) ||
	       machine_end(cpu->machine, END_VMM_FAILED);
}

static bool write_port(struct cpu *cpu, uint64_t port, unsigned size, uint64_t word, void *ctx)
{
	const uint32_t value = (uint32_t)word;

	(void)ctx;
	switch (port) {
	case RS_PORT_PUTC:
		if (size != 1)
			break;
		return do_putc(cpu, (char)value);
	case RS_PORT_EXIT:
		cpu->machine->outcome.guest_status = value;
		return machine_end(cpu->machine,
		                   value <= STATUS_GUEST_MAX ? END_EXITED : END_BAD_STATUS);
	case RS_PORT_CALL:
		if (size != 4)
			break;
		return do_call(cpu, value);
	case RS_PORT_MARK:
		if (size != 1)
			break;
		request_mark(cpu, value);
		return true;
	case RS_PORT_NOP:
		return true;
	default:
		break;
	}
	cpu->stats.unknown_io++;
	return true;
}

const struct device hypercall_device = {
    .name = "Ringscope's ports",
    .bus = BUS_PORTS,
    .first = RS_PORT_PUTC,
    .last = RS_PORT_NOP,
    .write = write_port,
};
