/*
 * The debugger's engine: several CPUs.
 *
 * They take turns in the one thread that drives the debugger.  So only one of them runs at a time:
 * when one stops the others stand still, a plant that is lifted for one is not run over by another,
 * and no step of one can be disturbed.  To the guest it looks like a host that has fewer CPUs.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "vmm/base/message.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"

#ifndef sigev_notify_thread_id /* glibc names it from 2.38 on */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* A turn, and one of a CPU in HLT, which has nothing to do until an interrupt comes. */
enum { TURN_NS = 1000000, HALTED_TURN_NS = 100000 };

/* A signal handler has no other way to what it needs. */
static struct kvm_run *running;

static void on_clock(int signal)
{
	(void)signal;
	__atomic_store_n(&running->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool debug_turns_open(struct debug *debug)
{
	/* What is interrupted but KVM_RUN, which always is, goes on. */
	const struct sigaction action = {.sa_handler = on_clock, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1};

	debug->running = ~0U;
	if (debug->machine->boot.cpus == 1)
		return true;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (sigaction(SIGRTMIN + 1, &action, NULL) < 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &debug->clock) < 0)
		return message_error("cannot make a clock for the CPUs' turns: %s",
		                     strerror(errno));
	debug->has_clock = true;
	return true;
}

void debug_turns_close(struct debug *debug)
{
	if (debug->has_clock)
		timer_delete(debug->clock);
	debug->has_clock = false;
}

/* ---- Turns --------------------------------------------------------------------------------- */

static long turn_length(const struct debug *debug)
{
	return vcpu_is_halted(&debug->cpu->vcpu) ? HALTED_TURN_NS : TURN_NS;
}

static void begin_turn(struct debug *debug)
{
	debug->in_turn = true;
	debug->turn_until = now_ns() + (uint64_t)turn_length(debug);
}

bool debug_turn_is_over(const struct debug *debug)
{
	return debug->in_turn && now_ns() >= debug->turn_until;
}

void debug_turn_end(struct debug *debug)
{
	debug->in_turn = false;
}

void debug_clock_on(struct debug *debug)
{
	struct itimerspec when = {.it_value.tv_nsec = 1};
	uint64_t now;

	if (!debug->has_clock)
		return;
	now = now_ns();
	if (!debug->in_turn)
		when.it_value.tv_nsec = turn_length(debug);
	else if (now < debug->turn_until)
		when.it_value.tv_nsec = (long)(debug->turn_until - now);
	running = debug->cpu->vcpu.run;
	timer_settime(debug->clock, 0, &when, NULL);
}

void debug_clock_off(struct debug *debug)
{
	const struct itimerspec never = {0};

	if (debug->has_clock)
		timer_settime(debug->clock, 0, &never, NULL);
}

static bool may_run(const struct debug *debug, const struct cpu *cpu)
{
	return cpu->started && !cpu->halted && debug->running >> cpu->number & 1;
}

/* The one whose turn is next; NULL: no other one can run. */
static struct cpu *next_cpu(const struct debug *debug)
{
	struct machine *machine = debug->machine;

	for (unsigned i = 1; i < machine->boot.cpus; i++) {
		struct cpu *cpu = &machine->cpus[(debug->cpu->number + i) % machine->boot.cpus];

		if (may_run(debug, cpu))
			return cpu;
	}
	return NULL;
}

bool debug_select(struct debug *debug, struct cpu *cpu)
{
	if (cpu == debug->cpu)
		return true;
	if (!debug_let_go(debug))
		return false;
	debug->cpu = cpu;
	return true;
}

enum debug_turn debug_take_turn(struct debug *debug)
{
	struct cpu *next = debug->has_clock ? next_cpu(debug) : NULL;
	const bool can_go_on = may_run(debug, debug->cpu);

	if (!next)
		return can_go_on ? DEBUG_TURN_OWN : DEBUG_TURN_NOBODY;
	if (can_go_on && !debug_turn_is_over(debug)) {
		if (!debug->in_turn)
			begin_turn(debug);
		return DEBUG_TURN_OWN;
	}
	if (!debug_select(debug, next))
		return DEBUG_TURN_FAILED;
	begin_turn(debug);
	return DEBUG_TURN_OTHER;
}

/* ---- Between steps ------------------------------------------------------------------------- */

/* One turn of the CPU selected. */
static struct debug_stop run_turn(struct debug *debug)
{
	struct debug_stop stop;

	begin_turn(debug);
	do
		stop = debug_go(debug, false);
	while (stop.why == DEBUG_STEPPED && !debug_turn_is_over(debug) &&
	       may_run(debug, debug->cpu));
	debug_turn_end(debug);
	return stop;
}

struct debug_stop debug_let_others(struct debug *debug)
{
	struct machine *machine = debug->machine;
	struct debug_stop stop = {.why = DEBUG_STEPPED};
	struct cpu *own = debug->cpu;

	if (!debug->has_clock || now_ns() < debug->others_at)
		return stop;
	for (unsigned i = 1; i < machine->boot.cpus; i++) {
		struct cpu *other = &machine->cpus[(own->number + i) % machine->boot.cpus];

		if (!may_run(debug, other))
			continue;
		if (!debug_select(debug, other))
			return (struct debug_stop){.why = DEBUG_FAILED};
		stop = run_turn(debug);
		if (stop.why != DEBUG_STEPPED)
			return stop;
	}
	debug->others_at = now_ns() + TURN_NS;
	if (!debug_select(debug, own) || !debug_know(debug))
		stop.why = DEBUG_FAILED;
	return stop;
}
