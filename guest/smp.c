#include "guest/smp.h"

#include <stddef.h>

#include "guest/apic.h"
#include "guest/cpu.h"

uint32_t smp_cpus = 1;

/* Whoever sees it free takes it.  Tickets would be fairer, but where there are more CPUs than the
 * host has cores, the next in turn is often one that does not run. */
static bool locked;

static uint32_t joined; /* CPUs that have come up, one after the other */

/* What one CPU, which holds the lock, asks of the others. */
static struct {
	void (*act)(uint64_t arg);
	uint64_t arg;
	uint32_t waiting; /* how many have not answered yet */
	bool asked[RS_MAX_CPUS];
	bool stop;     /* standing still is part of the answer ... */
	bool released; /* ... until this is set */
} call;

static inline uint32_t load(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline bool is_set(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void set(bool *flag, bool value)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

static inline void pause(void)
{
	__asm__ volatile("pause");
}

/* ---- The lock -------------------------------------------------------------------------------- */

void smp_lock_contended(void)
{
	while (__atomic_exchange_n(&locked, true, __ATOMIC_ACQUIRE))
		do {
			smp_answer();
			pause();
		} while (is_set(&locked));
}

void smp_unlock_contended(void)
{
	set(&locked, false);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

void smp_answer(void)
{
	bool *asked = &call.asked[this_cpu()->number];

	if (!is_set(asked))
		return;
	set(asked, false);
	if (call.stop) {
		__atomic_fetch_sub(&call.waiting, 1, __ATOMIC_ACQ_REL);
		while (!is_set(&call.released))
			pause();
	}
	call.act(call.arg);
	__atomic_fetch_sub(&call.waiting, 1, __ATOMIC_ACQ_REL);
}

static void wait_for_answers(void)
{
	while (load(&call.waiting))
		pause();
}

static void ask(void)
{
	const uint32_t self = this_cpu()->number;

	__atomic_store_n(&call.waiting, smp_cpus - 1, __ATOMIC_RELEASE);
	for (uint32_t cpu = 0; cpu < smp_cpus; cpu++) {
		if (cpu == self)
			continue;
		set(&call.asked[cpu], true);
		apic_send(cpu, VECTOR_CALL);
	}
	wait_for_answers();
}

void smp_on_others(void (*act)(uint64_t arg), uint64_t arg)
{
	if (smp_cpus == 1)
		return;
	call.act = act;
	call.arg = arg;
	ask();
}

void smp_stop_others(void)
{
	if (smp_cpus == 1)
		return;
	call.stop = true;
	call.released = false;
	ask();
}

void smp_go_on(void (*act)(uint64_t arg), uint64_t arg)
{
	if (smp_cpus == 1)
		return;
	call.act = act;
	call.arg = arg;
	__atomic_store_n(&call.waiting, smp_cpus - 1, __ATOMIC_RELEASE);
	set(&call.released, true);
	wait_for_answers();
	call.stop = false;
}

/* ---- Starting -------------------------------------------------------------------------------- */

/* The first one changes what kernel_lock does: nobody holds it then, for this CPU is alone. */
static void count_in(uint32_t cpu)
{
	if (smp_cpus == 1) {
		smp_cpus = 2;
		return;
	}
	kernel_lock();
	smp_cpus = cpu + 1;
	kernel_unlock();
}

uint32_t smp_start(const struct rs_boot *boot)
{
	struct rs_call *request = cpu_call();

	if (!apic_present())
		return 0;
	for (uint32_t cpu = 1; cpu < boot->cpus; cpu++) {
		request->arg[0] = cpu;
		out32(RS_PORT_CALL, RS_CALL_START_CPU);
		if (request->result)
			return cpu;
		while (load(&joined) < cpu)
			pause();
		count_in(cpu);
	}
	return 0;
}

void smp_join(void)
{
	const uint32_t self = this_cpu()->number;

	__atomic_store_n(&joined, self, __ATOMIC_RELEASE);
	while (load(&smp_cpus) <= self)
		pause();
	kernel_lock();
}
