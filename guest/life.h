/*
 * The life of processes and kernel threads: how one begins, ends, and is waited for; and what is
 * done to all of them at once.
 */
#ifndef GUEST_LIFE_H
#define GUEST_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/process.h"
#include "shared/abi.h"

/* The first process, from the image's user segments, ready to run at `entry`.  Panics when it
 * cannot be made. */
void process_init(const struct rs_boot *boot, uint64_t entry);

/* The registers the process entered the kernel with. */
struct rs_regs *process_regs(struct process *process);

/* As Linux's calls; negative errno on failure.  The kernel's lock is not held (guest/smp.h). */
int64_t process_fork(void);
int64_t process_wait(int64_t pid, uint32_t *status, bool no_hang);
_Noreturn void process_exit(uint32_t status);
void process_yield(void);

/* A kernel thread that runs body(argument), preemptible, with interrupts on, and ends when that
 * returns.  It has no parent; process_join waits for its end and takes it away.  NULL: no room. */
struct process *process_start_thread(void (*body)(uint64_t argument), uint64_t argument);
void process_join(struct process *thread);

/* These descriptors are gone: no process keeps a selector of one in DS, ES, FS or GS. */
void process_forget_selectors(uint16_t first, uint16_t end);

/* Changes the KPTI mode for all, on all CPUs. */
void process_set_pti_mode(uint32_t mode);
/* Whether ring 3 of this process may write RS_PORT_MARK, from now on. */
void process_allow_marks(struct process *process, int64_t slot);

#endif
