/*
 * Who watches a machine run.  The machine knows no instrument by name: a tracer, a debugger, a test
 * puts an observer into the machine's list before the run (machine_observe), and is told.
 *
 * All are called with the machine's lock held, by the thread of the CPU that they are about, and
 * the one that came last into the list is the first.  What is NULL is not asked.  A machine without
 * observers pays one test of a pointer a run and none an exit.
 *
 * Usage:
 *
 *	struct counter { struct observer observer; unsigned exits; };
 *
 *	static void count(struct observer *observer, struct cpu *cpu, uint64_t entered)
 *	{
 *		((struct counter *)observer)->exits++;
 *	}
 *
 *	struct counter counter = {.observer = {.served = count}};
 *	machine_observe(machine, &counter.observer);
 */
#ifndef VMM_RUN_OBSERVER_H
#define VMM_RUN_OBSERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

struct cpu;

/* A crossing of ring 3, seen from its beginning to its end by what drives the machine. */
struct seen_crossing {
	enum { CROSSING_SYSCALL, CROSSING_INT80, CROSSING_FAULT, CROSSING_INTERRUPT } kind;
	uint64_t root;         /* CR3 of ring 3, without PCID */
	uint64_t begun, ended; /* CLOCK_MONOTONIC, nanoseconds; of a call, else the same */
	uint64_t number;       /* of the call, or the vector */
	/* Of a call, in words.  result: NULL: it has not come back. */
	const char *name, *arguments, *result;
	/* Of a fault or an interrupt: what the processor saved; address: CR2 of #PF. */
	uint64_t error, address, rip;
};

struct observer {
	/* KVM_RUN has come back with an exit that nobody has looked at.  True: it is this
	 * observer's own making and has been served; nobody else is told. */
	bool (*takes_exit)(struct observer *observer, struct cpu *cpu);
	/* The guest's mark has been stored; cpu->last is the state at it.  False after a message:
	 * the run ends. */
	bool (*marked)(struct observer *observer, struct cpu *cpu, unsigned slot,
	               const struct rs_mark *mark);
	/* What KVM_RUN, entered at the time stamp `entered`, came back with has been served. */
	void (*served)(struct observer *observer, struct cpu *cpu, uint64_t entered);
	/* A call of the guest's (RS_CALL_*) that the machine does not know.  data: RS_CALL_DATA
	 * bytes of the guest's, which may change at any time.  True: *result is the answer, 0 or
	 * more, or a negative errno value. */
	bool (*call)(struct observer *observer, struct cpu *cpu, uint32_t function,
	             const uint64_t arg[4], const void *data, int64_t *result);
	/* Whoever drives the machine has seen a crossing. */
	void (*crossed)(struct observer *observer, struct cpu *cpu,
	                const struct seen_crossing *crossing);
	struct observer *next;
};

/* Tell a list of them, from its first; each does what the member of that name says. */
bool observers_take_exit(struct observer *first, struct cpu *cpu);
bool observers_marked(struct observer *first, struct cpu *cpu, unsigned slot,
                      const struct rs_mark *mark);
void observers_served(struct observer *first, struct cpu *cpu, uint64_t entered);
bool observers_call(struct observer *first, struct cpu *cpu, uint32_t function,
                    const uint64_t arg[4], const void *data, int64_t *result);
void observers_crossed(struct observer *first, struct cpu *cpu,
                       const struct seen_crossing *crossing);

#endif
