#include "vmm/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "vmm/debug/debug.h"
#include "vmm/debug/debugger.h"
#include "vmm/exits.h"
#include "vmm/hypercall.h"
#include "vmm/look/look_live.h"
#include "vmm/message.h"
#include "vmm/trace/recorder.h"
#include "vmm/stop.h"

static bool end_stopped(struct machine *machine)
{
	machine->outcome.signal = stop_requested();
	return machine_end(machine, stop_requested() == SIGALRM ? END_TIMEOUT : END_SIGNAL);
}

/* KVM_RUN came back without an exit: a signal, a mark that is due, or an error. */
static bool interrupted(struct machine *machine, int error)
{
	struct kvm_run *run = machine->vcpu.run;

	if (error != EINTR && error != EAGAIN) {
		message_error("KVM: ioctl KVM_RUN: %s", strerror(error));
		return machine_end(machine, END_VMM_FAILED);
	}
	if (machine->mark_due && error == EINTR) {
		run->immediate_exit = 0;
		if (!hypercall_store_mark(machine) || !look_live_mark(machine))
			return machine_end(machine, END_VMM_FAILED);
	}
	/* Only now: a handler's immediate_exit may have been taken back above. */
	return !stop_requested() || end_stopped(machine);
}

bool run_once(struct machine *machine)
{
	struct stats *stats = &machine->stats;
	struct kvm_run *run = machine->vcpu.run;
	bool go_on;

	stats_enter(stats);

	const uint64_t entered = stats->last;
	int result = vcpu_run(&machine->vcpu);
	int error = result < 0 ? errno : 0;

	stats_leave(stats, result < 0 ? stats_errno_reason(error) : run->exit_reason);
	if (result < 0)
		go_on = interrupted(machine, error);
	else if (machine->debug && debug_takes_exit(machine->debug))
		return true; /* none of the guest's */
	else
		go_on = exit_dispatch(machine);
	if (machine->recorder)
		recorder_exit(machine, entered);
	return go_on;
}

void run_guest(struct machine *machine)
{
	if (debugger_wanted(machine->options)) {
		debugger_run(machine);
	} else {
		while (run_once(machine)) {
		}
	}
	stats_stop(&machine->stats);

	console_flush(&machine->console);
	if (!machine->console.failed)
		return;
	/* Output given up after a stop request does not change why the run ended. */
	if (stop_requested())
		end_stopped(machine);
	else
		machine_end(machine, END_VMM_FAILED);
}
