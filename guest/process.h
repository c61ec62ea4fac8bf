/*
 * What a process is: an address space, a kernel stack, a place in the round of the scheduler; or a
 * kernel thread, which has no address space and never leaves ring 0.  Who makes and ends them is
 * guest/life.h, who runs them guest/schedule.h.
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

static inline struct process *process_current(void)
{
	struct process *process;

	__asm__ volatile("mov %%gs:%c1, %0" : "=r"(process) : "i"(offsetof(struct cpu, current)));
	return process;
}

#endif
