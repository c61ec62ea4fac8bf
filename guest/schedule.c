#include "guest/schedule.h"

#include <stddef.h>

#include "guest/apic.h"
#include "guest/cpu.h"
#include "guest/panic.h"
#include "guest/smp.h"
#include "guest/trace.h"
#include "shared/desc.h"

/* switch.S */
void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp);
void switch_segments(struct segments *save, const struct segments *load, bool fsgsbase);
extern const char switch_segments_end[];

static bool fsgsbase; /* CR4.FSGSBASE is set */

/* Ready but not running, first come first served.  The running ones are in no queue. */
static struct {
	struct process *first, *last;
} ready;

static bool started; /* somebody was ready once */

static struct process *sleeping; /* by the time they are to wake, the first one first */

/* What a CPU runs when nobody is ready. */
static struct process idle[RS_MAX_CPUS];
static uint32_t idle_cpus; /* bit n: CPU n halts, or is about to */
static uint32_t busy;      /* CPUs that run something else than idle */
static int32_t alone = -1; /* the only CPU that takes processes up; -1: all do */

static struct {
	uint64_t min_ns, max_ns;   /* 0: no slices */
	uint64_t random;           /* for lengths between */
	bool running[RS_MAX_CPUS]; /* the timer of that CPU ends a slice */
	volatile uint64_t probes;  /* ticks seen while finding out whether the timer works */
	enum { UNTRIED, WORKS, BROKEN } timer;
} slices;

void schedule_init(const struct rs_boot *boot)
{
	fsgsbase = boot->features & RS_FEATURE_FSGSBASE;
	slices.random = rdtsc() | 1;
	for (uint32_t cpu = 0; cpu < RS_MAX_CPUS; cpu++) {
		idle[cpu] = (struct process){
		    .space = space_kernel(),
		    .kernel_stack = RS_KERNEL_CPU(cpu) + RS_KERNEL_BOOT_STACK_TOP,
		    .mark_slot = -1,
		    .idle = true,
		};
		segments_init(&idle[cpu].segments);
	}
}

/* ---- Time ------------------------------------------------------------------------------------ */

static uint64_t clock_ns(void)
{
	out32(RS_PORT_CALL, RS_CALL_CLOCK);
	return (uint64_t)cpu_call()->result;
}

/* Interrupts may come for a while.  Not just behind STI: one emulated CPU would look for them too
 * seldom. */
static void let_interrupts_in(void)
{
	__asm__ volatile("sti" : : : "memory");
	for (int i = 0; i < 100; i++)
		__asm__ volatile("pause" : : : "memory");
	__asm__ volatile("cli" : : : "memory");
}

/* A tick of 1 ms, within 200: a KVM may have an APIC whose timer never fires. */
static bool try_timer(void)
{
	const uint64_t before = slices.probes, end = clock_ns() + 200000000;

	apic_timer(1000000);
	while (slices.probes == before && clock_ns() < end)
		let_interrupts_in();
	return slices.probes != before;
}

/* Only when somebody first needs it.  The lock is not held. */
static void find_timer(void)
{
	if (slices.timer == UNTRIED)
		slices.timer = apic_present() && try_timer() ? WORKS : BROKEN;
}

/* Xorshift: a different length each time, so that every instruction gets its turn to be interrupted
 * at. */
static uint64_t next_slice(void)
{
	uint64_t x = slices.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	slices.random = x;
	return slices.min_ns + x % (slices.max_ns - slices.min_ns + 1);
}

/* The next thing this CPU's timer is needed for: the end of a slice, a sleeper's time. */
static void arm_timer(void)
{
	uint64_t ns = UINT64_MAX;

	if (slices.timer != WORKS)
		return;
	if (slices.max_ns && ready.first) {
		ns = next_slice();
		slices.running[this_cpu()->number] = true;
	}
	if (sleeping) {
		uint64_t now = clock_ns();
		uint64_t rest = sleeping->wake_ns > now ? sleeping->wake_ns - now : 1;

		ns = rest < ns ? rest : ns;
	}
	if (ns != UINT64_MAX)
		apic_timer(ns);
}

