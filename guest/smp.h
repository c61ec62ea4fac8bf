/*
 * Several CPUs over one kernel: starting them, one lock, and what one CPU asks of the others.
 *
 * One lock guards all that CPUs share: the process table and its queues, frames, page tables.  It
 * is held with interrupts off, across a switch of stacks too (the one who is switched to lets go),
 * and never while waiting for anything but another CPU's answer.  A system call that touches
 * nothing shared (getpid) does not take it.
 *
 * A CPU that waits for the lock, or for answers, answers others meanwhile: two that ask each other
 * do not wait for ever.
 */
#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

extern uint32_t smp_cpus; /* that run; only grows */

void smp_lock_contended(void);
void smp_unlock_contended(void);

/* Interrupts are off.  With one CPU there is nobody to keep out. */
static inline void kernel_lock(void)
{
	if (smp_cpus > 1)
		smp_lock_contended();
}
static inline void kernel_unlock(void)
{
	if (smp_cpus > 1)
		smp_unlock_contended();
}

/* Starts the CPUs that the machine has besides this one, where it has APICs to reach them by.
 * Returns 0, or the number of the one that the VMM does not start. */
uint32_t smp_start(const struct rs_boot *boot);
/* A started CPU has its words, its APIC and its mode, and takes part.  It holds the lock from here
 * on. */
void smp_join(void);

/* Runs act(arg) on every other CPU, interrupts off, and waits until all have.  The lock is held;
 * act must not take it. */
void smp_on_others(void (*act)(uint64_t arg), uint64_t arg);
/* Between the two, every other CPU stands still in ring 0, interrupts off; then each runs act(arg),
 * and smp_go_on waits until all have.  The lock is held. */
void smp_stop_others(void);
void smp_go_on(void (*act)(uint64_t arg), uint64_t arg);

/* VECTOR_CALL: does what another CPU waits for.  Harmless when nobody does. */
void smp_answer(void);

#endif
