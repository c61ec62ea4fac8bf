#include "guest/process.h"

#include <stddef.h>

#include "guest/console.h"
#include "guest/cpu.h"
#include "guest/errno.h"
#include "guest/frames.h"
#include "guest/string.h"
#include "guest/trace.h"
#include "shared/desc.h"

/* switch.S */
void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp);
void switch_segments(struct segments *save, const struct segments *load, bool fsgsbase);
extern const char switch_segments_end[];
/* entry.S */
extern const char user_return[];

static struct process processes[MAX_PROCESSES];
static uint32_t next_pid = 1;
static bool fsgsbase; /* CR4.FSGSBASE is set */

/* Who is ready but not running, first come first served.  The running process is in no queue. */
static struct {
	struct process *first, *last;
} ready;

static void make_ready(struct process *process)
{
	process->state = PROCESS_READY;
	process->next_ready = NULL;
	if (ready.first)
		ready.last->next_ready = process;
	else
		ready.first = process;
	ready.last = process;
}

static struct process *take_ready(void)
{
	struct process *process = ready.first;

	if (process)
		ready.first = process->next_ready;
	return process;
}

struct rs_regs *process_regs(struct process *process)
{
	return (struct rs_regs *)process->kernel_stack - 1;
}

/* ---- Making and unmaking ------------------------------------------------------------------- */

static bool map_kernel_stack(struct process *process)
{
	uint64_t slot = (uint64_t)(process - processes);
	uint64_t base = RS_STACKS_BASE + slot * KERNEL_STACK_STRIDE + KERNEL_STACK_SIZE;

	process->kernel_stack = base + KERNEL_STACK_SIZE;
	for (uint64_t va = base; va < process->kernel_stack; va += PAGE_SIZE) {
		uint64_t frame;

		if (!frame_alloc(&frame))
			return false;
		if (pt_map(space_kernel_tree(), va, frame, PAGE_SIZE, PT_WRITE | PT_GLOBAL, NULL)) {
			frame_free_zero(frame);
			return false;
		}
	}
	return true;
}

/* As after FNINIT and with MXCSR's reset value: every exception masked (SDM volume
 * 1, 8.1.5, 10.2.3). */
static void init_sse(struct segments *segments)
{
	*(uint16_t *)&segments->sse[0] = 0x37f;
	*(uint32_t *)&segments->sse[24] = 0x1f80;
}

/* Kernel stacks stay mapped with their slot: the next process in it finds the stack made. */
static struct process *new_process(void)
{
	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++) {
		uint64_t stack = p->kernel_stack;

		if (p->state != PROCESS_FREE)
			continue;
		*p = (struct process){.kernel_stack = stack, .fresh = true, .mark_slot = -1};
		init_sse(&p->segments);
		if (!stack && !map_kernel_stack(p)) {
			p->kernel_stack = 0;
			return NULL;
		}
		if (!memory_create(&p->memory, (uint16_t)(p - processes + 1)))
			return NULL;
		p->pid = next_pid++;
		return p;
	}
	return NULL;
}

/* Where a process starts when it is first switched to: its registers are on its kernel stack, and
 * switch_stacks pops six words and returns to the way out. */
static void arm_first_switch(struct process *process)
{
	uint64_t *stack = (uint64_t *)process_regs(process);

	*--stack = (uint64_t)user_return;
	for (int i = 0; i < 6; i++)
		*--stack = 0;
	process->rsp = (uint64_t)stack;
	make_ready(process);
	cpu_stats()->processes++;
}

void process_init(const struct rs_boot *boot, uint64_t entry)
{
	struct process *process = new_process();

	fsgsbase = boot->features & RS_FEATURE_FSGSBASE;
	if (!process || !memory_map_image(&process->memory, boot))
		panic(NULL, "no memory for the first process");
	*process_regs(process) = (struct rs_regs){
	    .rip = entry,
	    .cs = RS_SEL_USER_CODE,
	    .rflags = RFLAGS_FIXED | RFLAGS_IF,
	    .rsp = memory_push_arguments(&process->memory, boot),
	    .ss = RS_SEL_USER_DATA,
	};
	arm_first_switch(process);
}

int64_t process_fork(void)
{
	struct process *parent = process_current();
	struct process *child = new_process();

	if (!child)
		return -EAGAIN;
	if (!memory_copy(&child->memory, &parent->memory)) {
		memory_destroy(&child->memory);
		return -ENOMEM;
	}
	child->parent = parent;
	child->fault_handler = parent->fault_handler;
	/* What is live is the parent's, and stays so. */
	switch_segments(&child->segments, &child->segments, fsgsbase);
	*process_regs(child) = *process_regs(parent);
	process_regs(child)->rax = 0;
	arm_first_switch(child);
	return child->pid;
}

/* ---- Switching ------------------------------------------------------------------------------- */

static void set_io_permission(const struct process *process)
{
	struct desc_tss *tss = (struct desc_tss *)(RS_ENTRY_CPU(this_cpu()->number) + RS_ENTRY_TSS);

	/* Beyond the limit: no port is allowed. */
	tss->iomap_base = process->mark_slot >= 0 ? RS_IO_BITMAP_OFFSET : RS_TSS_LIMIT + 1;
}

