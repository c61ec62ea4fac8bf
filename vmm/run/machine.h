/* All of one run, in the order in which the parts are made and the reverse of which they go. */
#ifndef VMM_RUN_MACHINE_H
#define VMM_RUN_MACHINE_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/memory.h"
#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"
#include "vmm/boot/protocol.h"
#include "vmm/devices/attempts.h"
#include "vmm/devices/bus.h"
#include "vmm/devices/console.h"
#include "vmm/devices/figures.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/run/observer.h"
#include "vmm/run/outcome.h"
#include "vmm/run/stats.h"

/* What the guest said when it panicked, copied out of its memory. */
struct panic {
	char message[4096];
	size_t message_size;
	bool has_regs;
	struct rs_regs regs;
};

/* One CPU of the machine, and what happened on it.  CPU 0 runs in the main thread, each other one
 * in a thread of its own from RS_CALL_START_CPU on; but under a debugger all are in the main one.
 */
struct cpu {
	struct machine *machine;
	unsigned number;
	struct vcpu vcpu;
	struct stats stats;
	bool has_thread; /* of its own: */
	pthread_t thread;
	bool started;
	bool halted; /* for ever: nothing can wake it */

	bool mark_due; /* RS_PORT_MARK: the state goes to this slot once the OUT is complete */
	unsigned mark_slot;
	struct kvm_regs ud_regs; /* at the last #UD given to ring 3 in KVM's stead ... */
	unsigned ud_runs;        /* ... and how often in a row they were the same */

	/* The registers when they were last known: some KVMs reset them when the guest dies. */
	struct vcpu_state last;
	const char *last_when; /* NULL: not yet */
};

struct machine {
	const struct plan *plan;
	struct image image;
	struct kvm kvm;
	struct memory memory;
	struct boot boot;
	pthread_mutex_t lock; /* for all that no CPU has for itself ... */
	bool shared;          /* ... if more threads than CPU 0's are there */
	uint32_t pti_mode;    /* RS_PTI_*: what the guest starts in */

	struct bus bus;
	struct ram_base *ram_base; /* vmm/run/snapshot.h; NULL: there is no snapshot */
	struct pc *pc;             /* vmm/run/pc.h; NULL: the guest is not a PC's */
	struct outcome outcome;
	struct figures figures;
	struct attempts attempts;
	uint64_t quirks;                   /* RS_QUIRK_* met in this run */
	struct observer *observers;        /* who watches; NULL: nobody */
	bool one_thread;                   /* somebody runs all CPUs from the main thread */
	bool (*run_once)(struct cpu *cpu); /* vmm/run/run.h: the loop of a CPU that gets a thread */
	/* While it is not 0 KVM_RUN that comes back without an exit ends run_cpus, and the run can
	 * go on later: for a signal handler, which then calls stop_all.  NULL: none. */
	const volatile sig_atomic_t *attention;

	/* boot.cpus of them.  While they run, what one CPU does not have for itself is touched only
	 * by who holds the lock; with one CPU there is nobody else, and no lock. */
	struct cpu cpus[RS_MAX_CPUS];
	/* The large ones last: what a short run touches lies in few pages. */
	struct console console;
	struct panic panic;
};

/* Makes everything up to vCPUs that can run, from a machine that is all zero.  False after a
 * message; machine_destroy is due in both cases. */
bool machine_create(struct machine *machine, const struct plan *plan);
void machine_destroy(struct machine *machine);

static inline void machine_lock(struct machine *machine)
{
	if (machine->shared)
		pthread_mutex_lock(&machine->lock);
}
static inline void machine_unlock(struct machine *machine)
{
	if (machine->shared)
		pthread_mutex_unlock(&machine->lock);
}

/* Whether somebody calls the CPUs back: see attention. */
static inline bool machine_is_called_back(const struct machine *machine)
{
	return machine->attention && *machine->attention;
}

/* Ends the run for this reason.  Always false, for `return machine_end(...)` in what says whether
 * to go on. */
static inline bool machine_end(struct machine *machine, enum end_reason reason)
{
	machine->outcome.reason = reason;
	return false;
}

/* Whoever comes later is asked first. */
static inline void machine_observe(struct machine *machine, struct observer *observer)
{
	observer->next = machine->observers;
	machine->observers = observer;
}
static inline void machine_unobserve(struct machine *machine, struct observer *observer)
{
	struct observer **at = &machine->observers;

	while (*at && *at != observer)
		at = &(*at)->next;
	if (*at)
		*at = observer->next;
}

/* The CPU that ended the run; CPU 0 when none of them did. */
static inline struct cpu *machine_last_cpu(struct machine *machine)
{
	return &machine->cpus[machine->outcome.cpu];
}

#endif
