/*
 * Stopping the guest from outside: SIGINT, SIGTERM, SIGHUP, and the time limit.
 *
 * The handler sets kvm_run.immediate_exit, which KVM looks at on the way into the guest: a signal
 * that comes just before KVM_RUN ends it as surely as one that comes during it.
 *
 * With several CPUs the signals come to the main thread, which runs CPU 0, and the handler passes
 * them on: immediate_exit for each vCPU, and a signal of its own (SIGRTMIN) to each other thread.
 */
#ifndef VMM_STOP_H
#define VMM_STOP_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

/* Takes over the signals for the calling thread, which is to run CPU 0, and, with timeout_ns != 0,
 * starts the clock.  A second signal of the same kind kills the VMM as it would have without.
 * False after a message. */
bool stop_install(struct kvm_run *run, uint64_t timeout_ns);

/* 0: nobody wants to stop; SIGALRM: the time is over; else the signal that came first. */
int stop_requested(void);

/* ---- Several CPUs: all under the machine's lock but stop_mask ----------------------------------
 */

/* The signals that a thread for another CPU has to be made with: all blocked but SIGRTMIN. */
void stop_mask(sigset_t *mask);
/* From now on requests reach this thread too, which runs CPU 1 to RS_MAX_CPUS - 1. */
void stop_add(unsigned cpu, struct kvm_run *run, pthread_t thread);
/* For the thread itself, before it ends. */
void stop_remove(unsigned cpu);
/* Makes KVM_RUN, and whatever else waits, return on all CPUs.  For signal handlers too. */
void stop_all(void);

#endif
