/*
 * vmm: options -> machine -> run loop -> report.  Each stage hands its result on; none looks back.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/message.h"
#include "vmm/base/output.h"
#include "vmm/base/stop.h"
#include "vmm/cli/box.h"
#include "vmm/cli/command_line.h"
#include "vmm/cli/instruments.h"
#include "vmm/cli/linux_guest.h"
#include "vmm/cli/outputs.h"
#include "vmm/instruments/death/diagnose.h"
#include "vmm/instruments/look/inspect_core.h"
#include "vmm/instruments/probe/probe.h"
#include "vmm/run/machine.h"
#include "vmm/instruments/names.h"
#include "vmm/run/run.h"

/* A standard stream that is closed must not become /dev/kvm: whatever is opened next takes its
 * number.  What takes its place can be neither read nor written, so that using it still fails. */
static void hold_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/", O_PATH);
	}
}

/* ---- How it ended -------------------------------------------------------------------------- */

/* In HLT, for ever or until an interrupt comes. */
static bool is_halted(const struct cpu *cpu)
{
	return cpu->halted || vcpu_is_halted(&cpu->vcpu);
}

/* A line for each CPU about where a guest was that did not end by itself. */
static void say_where(const struct machine *machine, const char *why)
{
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		const struct cpu *cpu = &machine->cpus[i];
		char who[24] = "the guest";
		struct vcpu_state now;

		if (machine->boot.cpus > 1)
			snprintf(who, sizeof(who), "CPU %u", i);
		if (!cpu->started)
			message_error("%s; %s was not started", why, who);
		else if (vcpu_read(&cpu->vcpu, &now, STATE_BASIC))
			message_error("%s; %s %s in ring %u at RIP 0x%llx", why, who,
			              is_halted(cpu) ? "was halted" : "was", now.sregs.ss.dpl,
			              now.regs.rip);
		else
			message_error("%s", why);
	}
}

/* The CPUs that did not die.  Returns how many. */
static unsigned collect_others(const struct machine *machine,
                               struct diagnose_cpu others[RS_MAX_CPUS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		const struct cpu *cpu = &machine->cpus[i];
		struct diagnose_cpu *other = &others[count];
		struct vcpu_state now;

		if (i == machine->outcome.cpu)
			continue;
		*other = (struct diagnose_cpu){
		    .number = i, .started = cpu->started, .halted = is_halted(cpu)};
		if (cpu->started && vcpu_read(&cpu->vcpu, &now, STATE_BASIC)) {
			other->known = true;
			other->regs = now.regs;
			other->sregs = now.sregs;
		}
		count++;
	}
	return count;
}

static void diagnose(struct machine *machine, const struct manner *manner)
{
	const struct cpu *cpu = machine_last_cpu(machine);
	struct diagnose_cpu others[RS_MAX_CPUS];
	struct vcpu_state now;
	bool have = vcpu_read(&cpu->vcpu, &now, STATE_BASIC);
	const struct panic *panic = &machine->panic;
	struct symbols symbols = names_read(machine, cpu);
	const struct diagnose_input in = {
	    .reason = machine->outcome.reason,
	    .cpu = cpu->number,
	    .others = others,
	    .other_count = collect_others(machine, others),
	    .run = cpu->vcpu.run,
	    .regs = have ? &now.regs : NULL,
	    .sregs = have ? &now.sregs : NULL,
	    .last_regs = cpu->last_when ? &cpu->last.regs : NULL,
	    .last_sregs = cpu->last_when ? &cpu->last.sregs : NULL,
	    .last_when = cpu->last_when,
	    .message = panic->message,
	    .message_size = panic->message_size,
	    .panic_regs = panic->has_regs ? &panic->regs : NULL,
	    .memory = &machine->memory,
	    .geometry = machine->boot.kernel.geo,
	    .stats = &cpu->stats,
	    .symbols = &symbols,
	    .color = manner_colors(manner, STDERR_FILENO),
	};

	diagnose_death(stderr, &in);
	symbols_free(&symbols);
}

static void say_end(struct machine *machine, const struct manner *manner)
{
	const struct outcome *outcome = &machine->outcome;
	char why[80];

	switch (outcome->reason) {
	case END_HALTED:
		if (!manner->quiet)
			message_error("the guest halted, and nothing can wake it: status 0");
		break;
	case END_BAD_STATUS:
		message_error("the guest ended with status %" PRIu32
		              ": only 0 to %d are its to give",
		              outcome->guest_status, STATUS_GUEST_MAX);
		break;
	case END_TIMEOUT:
		snprintf(why, sizeof(why), "time-out after %g s",
		         (double)machine->plan->timeout_ns / 1e9);
		say_where(machine, why);
		break;
	case END_SIGNAL:
		snprintf(why, sizeof(why), "stopped by signal %d (%s)", outcome->signal,
		         strsignal(outcome->signal));
		say_where(machine, why);
		break;
	case END_PANIC:
	case END_SHUTDOWN:
	case END_INTERNAL_ERROR:
	case END_FAIL_ENTRY:
	case END_UNEXPECTED_EXIT:
		diagnose(machine, manner);
		break;
	case END_RUNNING:
	case END_EXITED:
	case END_VMM_FAILED:
	case END_REASONS:
		break;
	}
}

