#include "guest/quirk.h"

#include "guest/cpu.h"
#include "guest/syscall.h"
#include "guest/trace.h"
#include "guest/traced.h"
#include "guest/usercopy.h"

#define OPCODE_SYSCALL 0x050f /* 0F 05, as two bytes in memory read */
#define OPCODE_INT     0xcd   /* and the vector behind it */

/* In the first word of an IDT gate (SDM 6.14.1). */
#define GATE_DPL3    (X86_BIT(45) | X86_BIT(46))
#define GATE_PRESENT X86_BIT(47)

/* entry.S */
extern const char syscall_entry[];

/* A jump to the address of syscall_entry faults in the same way, and so RCX must point behind a
 * SYSCALL.  A process that forges even that only asks for the call it could have made. */
bool quirk_syscall(struct rs_regs *regs, uint64_t cr2)
{
	uint16_t opcode;

	if (cr2 != (uint64_t)syscall_entry || regs->rip != cr2 ||
	    regs->error != (PF_P | PF_U | PF_ID))
		return false;
	smap_close();
	if (!get_user16(regs->rcx - 2, &opcode) || opcode != OPCODE_SYSCALL)
		return false;
	cpu_stats()->quirk_syscall++;
	cpu_stats()->syscall64++;
	regs->rip = regs->rcx;
	regs->rflags = regs->r11;
	regs->error = regs->rax;
	regs->rax = (uint64_t)(trace_rings ? traced_syscall64 : syscall64)(regs, regs->rax);
	return true;
}

/* How many gates lie within the IDT's limit. */
static uint64_t idt_vectors(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt;

	__asm__("sidt %0" : "=m"(idt));
	return (idt.limit + 1u) / 16;
}

uint64_t quirk_intn(struct rs_regs *regs)
{
	const uint64_t *idt = (const uint64_t *)RS_ENTRY_IDT;
	uint64_t gate, vector;
	uint16_t opcode;

	if (!get_user16(regs->rip, &opcode) || (opcode & 0xff) != OPCODE_INT)
		return VECTOR_UD;
	cpu_stats()->quirk_intn++;
	vector = opcode >> 8;
	gate = idt_vectors() > vector ? idt[2 * vector] : GATE_PRESENT;
	if (!(gate & GATE_PRESENT) || (gate & GATE_DPL3) != GATE_DPL3) {
		/* SDM 6.13: the error code names the IDT entry. */
		regs->error = vector * 8 + 2;
		return gate & GATE_PRESENT ? VECTOR_GP : VECTOR_NP;
	}
	regs->rip += 2;
	return vector;
}
