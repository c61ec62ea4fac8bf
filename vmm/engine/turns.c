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

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/engine/engine.h"
#include "vmm/engine/internal.h"

#ifndef sigev_notify_thread_id /* glibc names it from 2.38 on */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* A turn, and one of a CPU in HLT, which has nothing to do until an interrupt comes. */
enum { TURN_NS = 1000000, HALTED_TURN_NS = 100000 };
/* How long a guest runs by itself while its entries are waited for. */
enum { LOOK_NS = 5000000 };

/* A signal handler has no other way to what it needs. */
static struct kvm_run *running;

static void on_clock(int signal)
{
	(void)signal;
	__atomic_store_n(&running->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

/* Makes the clock, unless it is there.  False after a message. */
static bool make_clock(struct engine *engine)
{
	/* What is interrupted but KVM_RUN, which always is, goes on. */
	const struct sigaction action = {.sa_handler = on_clock, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1};

	if (engine->clock_made)
		return true;
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (sigaction(SIGRTMIN + 1, &action, NULL) < 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &engine->clock) < 0)
		return message_error("cannot make a clock for the CPUs' turns: %s",
		                     strerror(errno));
	engine->clock_made = true;
	return true;
}

bool engine_turns_open(struct engine *engine)
{
	engine->running = ~0U;
	engine->has_clock = engine->machine->boot.cpus > 1;
	return !engine->has_clock || make_clock(engine);
}

void engine_turns_close(struct engine *engine)
{
	if (engine->clock_made)
		timer_delete(engine->clock);
	engine->clock_made = engine->has_clock = false;
}

bool engine_awaits_entries(struct engine *engine)
{
	return engine->asks && engine->entries_come && !engine->seen_ring3 && make_clock(engine);
}

/* ---- Turns --------------------------------------------------------------------------------- */

static long turn_length(const struct engine *engine)
{
	return vcpu_is_halted(&engine->cpu->vcpu) ? HALTED_TURN_NS : TURN_NS;
}

static void begin_turn(struct engine *engine)
{
	engine->in_turn = engine->turn_unused = true;
	engine->turn_ns = (uint64_t)turn_length(engine);
	engine->turn_until = clock_ns() + engine->turn_ns;
}

bool engine_turn_is_over(const struct engine *engine)
{
	return engine->in_turn && clock_ns() >= engine->turn_until;
}

void engine_turn_end(struct engine *engine)
{
	engine->in_turn = false;
}

void engine_clock_on(struct engine *engine)
{
	struct itimerspec when = {.it_value.tv_nsec = 1};
	const bool awaits = engine_awaits_entries(engine);
	uint64_t now;

	if (!engine->has_clock && !awaits)
		return;
	now = clock_ns();
	/* What the engine did before is none of the CPU's time: it may be longer than a turn, and
	 * the CPU would never run. */
	if (engine->in_turn && engine->turn_unused)
		engine->turn_until = now + engine->turn_ns;
	engine->turn_unused = false;
	if (!engine->has_clock)
		when.it_value.tv_nsec = LOOK_NS;
	else if (!engine->in_turn)
		when.it_value.tv_nsec = turn_length(engine);
	else if (now < engine->turn_until)
		when.it_value.tv_nsec = (long)(engine->turn_until - now);
	running = engine->cpu->vcpu.run;
	timer_settime(engine->clock, 0, &when, NULL);
}

void engine_clock_off(struct engine *engine)
{
	const struct itimerspec never = {0};

	if (engine->clock_made)
		timer_settime(engine->clock, 0, &never, NULL);
}

static bool may_run(const struct engine *engine, const struct cpu *cpu)
{
	return cpu->started && !cpu->halted && engine->running >> cpu->number & 1;
}

/* The one whose turn is next; NULL: no other one can run. */
static struct cpu *next_cpu(const struct engine *engine)
{
	struct machine *machine = engine->machine;

	for (unsigned i = 1; i < machine->boot.cpus; i++) {
		struct cpu *cpu = &machine->cpus[(engine->cpu->number + i) % machine->boot.cpus];

		if (may_run(engine, cpu))
			return cpu;
	}
	return NULL;
}

bool engine_select(struct engine *engine, struct cpu *cpu)
{
	if (cpu == engine->cpu)
		return true;
	if (!engine_let_go(engine))
		return false;
	engine->cpu = cpu;
	return true;
}

enum engine_turn engine_take_turn(struct engine *engine)
{
	struct cpu *next = engine->has_clock ? next_cpu(engine) : NULL;
	const bool can_go_on = may_run(engine, engine->cpu);

	if (!next)
		return can_go_on ? ENGINE_TURN_OWN : ENGINE_TURN_NOBODY;
	if (can_go_on && !engine_turn_is_over(engine)) {
		if (!engine->in_turn)
			begin_turn(engine);
		return ENGINE_TURN_OWN;
	}
	if (!engine_select(engine, next))
		return ENGINE_TURN_FAILED;
	begin_turn(engine);
	return ENGINE_TURN_OTHER;
}

/* ---- Between steps ------------------------------------------------------------------------- */

/* One turn of the CPU selected. */
static struct engine_stop run_turn(struct engine *engine)
{
	struct engine_stop stop;

	begin_turn(engine);
	do
		stop = engine_go(engine, false);
	while (stop.why == ENGINE_STEPPED && !engine_turn_is_over(engine) &&
	       may_run(engine, engine->cpu));
	engine_turn_end(engine);
	return stop;
}

struct engine_stop engine_let_others(struct engine *engine)
{
	struct machine *machine = engine->machine;
	struct engine_stop stop = {.why = ENGINE_STEPPED};
	struct cpu *own = engine->cpu;

	if (!engine->has_clock || clock_ns() < engine->others_at)
		return stop;
	for (unsigned i = 1; i < machine->boot.cpus; i++) {
		struct cpu *other = &machine->cpus[(own->number + i) % machine->boot.cpus];

		if (!may_run(engine, other))
			continue;
		if (!engine_select(engine, other))
			return (struct engine_stop){.why = ENGINE_FAILED};
		stop = run_turn(engine);
		if (stop.why != ENGINE_STEPPED)
			return stop;
	}
	engine->others_at = clock_ns() + TURN_NS;
	if (!engine_select(engine, own) || !engine_know(engine))
		stop.why = ENGINE_FAILED;
	return stop;
}
