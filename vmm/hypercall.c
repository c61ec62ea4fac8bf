#include "vmm/hypercall.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "vmm/message.h"
#include "vmm/trace/recorder.h"

enum { CPU = 0 }; /* the vCPU that calls: there is one */

/* A copy of guest memory that the compiler may not repeat. */
static void copy_once(void *to, const volatile void *from, size_t size)
{
	memcpy(to, (const void *)(uintptr_t)from, size);
	__asm__ volatile("" : : : "memory");
}

/* ---- Calls --------------------------------------------------------------------------------- */

/* RS_CALL_WRITE: bytes written, or a negative errno value. */
static int64_t call_write(struct machine *machine, const uint64_t arg[4])
{
	struct rs_call *call = machine->boot.call[CPU];

	if (arg[0] != 1 && arg[0] != 2)
		return -EBADF;
	if (arg[1] > sizeof(call->data))
		return -EMSGSIZE;
	/* From guest memory straight to where it goes: nothing decides on these bytes. */
	if (!console_write(&machine->console, (int)arg[0], call->data, arg[1]))
		return -EIO;
	machine->stats.console_bytes += arg[1];
	return (int64_t)arg[1];
}

/* RS_CALL_RECORD: how many were taken, or a negative errno value. */
static int64_t call_record(struct machine *machine, uint64_t count)
{
	const void *list = machine->boot.call[CPU]->data;

	if (count == 0 || count > RS_RECORDS_A_CALL)
		return -EINVAL;
	return records_take(&machine->records, list, count);
}
_Static_assert(RS_RECORDS_A_CALL * sizeof(struct rs_record) <= sizeof(((struct rs_call *)0)->data),
               "what a call can bring lies in its data");

/* RS_CALL_PANIC: whatever the arguments are, the guest is dead. */
static void call_panic(struct machine *machine, const uint64_t arg[4])
{
	struct panic *panic = &machine->panic;
	const void *regs = memory_at(&machine->memory, arg[1], sizeof(panic->regs));

	panic->message_size = arg[0] < sizeof(panic->message) ? arg[0] : sizeof(panic->message);
	copy_once(panic->message, machine->boot.call[CPU]->data, panic->message_size);
	panic->has_regs = regs;
	if (regs)
		copy_once(&panic->regs, regs, sizeof(panic->regs));
}
_Static_assert(sizeof(((struct rs_call *)0)->data) == sizeof(((struct panic *)0)->message),
               "a message fits");

static int64_t host_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool do_call(struct machine *machine, uint32_t function)
{
	struct rs_call *call = machine->boot.call[CPU];
	uint64_t arg[4];
	int64_t result = -ENOSYS;

	copy_once(arg, call->arg, sizeof(arg));
	machine->stats.hypercalls++;
	switch (function) {
	case RS_CALL_WRITE:
		result = call_write(machine, arg);
		break;
	case RS_CALL_CLOCK:
		result = host_clock();
		break;
	case RS_CALL_RECORD:
		result = call_record(machine, arg[0]);
		break;
	case RS_CALL_PANIC:
		call_panic(machine, arg);
		return machine_end(machine, END_PANIC);
	default:
		break;
	}
	if (result < 0)
		machine->stats.bad_hypercalls++;
	call->result = result;
	return !machine->console.failed || machine_end(machine, END_VMM_FAILED);
}

/* ---- Marks --------------------------------------------------------------------------------- */

/* On some KVMs RIP is still at the OUT when the exit arrives, and moves when the next KVM_RUN
 * completes it.  So let one complete it without entering the guest, and look then. */
static void request_mark(struct machine *machine, unsigned slot)
{
	if (slot >= RS_MARKS) {
		machine->stats.bad_hypercalls++;
		return;
	}
	machine->mark_due = true;
	machine->mark_slot = slot;
	machine->vcpu.run->immediate_exit = 1;
	if (machine->vcpu.sync_regs)
		machine->vcpu.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

static bool read_state(struct machine *machine)
{
	struct kvm_run *run = machine->vcpu.run;

	if (!machine->vcpu.sync_regs)
		return vcpu_get_state(&machine->vcpu, &machine->last);
	run->kvm_valid_regs = 0;
	machine->last.regs = run->s.regs.regs;
	machine->last.sregs = run->s.regs.sregs;
	return true;
}

bool hypercall_store_mark(struct machine *machine)
{
	enum { TIME_STAMP_COUNTER = 0x10 };
	struct kvm_msr_entry tsc = {.index = TIME_STAMP_COUNTER};
	struct rs_mark *mark = &machine->boot.call[CPU]->marks[machine->mark_slot];

	machine->mark_due = false;
	if (!read_state(machine))
		return false;
	kvm_msrs(machine->vcpu.fd, KVM_GET_MSRS, &tsc, 1); /* stays 0 if it fails */
	machine->last_when = "at the last mark";

	const struct kvm_regs *regs = &machine->last.regs;
	const struct kvm_sregs *sregs = &machine->last.sregs;

	*mark = (struct rs_mark){
	    .count = mark->count + 1,
	    .rip = regs->rip,
	    .rsp = regs->rsp,
	    .rflags = regs->rflags,
	    .cr3 = sregs->cr3,
	    .cs = sregs->cs.selector,
	    .ss = sregs->ss.selector,
	    .cpl = sregs->ss.dpl,
	    .tsc = tsc.data,
	};
	recorder_mark(machine, machine->mark_slot, mark);
	return true;
}

/* ---- Ports --------------------------------------------------------------------------------- */

static bool do_putc(struct machine *machine, char byte)
{
	machine->stats.console_bytes++;
	return console_write(&machine->console, 1, &byte, 1) ||
	       machine_end(machine, END_VMM_FAILED);
}

bool hypercall_out(struct machine *machine, uint16_t port, unsigned size, uint32_t value,
                   bool *known)
{
	*known = true;
	switch (port) {
	case RS_PORT_PUTC:
		if (size != 1)
			break;
		return do_putc(machine, (char)value);
	case RS_PORT_EXIT:
		machine->outcome.guest_status = value;
		return machine_end(machine,
		                   value <= STATUS_GUEST_MAX ? END_EXITED : END_BAD_STATUS);
	case RS_PORT_CALL:
		if (size != 4)
			break;
		return do_call(machine, value);
	case RS_PORT_MARK:
		if (size != 1)
			break;
		request_mark(machine, value);
		return true;
	case RS_PORT_NOP:
		return true;
	default:
		break;
	}
	*known = false;
	return true;
}
