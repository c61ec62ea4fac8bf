#include "vmm/run/threads.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "vmm/base/message.h"
#include "vmm/base/stop.h"

static void *run_cpu(void *ctx)
{
	struct cpu *cpu = ctx;

	while (cpu->machine->run_once(cpu)) {
	}
	stats_stop(&cpu->stats);
	machine_lock(cpu->machine);
	stop_remove(cpu->number);
	machine_unlock(cpu->machine);
	return NULL;
}

static int create(struct cpu *cpu)
{
	pthread_attr_t attributes;
	sigset_t mask;
	int error = pthread_attr_init(&attributes);

	if (error)
		return error;
	stop_mask(&mask);
	error = pthread_attr_setsigmask_np(&attributes, &mask);
	if (!error)
		error = pthread_create(&cpu->thread, &attributes, run_cpu, cpu);
	pthread_attr_destroy(&attributes);
	return error;
}

static bool give_thread(struct cpu *cpu)
{
	const int error = create(cpu);

	if (error)
		return message_error("cannot start a thread for CPU %u: %s", cpu->number,
		                     strerror(error));
	cpu->has_thread = true;
	stop_add(cpu->number, cpu->vcpu.run, cpu->thread);
	return true;
}

bool threads_start(struct cpu *cpu)
{
	if (!stats_start(&cpu->stats))
		return message_error("no memory for the statistics: %s", strerror(errno));
	cpu->started = true;
	if (!cpu->machine->one_thread)
		return give_thread(cpu);
	stop_add(cpu->number, cpu->vcpu.run, pthread_self());
	return true;
}

bool threads_take_over(struct machine *machine)
{
	bool good = true;

	machine_lock(machine);
	for (unsigned i = 1; i < machine->boot.cpus && good; i++) {
		struct cpu *cpu = &machine->cpus[i];

		if (cpu->started && !cpu->halted)
			good = give_thread(cpu);
	}
	machine_unlock(machine);
	return good;
}

/* Whether the threads are to end. */
static bool is_over(const struct machine *machine)
{
	return stop_requested() || machine_is_called_back(machine) ||
	       __atomic_load_n(&machine->outcome.reason, __ATOMIC_RELAXED) != END_RUNNING;
}

static void join(const struct cpu *cpu)
{
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		if (pthread_clockjoin_np(cpu->thread, NULL, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
			return;
		/* A signal that came just before a system call that waits ended nothing. */
		if (is_over(cpu->machine))
			stop_all();
	}
}

/* One that was started and not joined; NULL: there is none. */
static struct cpu *next(struct machine *machine, const bool *joined)
{
	struct cpu *found = NULL;

	machine_lock(machine);
	for (unsigned i = 1; i < machine->boot.cpus && !found; i++) {
		if (machine->cpus[i].has_thread && !joined[i])
			found = &machine->cpus[i];
	}
	machine_unlock(machine);
	return found;
}

static void join_all(struct machine *machine)
{
	bool joined[RS_MAX_CPUS] = {false};
	const struct cpu *cpu;

	/* While one is waited for it may start others. */
	while ((cpu = next(machine, joined)) != NULL) {
		join(cpu);
		joined[cpu->number] = true;
	}
}

void threads_gather(struct machine *machine)
{
	if (machine->outcome.reason != END_RUNNING)
		return;
	join_all(machine);
	for (unsigned i = 1; i < machine->boot.cpus; i++) {
		struct cpu *cpu = &machine->cpus[i];

		if (!cpu->has_thread)
			continue;
		cpu->has_thread = false;
		stop_add(i, cpu->vcpu.run, pthread_self());
	}
}

void threads_join(struct machine *machine)
{
	join_all(machine);
	for (unsigned i = 1; i < machine->boot.cpus; i++) {
		struct cpu *other = &machine->cpus[i];

		if (other->started && !other->has_thread)
			stats_stop(&other->stats);
	}
}
