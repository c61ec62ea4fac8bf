/*
 * Who runs: the queue of those that are ready, switching between them, sleeping, and what a CPU
 * does when nobody is ready.
 *
 * A process runs until it yields, waits or ends, and, once slices were asked for, until its slice
 * is over: in ring 3 anywhere, in ring 0 where process.preemptible says so (kernel threads). Slices
 * are off at the start, since whoever measures wants none.  The local APIC's timer is armed only
 * while somebody else is ready, or sleeps.
 *
 * The kernel's lock is held (guest/smp.h) and interrupts are off in all of these but where it says
 * otherwise.
 */
#ifndef GUEST_SCHEDULE_H
#define GUEST_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/process.h"
#include "shared/abi.h"

/* Once, before any process exists. */
void schedule_init(const struct rs_boot *boot);
/* Makes this CPU, on its boot stack, one that idles: from here on it can answer others.  The lock
 * is not held. */
void schedule_join(void);
/* What each CPU does in the end, on its boot stack.  Interrupts off. */
_Noreturn void schedule_idle(void);

/* The process, which is not running, goes to the end of the queue. */
void schedule_ready(struct process *process);
/* The current process goes there; the first one of the queue runs. */
void schedule_yield(void);
/* The current process, whose state says what it waits for, does not run until schedule_ready. */
void schedule_block(void);
/* ... until so much time has passed, at least. */
void schedule_sleep(uint64_t ns);

/* Slices of min_ns to max_ns, anew for each; 0, 0: none.  False: there is no timer that works, and
 * scheduling stays cooperative.  The lock is not held. */
bool schedule_slices(uint64_t min_ns, uint64_t max_ns);
/* Whether slices are in force. */
bool schedule_has_slices(void);
/* VECTOR_TIMER, which interrupted the current process in ring 3 or in ring 0.  The lock is not
 * held. */
void schedule_tick(bool from_user);

/* Brings this CPU to what the current process has: its roots, its kernel stack. */
void schedule_reload(void);
/* Whether TSS.RSP0 is still where this put it. */
bool schedule_has_rsp0(void);
/* Makes this CPU's I/O permission bitmap the process's. */
void schedule_io_permission(const struct process *process);
/* While alone, no other CPU takes a process up: for tests that change what is one CPU's. */
void schedule_alone(bool alone);

/* Saves and loads at once what switch_segments moves: `save` is a copy of what is live. */
void schedule_copy_segments(struct segments *save);
/* Loads the current process's selectors again: some may be gone from the GDT. */
void schedule_check_segments(void);
/* For the fault handler, with a fault of ring 0: true: a selector was refused in a switch; the
 * process has null ones now, and the instruction is to be tried again.  The lock may be held. */
bool schedule_selector_fault(const struct rs_regs *regs);

#endif
