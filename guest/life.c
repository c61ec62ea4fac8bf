#include "guest/life.h"

#include <stddef.h>

#include "guest/cpu.h"
#include "guest/errno.h"
#include "guest/frames.h"
#include "guest/panic.h"
#include "guest/schedule.h"
#include "guest/smp.h"
#include "guest/trace.h"

/* switch.S */
extern const char first_return[], first_run[];

static struct process processes[MAX_PROCESSES];
static uint32_t next_pid = 1;

struct rs_regs *process_regs(struct process *process)
{
	return (struct rs_regs *)process->kernel_stack - 1;
}

/* ---- Making and unmaking ------------------------------------------------------------------- */

static uint64_t stack_base(const struct process *process)
{
	return RS_STACKS_BASE + (uint64_t)(process - processes) * KERNEL_STACK_STRIDE +
	       KERNEL_STACK_SIZE;
}

static bool map_stack_page(uint64_t va)
{
	uint64_t frame;

	if (!frame_alloc_dirty(&frame))
		return false;
	if (space_map_kernel(va, frame) == PT_OK)
		return true;
	frame_free(frame);
	return false;
}

/* Frames go back once no CPU's TLB knows them: another process's stack may be next in them. */
static void unmap_kernel_stack(struct process *process)
{
	const uint64_t base = stack_base(process);
	uint64_t frames[KERNEL_STACK_SIZE / PAGE_SIZE];
	uint32_t count = 0;

	for (uint64_t va = base; va < base + KERNEL_STACK_SIZE; va += PAGE_SIZE) {
		struct pt_walk walk;

		pt_walk(space_kernel_tree(), va, &walk);
		if (walk.mapped)
			frames[count++] = walk.pa;
	}
	space_unmap_kernel(base, KERNEL_STACK_SIZE);
	while (count)
		frame_free(frames[--count]);
}

static bool map_kernel_stack(struct process *process)
{
	const uint64_t base = stack_base(process);

	for (uint64_t va = base; va < base + KERNEL_STACK_SIZE; va += PAGE_SIZE)
		if (!map_stack_page(va)) {
			unmap_kernel_stack(process);
			return false;
		}
	process->kernel_stack = base + KERNEL_STACK_SIZE;
	return true;
}

/* A slot of the table with a kernel stack. */
static struct process *new_process(void)
{
	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++) {
		if (p->state != PROCESS_FREE)
			continue;
		*p = (struct process){.space = space_kernel(), .mark_slot = -1};
		segments_init(&p->segments);
		if (!map_kernel_stack(p))
			return NULL;
		p->pid = next_pid++;
		return p;
	}
	return NULL;
}

static void free_process(struct process *process)
{
	unmap_kernel_stack(process);
	process->state = PROCESS_FREE;
	process->parent = NULL;
}

/* Where one starts when it is first switched to: switch_stacks pops six words and returns there. */
static void arm_first_switch(struct process *process, uint64_t *stack, const char *start)
{
	*--stack = (uint64_t)start;
	for (int i = 0; i < 6; i++)
		*--stack = 0;
	process->rsp = (uint64_t)stack;
	schedule_ready(process);
}

/* switch.S, first_return: what schedule_block does for one that was switched away. */
void begin_process(void);
void begin_process(void)
{
	kernel_unlock();
}

/* Its registers are on its kernel stack. */
static void start_process(struct process *process)
{
	cpu_stats()->processes++;
	arm_first_switch(process, (uint64_t *)process_regs(process), first_return);
}

void process_init(const struct rs_boot *boot, uint64_t entry)
{
	struct process *process = new_process();

	if (!process || !memory_create(&process->memory) ||
	    !memory_map_image(&process->memory, boot))
		panic(NULL, "no memory for the first process");
	process->space = &process->memory.space;
	*process_regs(process) = (struct rs_regs){
	    .rip = entry,
	    .cs = RS_SEL_USER_CODE,
	    .rflags = RFLAGS_FIXED | RFLAGS_IF,
	    .rsp = memory_push_arguments(&process->memory, boot),
	    .ss = RS_SEL_USER_DATA,
	};
	start_process(process);
}

static bool copy_process(struct process *child, const struct process *parent)
{
	if (!memory_create(&child->memory))
		return false;
	if (memory_copy(&child->memory, &parent->memory))
		return true;
	memory_destroy(&child->memory);
	return false;
}

static int64_t fork_locked(void)
{
	struct process *parent = process_current();
	struct process *child = new_process();

	if (!child)
		return -EAGAIN;
	if (!copy_process(child, parent)) {
		free_process(child);
		return -ENOMEM;
	}
	child->space = &child->memory.space;
	child->parent = parent;
	child->fault_handler = parent->fault_handler;
	/* What is live is the parent's, and stays so. */
	schedule_copy_segments(&child->segments);
	*process_regs(child) = *process_regs(parent);
	process_regs(child)->rax = 0;
	start_process(child);
	return child->pid;
}

