/*
 * What C does with an exception: complete what this KVM left undone, hand a fault to the process
 * that asked for it, end a process, recover a user copy, or panic.  Called by entry.S with the
 * registers saved, on the process's kernel stack or on an IST stack.
 */
#include "guest/apic.h"
#include "guest/console.h"
#include "guest/cpu.h"
#include "guest/gallery.h"
#include "guest/life.h"
#include "guest/panic.h"
#include "guest/quirk.h"
#include "guest/recover.h"
#include "guest/schedule.h"
#include "guest/smp.h"
#include "guest/syscall.h"
#include "guest/trace.h"
#include "guest/traced.h"
#include "guest/usercopy.h"

/* For entry.S.  Interrupts are off, the kernel root is in CR3, regs lie on this stack; what is
 * changed in *regs is what the interrupted code resumes with.  vector: 0 to 255; regs->error is 0
 * for vectors without an error code. */
void trap(uint64_t vector, struct rs_regs *regs);
/* A process's registers that IRETQ refused to restore: the process's fault, whatever CPL says. */
void trap_iret(uint64_t vector, struct rs_regs *regs);

#define ARITHMETIC_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define SIGNAL_SEGV      11 /* what wait4 reports of a process that a fault ended */
#define ERROR_EXTERNAL   1  /* entry.S: vector 0x80, and not by INT 0x80 */

static const char *const names[32] = {
    [0] = "#DE divide error",
    [1] = "#DB debug",
    [2] = "NMI",
    [3] = "#BP breakpoint",
    [4] = "#OF overflow",
    [5] = "#BR bound range",
    [6] = "#UD invalid opcode",
    [7] = "#NM device not available",
    [8] = "#DF double fault",
    [10] = "#TS invalid TSS",
    [11] = "#NP segment not present",
    [12] = "#SS stack fault",
    [13] = "#GP general protection",
    [14] = "#PF page fault",
    [16] = "#MF x87 error",
    [17] = "#AC alignment check",
    [18] = "#MC machine check",
    [19] = "#XM SIMD error",
    [20] = "#VE virtualization",
    [21] = "#CP control protection",
};

static const char *name_of(uint64_t vector)
{
	return vector < 32 && names[vector] ? names[vector] : "unexpected interrupt";
}

static bool from_user(const struct rs_regs *regs)
{
	return regs->cs & 3;
}

/* The process goes on in its fault handler, with what it needs to know in registers. */
static void deliver(struct process *process, struct rs_regs *regs, uint64_t vector, uint64_t cr2)
{
	regs->rdi = vector;
	regs->rsi = regs->error;
	regs->rdx = cr2;
	regs->rcx = regs->rip;
	regs->rip = process->fault_handler;
	regs->cs = RS_SEL_USER_CODE;
	regs->ss = RS_SEL_USER_DATA;
	process->fault_rflags = regs->rflags;
	/* What a handler must not start with: TF, NT, DF, AC, RF. */
	regs->rflags &= ARITHMETIC_FLAGS;
	regs->rflags |= RFLAGS_FIXED | RFLAGS_IF;
}

static void user_fault(struct rs_regs *regs, uint64_t vector, uint64_t cr2)
{
	struct process *process = process_current();

	cpu_stats()->user_faults++;
	if (process->mark_slot >= 0)
		out8(RS_PORT_MARK, (uint8_t)process->mark_slot);
	if (process->fault_handler) {
		deliver(process, regs, vector, cr2);
		return;
	}
	cpu_stats()->killed++;
	if (!gallery_silent)
		print("process %u ended: %s, error code %x, at rip %x, address %x, rsp %x\n",
		      (uint64_t)process->pid, name_of(vector), regs->error, regs->rip,
		      vector == VECTOR_PF ? cr2 : 0, regs->rsp);
	process_exit(SIGNAL_SEGV);
}

static void kernel_fault(struct rs_regs *regs, uint64_t vector, uint64_t cr2)
{
	uint64_t fixup = vector == VECTOR_PF ? usercopy_fixup(regs->rip) : 0;

	/* It comes anywhere, and is nobody's fault. */
	if (vector == VECTOR_DB) {
		regs->rflags &= ~RFLAGS_TF; /* a trap flag that ring 3 smuggled in */
		return;
	}
	if (fixup) {
		regs->rip = fixup;
		return;
	}
	if (recover_fault(regs, vector, cr2) || schedule_selector_fault(regs))
		return;
	switch (vector) {
	case VECTOR_DF:
		panic(regs, "#DF double fault in ring %u at rip %x, rsp %x, cr2 %x%s", regs->cs & 3,
		      regs->rip, regs->rsp, cr2,
		      from_user(regs) ? ": there is no stack where TSS.RSP0 points"
		      : regs->rsp - RS_STACKS_BASE < MAX_PROCESSES * KERNEL_STACK_STRIDE
		          ? ": the kernel stack overflowed into its guard"
		          : "");
	default:
		panic(regs, "%s in ring 0: error code %x, rip %x, cr2 %x", name_of(vector),
		      regs->error, regs->rip, cr2);
	}
}

/* What comes from outside the program that it interrupts.  Where there is no APIC somebody injected
 * it, and nobody waits for it. */
static void interrupt(uint64_t vector, const struct rs_regs *regs)
{
	if (vector == 0x80)
		cpu_stats()->external80++;
	if (!apic_present() || vector == VECTOR_SPURIOUS)
		return;
	apic_end_of_interrupt();
	/* A host may do so, or an emulator by mistake, and anywhere: the lock may be held, the
	 * stack be the entry's.  What somebody waits for is put off: sent again, it comes when IF
	 * is set. */
	if (!(regs->rflags & RFLAGS_IF)) {
		cpu_stats()->if_clear++;
		if (vector == VECTOR_TIMER || vector == VECTOR_CALL)
			apic_send(this_cpu()->number, (uint32_t)vector);
		return;
	}
	if (vector == VECTOR_TIMER)
		schedule_tick(from_user(regs));
	else if (vector == VECTOR_CALL)
		smp_answer();
}

/* INT 0x80 has an entry of its own (entry.S); only quirk_intn brings it here. */
static void late_int80(struct rs_regs *regs)
{
	cpu_stats()->int80++;
	regs->error = regs->rax;
	regs->rax = (uint64_t)(trace_rings ? traced_int80 : syscall32)(regs, (uint32_t)regs->rax);
}

void trap(uint64_t vector, struct rs_regs *regs)
{
	/* Before anything else can fault. */
	uint64_t cr2 = vector == VECTOR_PF || vector == VECTOR_DF ? read_cr2() : 0;

	if (vector == VECTOR_PF && quirk_syscall(regs, cr2))
		return;
	smap_close();
	if (vector == VECTOR_UD && from_user(regs))
		vector = quirk_intn(regs);
	cpu_stats()->vectors[vector]++;
	trace_fault(vector, regs, cr2);
	if (vector == VECTOR_NMI)
		return; /* counted; nobody here asks for more */
	if (vector == 0x80 && regs->error != ERROR_EXTERNAL)
		late_int80(regs);
	else if (vector >= 32 && !(vector == RS_VECTOR_TRAP && gallery_is_open))
		interrupt(vector, regs);
	else if (from_user(regs) && (vector != VECTOR_DF || schedule_has_rsp0()))
		user_fault(regs, vector, cr2);
	else
		kernel_fault(regs, vector, cr2);
}

void trap_iret(uint64_t vector, struct rs_regs *regs)
{
	cpu_stats()->vectors[vector]++;
	trace_fault(vector, regs, 0);
	user_fault(regs, vector, 0);
}
