/*
 * Processes: an address space, a kernel stack, a place in the round of the scheduler; and kernel
 * threads, which have no address space and never leave ring 0.
 */
#ifndef GUEST_PROCESS_H
#define GUEST_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/cpu.h"
#include "guest/memory.h"
#include "guest/segments.h"
#include "shared/abi.h"

#define MAX_PROCESSES       64
#define KERNEL_STACK_SIZE   8192
#define KERNEL_STACK_STRIDE 16384 /* the lower half is the guard: never mapped */

enum process_state {
	PROCESS_FREE,
	PROCESS_READY, /* or running */
	PROCESS_WAITING,
	PROCESS_SLEEPING,
	PROCESS_ZOMBIE,
};

struct process {
	enum process_state state;
	uint32_t pid;
	struct process *parent;
	struct process *next;      /* in the queue it is in: ready, or sleeping */
	uint64_t wake_ns;          /* when PROCESS_SLEEPING ends, on the host's clock */
	const struct space *space; /* memory's, or the kernel's for who has none */
	struct memory memory;
	void (*kernel_thread)(uint64_t argument); /* NULL: a process */
	uint64_t argument;                        /* of kernel_thread */
	struct process *joiner; /* who waits in process_join for the end of this thread, or NULL */
	bool preemptible;       /* in ring 0 too: it holds nothing that its CPU needs */
	bool idle;              /* what a CPU runs when nobody is ready */
	uint64_t kernel_stack;  /* top */
	uint64_t rsp;           /* in ring 0, while another process runs */
	uint32_t exit_status;   /* in wait4's encoding: status << 8, or a signal number */
	uint64_t fault_rflags;  /* that the last fault saved */
	uint64_t fault_handler; /* RS_SYS_FAULT_HANDLER; 0: none */
	int64_t mark_slot;      /* RS_SYS_MARK_SLOT: slot, or -1 */
	struct segments segments; /* while another process runs */
};

/* The first process, from the image's user segments, ready to run at `entry`.  Panics when it
 * cannot be made. */
void process_init(const struct rs_boot *boot, uint64_t entry);
static inline struct process *process_current(void)
{
	struct process *process;

	__asm__ volatile("mov %%gs:%c1, %0" : "=r"(process) : "i"(offsetof(struct cpu, current)));
	return process;
}
/* The registers the current process entered the kernel with. */
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