int64_t process_fork(void)
{
	int64_t result;

	kernel_lock();
	result = fork_locked();
	kernel_unlock();
	return result;
}

void process_yield(void)
{
	kernel_lock();
	schedule_yield();
	kernel_unlock();
}

/* ---- Waiting for an end -------------------------------------------------------------------------
 */

/* Until another's end wakes the current process, which then looks whether it was the one. */
static void wait(void)
{
	process_current()->state = PROCESS_WAITING;
	schedule_block();
}

static void wake(struct process *waiting)
{
	if (waiting && waiting->state == PROCESS_WAITING)
		schedule_ready(waiting);
}

/* ---- Kernel threads -------------------------------------------------------------------------- */

/* switch.S, on the thread's own stack, with the lock that was held across the switch. */
_Noreturn void thread_main(void);
_Noreturn void thread_main(void)
{
	struct process *self = process_current();

	kernel_unlock();
	self->preemptible = true;
	__asm__ volatile("sti" : : : "memory");
	self->kernel_thread(self->argument);
	__asm__ volatile("cli" : : : "memory");
	self->preemptible = false;
	kernel_lock();
	self->state = PROCESS_ZOMBIE;
	wake(self->joiner);
	schedule_block();
	__builtin_unreachable();
}

struct process *process_start_thread(void (*body)(uint64_t argument), uint64_t argument)
{
	struct process *thread;

	kernel_lock();
	thread = new_process();
	if (thread) {
		thread->kernel_thread = body;
		thread->argument = argument;
		arm_first_switch(thread, (uint64_t *)thread->kernel_stack, first_run);
	}
	kernel_unlock();
	return thread;
}

void process_join(struct process *thread)
{
	kernel_lock();
	thread->joiner = process_current();
	while (thread->state != PROCESS_ZOMBIE)
		wait();
	free_process(thread);
	kernel_unlock();
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static void leave_children_to(struct process *parent, struct process *heir)
{
	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
		if (p->parent == parent)
			p->parent = heir;
}

_Noreturn void process_exit(uint32_t status)
{
	struct process *current = process_current();

	if (trace_rings)
		trace_note(RS_TRACE_END, status, 0, 0, 0, 0);
	if (current == &processes[0])
		for (;;)
			out32(RS_PORT_EXIT, status & 0x7f ? 120 : (status >> 8) & 0xff);
	kernel_lock();
	leave_children_to(current, &processes[0]);
	current->exit_status = status;
	current->state = PROCESS_ZOMBIE;
	wake(current->parent);
	schedule_block();
	__builtin_unreachable();
}

static int64_t reap(struct process *child, uint32_t *status)
{
	int64_t pid = child->pid;

	*status = child->exit_status;
	memory_destroy(&child->memory);
	free_process(child);
	return pid;
}

/* 0: there are children, and none has ended. */
static int64_t reap_any(const struct process *parent, int64_t pid, uint32_t *status)
{
	int64_t result = -ECHILD;

	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++) {
		if (p->state == PROCESS_FREE || p->parent != parent || (pid != -1 && pid != p->pid))
			continue;
		if (p->state == PROCESS_ZOMBIE)
			return reap(p, status);
		result = 0;
	}
	return result;
}

int64_t process_wait(int64_t pid, uint32_t *status, bool no_hang)
{
	struct process *current = process_current();
	int64_t result;

	kernel_lock();
	while ((result = reap_any(current, pid, status)) == 0 && !no_hang)
		wait();
	kernel_unlock();
	return result;
}

/* ---- Segments -------------------------------------------------------------------------------- */

void process_forget_selectors(uint16_t first, uint16_t end)
{
	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
		segments_drop(&p->segments, first, end);
	/* What is gone faults when it is loaded again. */
	schedule_check_segments();
}

/* ---- Modes ----------------------------------------------------------------------------------- */

static void follow_mode(uint64_t unused)
{
	(void)unused;
	space_follow_mode();
	schedule_reload();
}

void process_set_pti_mode(uint32_t mode)
{
	if (trace_rings)
		trace_note(RS_TRACE_MODE, mode, 0, 0, 0, 0);
	kernel_lock();
	smp_stop_others();
	space_set_mode(mode);
	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
		if (p->state != PROCESS_FREE && !p->kernel_thread)
			space_apply_mode(&p->memory.space);
	schedule_reload();
	smp_go_on(follow_mode, 0);
	kernel_unlock();
}

void process_allow_marks(struct process *process, int64_t slot)
{
	process->mark_slot = slot;
	schedule_io_permission(process);
}
