/*
 * Stopping the guest from outside: SIGINT, SIGTERM, SIGHUP, and the time limit.
 *
 * The handler sets kvm_run.immediate_exit, which KVM looks at on the way into the guest: a signal
 * that comes just before KVM_RUN ends it as surely as one that comes during it.
 */
#ifndef VMM_STOP_H
#define VMM_STOP_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

/* Takes over the signals and, with timeout_ns != 0, starts the clock.  A second signal of the same
 * kind kills the VMM as it would have without.  False after a message. */
bool stop_install(struct kvm_run *run, uint64_t timeout_ns);

/* 0: nobody wants to stop; SIGALRM: the time is over; else the signal that came first. */
int stop_requested(void);

#endif