static void set_kernel_stack(uint64_t top)
{
	struct cpu *cpu = this_cpu();
	struct desc_tss *tss = (struct desc_tss *)(RS_ENTRY_CPU(cpu->number) + RS_ENTRY_TSS);

	cpu->kernel_stack = top;
	desc_tss_set_rsp(tss, 0, cpu->pti ? cpu->entry_stack : top);
}

static void load(struct process *process)
{
	struct cpu *cpu = this_cpu();

	cpu->current = process;
	/* cpu.user_rsp is the other process's: leave by IRETQ, from the saved registers. */
	cpu->exit = EXIT_SLOW;
	set_kernel_stack(process->kernel_stack);
	set_io_permission(process);
	space_load(&process->memory.space, process->fresh);
	process->fresh = false;
}

/* The caller has seen to it that somebody wakes the current process up again, if it is to run
 * again. */
static void switch_away(void)
{
	struct process *from = process_current();
	struct process *to = take_ready();

	if (!to)
		panic(NULL, "deadlock: every process waits");
	if (to == from)
		return;
	cpu_stats()->context_switches++;
	if (trace_ring)
		trace_note(RS_TRACE_SWITCH, to->pid, to->memory.space.kernel_cr3,
		           to->memory.space.user_cr3, 0, 0);
	load(to);
	if (to->mark_slot >= 0)
		out8(RS_PORT_MARK, (uint8_t)to->mark_slot);
	switch_segments(&from->segments, &to->segments, fsgsbase);
	switch_stacks(&from->rsp, to->rsp);
}

void process_yield(void)
{
	make_ready(process_current());
	switch_away();
}

_Noreturn void process_start_first(void)
{
	uint64_t boot_rsp;

	load(take_ready());
	switch_stacks(&boot_rsp, processes[0].rsp);
	__builtin_unreachable();
}

/* As if the process had loaded null by itself. */
static void drop_selectors(struct segments *segments, uint16_t first, uint16_t end)
{
	uint16_t *const selectors[] = {&segments->ds, &segments->es, &segments->fs, &segments->gs};

	for (int i = 0; i < 4; i++)
		if (*selectors[i] >= first && *selectors[i] < end)
			*selectors[i] = 0;
}

void process_forget_selectors(uint16_t first, uint16_t end)
{
	struct segments *live = &process_current()->segments;

	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
		drop_selectors(&p->segments, first, end);
	/* What is gone faults when it is loaded again. */
	switch_segments(live, live, fsgsbase);
}

bool process_selector_fault(const struct rs_regs *regs)
{
	if (regs->rip < (uint64_t)switch_segments || regs->rip >= (uint64_t)switch_segments_end)
		return false;
	/* RSI: what is being loaded. */
	drop_selectors((struct segments *)regs->rsi, 0, UINT16_MAX);
	return true;
}

/* ---- Ending ---------------------------------------------------------------------------------- */

_Noreturn void process_exit(uint32_t status)
{
	struct process *current = process_current();

	if (trace_ring)
		trace_note(RS_TRACE_END, status, 0, 0, 0, 0);
	if (current == &processes[0])
		for (;;)
			out32(RS_PORT_EXIT, status & 0x7f ? 120 : (status >> 8) & 0xff);
	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
		if (p->parent == current)
			p->parent = &processes[0];
	current->exit_status = status;
	current->state = PROCESS_ZOMBIE;
	if (current->parent->state == PROCESS_WAITING)
		make_ready(current->parent);
	switch_away();
	__builtin_unreachable();
}

static int64_t reap(struct process *child, uint32_t *status)
{
	int64_t pid = child->pid;

	*status = child->exit_status;
	memory_destroy(&child->memory);
	child->state = PROCESS_FREE;
	child->parent = NULL;
	return pid;
}

int64_t process_wait(int64_t pid, uint32_t *status, bool no_hang)
{
	struct process *current = process_current();

	for (;;) {
		bool any = false;

		for (struct process *p = processes; p < processes + MAX_PROCESSES; p++) {
			if (p->state == PROCESS_FREE || p->parent != current ||
			    (pid != -1 && pid != p->pid))
				continue;
			if (p->state == PROCESS_ZOMBIE)
				return reap(p, status);
			any = true;
		}
		if (!any)
			return -ECHILD;
		if (no_hang)
			return 0;
		current->state = PROCESS_WAITING;
		switch_away();
	}
}

/* ---- Modes --------------------------------------------------------------------------------------
 */

void process_set_pti_mode(uint32_t mode)
{
	struct process *current = process_current();

	if (trace_ring)
		trace_note(RS_TRACE_MODE, mode, 0, 0, 0, 0);
	space_set_mode(mode);
	for (struct process *p = processes; p < processes + MAX_PROCESSES; p++)
		if (p->state != PROCESS_FREE)
			space_apply_mode(&p->memory.space);
	current->fresh = true;
	load(current);
}

void process_allow_marks(struct process *process, int64_t slot)
{
	process->mark_slot = slot;
	set_io_permission(process);
}