/* Somebody is ready: the current process has a slice from now on, if it has none yet. */
static inline __attribute__((always_inline)) void begin_slice(void)
{
	if (slices.max_ns && !slices.running[this_cpu()->number] && ready.first)
		arm_timer();
}

static void wake_sleepers(void)
{
	uint64_t now;

	if (!sleeping)
		return;
	now = clock_ns();
	while (sleeping && sleeping->wake_ns <= now) {
		struct process *process = sleeping;

		sleeping = process->next;
		schedule_ready(process);
	}
}

/* ---- The queue ------------------------------------------------------------------------------- */

/* One that halts, and may take processes up. */
static void wake_idle_cpu(void)
{
	uint32_t cpu;

	if (!idle_cpus || alone >= 0)
		return;
	cpu = (uint32_t)__builtin_ctz(idle_cpus);
	idle_cpus &= ~(1u << cpu);
	if (cpu != this_cpu()->number)
		apic_send(cpu, VECTOR_WAKE);
}

static inline __attribute__((always_inline)) void enqueue(struct process *process)
{
	process->state = PROCESS_READY;
	process->next = NULL;
	started = true;
	if (ready.first)
		ready.last->next = process;
	else
		ready.first = process;
	ready.last = process;
}

void schedule_ready(struct process *process)
{
	enqueue(process);
	begin_slice();
	wake_idle_cpu();
}

static inline __attribute__((always_inline)) struct process *take_ready(void)
{
	const uint32_t cpu = this_cpu()->number;
	struct process *process = ready.first;

	if (!process || (alone >= 0 && alone != (int32_t)cpu))
		return &idle[cpu];
	ready.first = process->next;
	return process;
}

/* ---- Switching ------------------------------------------------------------------------------- */

static inline struct desc_tss *this_tss(void)
{
	return (struct desc_tss *)((uint64_t)this_cpu() + RS_ENTRY_TSS);
}

static inline void set_rsp0(uint64_t rsp)
{
	__builtin_memcpy(this_tss()->rsp[0], &rsp, sizeof(rsp)); /* not 8-byte aligned */
}

bool schedule_has_rsp0(void)
{
	const struct cpu *cpu = this_cpu();
	const uint64_t rsp = cpu->pti ? cpu->entry_stack : cpu->kernel_stack;
	uint64_t now;

	__builtin_memcpy(&now, this_tss()->rsp[0], sizeof(now));
	return now == rsp;
}

void schedule_io_permission(const struct process *process)
{
	/* Beyond the limit: no port is allowed. */
	this_tss()->iomap_base = process->mark_slot >= 0 ? RS_IO_BITMAP_OFFSET : RS_TSS_LIMIT + 1;
}

static void load(struct process *process)
{
	struct cpu *cpu = this_cpu();

	cpu->current = process;
	/* cpu.user_rsp is the other process's: leave by IRETQ, from the saved registers. */
	cpu->exit = EXIT_SLOW;
	cpu->kernel_stack = process->kernel_stack;
	if (!cpu->pti)
		set_rsp0(process->kernel_stack);
	schedule_io_permission(process);
	space_load(process->space);
}

static void note_switch(const struct process *from, const struct process *to)
{
	const struct cpu *cpu = this_cpu();

	if (from->idle)
		busy++;
	else if (to->idle)
		busy--;
	else
		cpu_stats()->context_switches++;
	if (trace_rings)
		trace_switch(from, to->pid, cpu->kernel_cr3, cpu->user_cr3);
}

static void switch_to(struct process *to)
{
	struct process *from = process_current();

	if (to == from)
		return;
	load(to);
	note_switch(from, to);
	if (to->mark_slot >= 0)
		out8(RS_PORT_MARK, (uint8_t)to->mark_slot);
	begin_slice();
	switch_segments(&from->segments, &to->segments, fsgsbase);
	switch_stacks(&from->rsp, to->rsp);
	/* Perhaps on another CPU than before. */
}

