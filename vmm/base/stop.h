/*
 * Stopping the guest from outside: signals, and the time limit.
 *
 * Every signal that would end the VMM without a word is caught from the beginning of main.  Before
 * a guest is there one ends the VMM at once, with a message and status 128 + n; afterwards it is a
 * request to stop, and only a second one of the same kind ends it at once.  What cannot be written
 * (SIGPIPE, SIGXFSZ) is an error of write(2) and no signal.
 *
 * The handler sets kvm_run.immediate_exit, which KVM looks at on the way into the guest: a signal
 * that comes just before KVM_RUN ends it as surely as one that comes during it.
 *
 * With several CPUs the signals come to the main thread, which runs CPU 0, and the handler passes
 * them on: immediate_exit for each vCPU, and a signal of its own (SIGRTMIN) to each other thread.
 *
 * A request that comes just before a system call that waits would end nothing.  So it comes again
 * every STOP_TICK_MS, and whoever waits looks at stop_requested() after an EINTR.
 */
#ifndef VMM_BASE_STOP_H
#define VMM_BASE_STOP_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>
#include <termios.h>

enum {
	STOP_TICK_MS = 100,
	STOP_TIMEOUT = 1000, /* no signal has this number */
};

/* The first thing in main.  Whatever was blocked comes again, but what was ignored (nohup) stays
 * ignored. */
void stop_begin(void);

/* For what has no guest that could be asked to stop: after timeout_ns, unless it is 0, the VMM ends
 * at once with STATUS_TIMEOUT.  False after a message. */
bool stop_limit(uint64_t timeout_ns);

/* From now on signals are requests.  For the calling thread, which is to run CPU 0; starts the
 * clock with timeout_ns != 0.  False after a message. */
bool stop_install(struct kvm_run *run, uint64_t timeout_ns);

/* This one is a request also if it was ignored when we started: an option is for it. */
void stop_catch(int signal);

/* Before the VMM is ended at once this is called, in a signal handler. */
void stop_at_death(void (*remove)(void));

/* Before that the terminal of standard input gets these attributes again; NULL: it is as it was. */
void stop_keep_terminal(const struct termios *attributes);

/* 0: nobody wants to stop; STOP_TIMEOUT: the time is over; else the signal that came first. */
int stop_requested(void);
/* When that was, on clock_ns. */
uint64_t stop_requested_at(void);

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
/* The same for one CPU, whose immediate_exit the caller takes back (to 0, if nobody wants to stop)
 * when it has returned. */
void stop_interrupt(unsigned cpu);

#endif
