#include "vmm/run/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/base/stop.h"
#include "vmm/run/exits.h"
#include "vmm/run/hypercall.h"
#include "vmm/run/pc.h"
#include "vmm/run/threads.h"

bool run_end_stopped(struct machine *machine)
{
	const int reason = stop_requested();

	machine->outcome.signal = reason == STOP_TIMEOUT ? SIGALRM : reason;
	return machine_end(machine, reason == STOP_TIMEOUT ? END_TIMEOUT : END_SIGNAL);
}

/* KVM_RUN came back without an exit: a signal, a mark that is due, or an error. */
static bool interrupted(struct cpu *cpu, int error)
{
	struct machine *machine = cpu->machine;

	if (error != EINTR && error != EAGAIN) {
		message_error("KVM: ioctl KVM_RUN: %s", strerror(error));
		return machine_end(machine, END_VMM_FAILED);
	}
	if (!cpu->mark_due && machine_is_called_back(machine))
		stats_reassign(&cpu->stats, STATS_DEBUGGER);
	if (cpu->mark_due && error == EINTR) {
		__atomic_store_n(&cpu->vcpu.run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (!hypercall_store_mark(cpu))
			return machine_end(machine, END_VMM_FAILED);
	}
	/* Only now: a handler's immediate_exit may have been taken back above. */
	if (stop_requested())
		return run_end_stopped(machine);
	return !machine_is_called_back(machine);
}

/* error: KVM_RUN's errno; 0: there is an exit to serve. */
static bool serve(struct cpu *cpu, int error, uint64_t entered)
{
	bool go_on;

	if (error)
		go_on = interrupted(cpu, error);
	else if (observers_take_exit(cpu->machine->observers, cpu))
		return true; /* none of the guest's */
	else
		go_on = exit_dispatch(cpu);
	observers_served(cpu->machine->observers, cpu, entered);
	return go_on;
}

/* The first CPU that ends the run ends it for all. */
static bool serve_if_running(struct cpu *cpu, int error)
{
	struct machine *machine = cpu->machine;
	const uint64_t entered = cpu->stats.last - cpu->stats.inside;

	if (machine->outcome.reason != END_RUNNING) {
		/* How far it came, and what it noted. */
		observers_served(machine->observers, cpu, entered);
		return false;
	}
	if (serve(cpu, error, entered))
		return true;
	if (machine->outcome.reason != END_RUNNING) {
		machine->outcome.cpu = cpu->number;
		stop_all();
	}
	return false;
}

static __attribute__((noinline)) bool lock_and_serve(struct cpu *cpu, int error)
{
	bool go_on;

	machine_lock(cpu->machine);
	go_on = serve_if_running(cpu, error);
	machine_unlock(cpu->machine);
	return go_on;
}

/* KVM_RUN, counted; its errno, or 0. */
static inline __attribute__((always_inline)) int enter_guest(struct cpu *cpu)
{
	int error;

	stats_enter(&cpu->stats);
	error = vcpu_run(&cpu->vcpu);
	if (__builtin_expect(error, 0))
		stats_leave(&cpu->stats, stats_errno_reason(error));
	else
		stats_leave(&cpu->stats, cpu->vcpu.run->exit_reason);
	return error;
}

bool run_once(struct cpu *cpu)
{
	return lock_and_serve(cpu, enter_guest(cpu));
}

/* The only CPU, with nobody watching: an ordinary exit takes no lock, and is one call. */
static void run_alone(struct cpu *cpu)
{
	int error;

	do {
		error = enter_guest(cpu);
	} while (error ? lock_and_serve(cpu, error) : exit_dispatch(cpu));
}

void run_cpus(struct machine *machine)
{
	struct cpu *first = &machine->cpus[0];

	if (!threads_take_over(machine)) {
		machine_lock(machine);
		machine_end(machine, END_VMM_FAILED);
		stop_all();
		machine_unlock(machine);
		return;
	}
	if (machine->boot.cpus == 1 && !machine->observers) {
		run_alone(first);
		return;
	}
	while (!first->halted && run_once(first)) {
	}
}

bool run_create(struct machine *machine, const struct plan *plan)
{
	/* Ringscope's own protocol has ports of its own, in place of a PC's. */
	static const struct device *const devices[] = {&hypercall_device};

	if (!machine_create(machine, plan))
		return false;
	if (machine->image.protocol->is_pc) {
		machine->pc = pc_create(machine);
		return machine->pc;
	}
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		if (!bus_add(&machine->bus, devices[i]))
			return false;
	}
	return true;
}

/* A PC's CPUs wait for each other inside KVM: all run from the beginning. */
static bool begin_pc(struct machine *machine)
{
	for (unsigned i = 1; i < machine->boot.cpus; i++) {
		struct cpu *cpu = &machine->cpus[i];

		if (!stats_start(&cpu->stats))
			return message_error("no memory for the statistics: %s", strerror(errno));
		cpu->started = true;
		if (machine->one_thread)
			stop_add(i, cpu->vcpu.run, pthread_self());
	}
	return pc_begin(machine->pc);
}

bool run_begin(struct machine *machine)
{
	machine->cpus[0].started = true;
	machine->run_once = run_once;
	return !machine->pc || begin_pc(machine);
}

void run_end(struct machine *machine)
{
	stats_stop(&machine->cpus[0].stats);
	threads_join(machine);
	if (machine->pc)
		pc_end(machine->pc);

	console_flush(&machine->console);
	if (!machine->console.failed)
		return;
	/* Output given up after a stop request does not change why the run ended. */
	if (stop_requested())
		run_end_stopped(machine);
	else
		machine_end(machine, END_VMM_FAILED);
}

void run_destroy(struct machine *machine)
{
	if (machine->pc)
		pc_destroy(machine->pc);
	machine->pc = NULL;
	machine_destroy(machine);
}