void schedule_yield(void)
{
	if (!ready.first)
		return;
	enqueue(process_current());
	switch_to(take_ready());
}

void schedule_block(void)
{
	switch_to(take_ready());
}

/* The current process among those that sleep. */
static void fall_asleep(struct process *current, uint64_t ns)
{
	struct process **place = &sleeping;

	current->state = PROCESS_SLEEPING;
	current->wake_ns = clock_ns() + ns;
	while (*place && (*place)->wake_ns <= current->wake_ns)
		place = &(*place)->next;
	current->next = *place;
	*place = current;
}

void schedule_sleep(uint64_t ns)
{
	find_timer();
	kernel_lock();
	fall_asleep(process_current(), ns);
	cpu_stats()->sleeps++;
	arm_timer();
	schedule_block();
	kernel_unlock();
}

void schedule_reload(void)
{
	struct cpu *cpu = this_cpu();

	if (cpu->pti)
		set_rsp0(cpu->entry_stack);
	load(cpu->current);
}

void schedule_alone(bool on)
{
	alone = on ? (int32_t)this_cpu()->number : -1;
	if (!on && ready.first)
		wake_idle_cpu();
}

/* ---- Idle ------------------------------------------------------------------------------------ */

/* Until an interrupt: STI takes effect behind HLT, so that one that is due ends it (SDM volume 2,
 * STI). */
static void halt(void)
{
	const uint32_t self = 1u << this_cpu()->number;

	cpu_stats()->idle++;
	idle_cpus |= self;
	kernel_unlock();
	__asm__ volatile("sti\n hlt\n cli" : : : "memory");
	kernel_lock();
	idle_cpus &= ~self;
}

/* Without a timer whoever sleeps is waited for by looking at the clock. */
static void watch_clock(void)
{
	kernel_unlock();
	__asm__ volatile("pause");
	kernel_lock();
	wake_sleepers();
}

static void wait_for_work(void)
{
	if (started && !ready.first && !sleeping && !busy)
		panic(NULL, "deadlock: every process waits");
	if (sleeping && slices.timer != WORKS)
		watch_clock();
	else
		halt();
}

void schedule_join(void)
{
	this_cpu()->current = &idle[this_cpu()->number];
	schedule_reload();
}

void schedule_idle(void)
{
	struct process *self = process_current();

	for (;;) {
		struct process *next = take_ready();

		if (next == self)
			wait_for_work();
		else
			switch_to(next);
	}
}

/* ---- Slices ---------------------------------------------------------------------------------- */

void schedule_tick(bool from_user)
{
	struct process *current;

	slices.probes++;
	kernel_lock();
	current = process_current();
	slices.running[this_cpu()->number] = false;
	wake_sleepers();
	if (slices.max_ns && ready.first && !current->idle && (from_user || current->preemptible)) {
		if (from_user)
			cpu_stats()->preempt_ring3++;
		else
			cpu_stats()->preempt_ring0++;
		schedule_yield();
	} else {
		arm_timer();
	}
	kernel_unlock();
}

bool schedule_slices(uint64_t min_ns, uint64_t max_ns)
{
	if (max_ns)
		find_timer();
	if (max_ns && slices.timer == BROKEN)
		return false;
	kernel_lock();
	slices.min_ns = min_ns;
	slices.max_ns = max_ns;
	begin_slice();
	kernel_unlock();
	return true;
}

bool schedule_has_slices(void)
{
	return slices.max_ns != 0;
}

/* ---- Segments -------------------------------------------------------------------------------- */

void schedule_copy_segments(struct segments *save)
{
	switch_segments(save, save, fsgsbase);
}

void schedule_check_segments(void)
{
	struct segments *live = &process_current()->segments;

	switch_segments(live, live, fsgsbase);
}

bool schedule_selector_fault(const struct rs_regs *regs)
{
	if (regs->rip < (uint64_t)switch_segments || regs->rip >= (uint64_t)switch_segments_end)
		return false;
	/* RSI: what is being loaded. */
	segments_drop((struct segments *)regs->rsi, 0, UINT16_MAX);
	return true;
}