/* ---- The way of the data ------------------------------------------------------------------- */

/* What is missing turns success into failure, and nothing else: a guest that failed is more to
 * tell. */
static int status_of_loss(int status)
{
	const int reason = stop_requested();

	if (status != 0 || !reason)
		return status != 0 ? status : STATUS_VMM_FAILED;
	if (reason == STOP_TIMEOUT) {
		message_error("time-out: it came when the guest had ended, and not all of what was "
		              "asked for could be done");
		return STATUS_TIMEOUT;
	}
	message_error("stopped by signal %d (%s) when the guest had ended: not all of what was "
	              "asked for could be done",
	              reason, strsignal(reason));
	return STATUS_SIGNAL + reason;
}

static int run(struct machine *machine, struct options *options)
{
	bool shown;

	/* Before the guest runs: a report that cannot be written is not worth the wait. */
	if (!outputs_open(options) || !run_create(machine, &options->plan) ||
	    !stop_install(machine->cpus[0].vcpu.run, options->plan.timeout_ns) ||
	    !instruments_begin(options, machine))
		return STATUS_VMM_FAILED;
	shown = run_begin(machine);
	if (shown)
		shown = instruments_drive(options, machine);
	else
		machine_end(machine, END_VMM_FAILED);
	run_end(machine);
	say_end(machine, &options->manner);

	const int status = outcome_status(&machine->outcome);
	const enum instrument_result result = instruments_end(options, machine);

	if (!shown || result == INSTRUMENT_LOST)
		return status_of_loss(status);
	/* A verdict, and no loss, even if the time was over when it was there. */
	return status == 0 && result == INSTRUMENT_FAULT ? STATUS_VMM_FAILED : status;
}

/* Nothing is written any more.  What nobody could be told makes no success either; but who closed
 * standard error did not want to be told. */
static int finish(int status)
{
	fflush(NULL);
	if (output_stdout.error || (output_stderr.error && output_stderr.error != EBADF))
		return status_of_loss(status);
	return status;
}

/* Without a guest that runs.  The exit status. */
static int do_without(struct options *options)
{
	if (options->probe)
		return outputs_open(options)
		           ? probe_main(options->report.stats, &options->report.stats_file,
		                        &options->manner, &options->plan.no_kvm)
		           : STATUS_VMM_FAILED;
	return stop_limit(options->plan.timeout_ns)
	           ? inspect_core_main(options->inspect_core, options->plan.guest,
	                               &options->look.request, &options->manner)
	           : STATUS_VMM_FAILED;
}

int main(int argc, char **argv)
{
	/* 100 KiB of which a run touches few pages. */
	static struct options options;
	static struct machine machine;
	int status;

	stop_begin();
	hold_standard_streams();
	output_take_streams();
	switch (options_parse(&options, argc, argv)) {
	case OPTIONS_WRONG:
		return STATUS_USAGE;
	case OPTIONS_DONE:
		return output_finish("this") ? 0 : STATUS_VMM_FAILED;
	case OPTIONS_RUN:
		break;
	}
	options.plan.no_kvm = (struct kvm_advice){box_advice, &options};
	const bool boots_linux = options.linux_guest.wanted && !options.inspect_core;

	if (boots_linux && !linux_guest_check(&options))
		return STATUS_VMM_FAILED;
	if (options.box != BOX_HERE && box_is_wanted(&options))
		return box_run(&options);
	if (boots_linux && !linux_guest_prepare(&options))
		return STATUS_VMM_FAILED;
	if (options.probe || options.inspect_core)
		status = do_without(&options);
	else
		status = run(&machine, &options);
	outputs_abandon(&options);
	status = finish(status);
#ifndef RS_FREE_AT_EXIT
	/* The kernel takes a VM and its memory back faster than the process itself could, one
	 * munmap and close after the other: 45 of 1,730 us from start to exit. */
	_exit(status);
#endif
	sigset_t mask;

	/* A signal that comes from now on would find no machine to stop. */
	stop_mask(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	instruments_free(&options);
	linux_guest_free(&options);
	run_destroy(&machine);
	return status;
}
