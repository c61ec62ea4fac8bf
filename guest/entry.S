/*
 * Every way into ring 0 and every way out of it.
 *
 * All of this file is linked into the entry area, the only kernel text that a user root maps.  Each
 * entry begins with what it may assume and ends with what it hands on.  Common to all: interrupts are
 * off (interrupt gates, FMASK) and stay off until IRETQ or SYSRET restores the user's RFLAGS.
 *
 * Under KPTI (cpu.pti) RSP0 is the CPU's small entry stack, which both roots map; the frame that the
 * processor pushed there moves to the process's kernel stack once CR3 is the kernel root.  With one
 * root RSP0 is the process's kernel stack itself and nothing has to move.
 */
#include "shared/abi.h"
#include "guest/cfi.h"
#include "guest/uapi.h"
#include "offsets.h"

/* Where a CPU's IST stacks lie in its entry area. */
#define IST_FIRST (RS_IST_TOP(1) - RS_IST_SIZE)
#define IST_SIZE  (RS_IST_TOP(7) - IST_FIRST)

	.section .entry.text, "ax", @progbits
	.cfi_startproc simple

/* The rest of struct rs_regs below the RDI slot. */
.macro PUSH_REGS
	SAVE %rsi
	SAVE %rdx
	SAVE %rcx
	SAVE %rax
	SAVE %r8
	SAVE %r9
	SAVE %r10
	SAVE %r11
	SAVE %rbx
	SAVE %rbp
	SAVE %r12
	SAVE %r13
	SAVE %r14
	SAVE %r15
.endm

/* Nothing that ring 3 chose stays in a register where the kernel could speculate on it; RDI and RSI are
 * about to be arguments. */
.macro CLEAR_REGS
	xor %edx, %edx
	xor %ecx, %ecx
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %ebx, %ebx
	xor %ebp, %ebp
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
.endm

/* All of struct rs_regs but RDI. */
.macro POP_REGS
	LOAD %r15
	LOAD %r14
	LOAD %r13
	LOAD %r12
	LOAD %rbp
	LOAD %rbx
	LOAD %r11
	LOAD %r10
	LOAD %r9
	LOAD %r8
	LOAD %rax
	LOAD %rcx
	LOAD %rdx
	LOAD %rsi
.endm

/* In: RSI free, GS the kernel's.  Out: CR3 is the kernel root; RSI destroyed. */
.macro ENTER_KERNEL_ROOT
	mov %gs:CPU_KERNEL_CR3, %rsi
	mov %rsi, %cr3
	incq %gs:STATS_CR3_ENTRY
.endm

/* In: the entry stack with RSI, RDI, error, RIP, CS, RFLAGS, RSP, SS on it, the kernel root in CR3.
 * Out: the same but RSI on the process's kernel stack, and RSI as the user had it. */
.macro MOVE_FRAME_TO_KERNEL_STACK
	mov %rsp, %rsi
	.cfi_def_cfa_register %rsi
	mov %gs:CPU_KERNEL_STACK, %rsp
	pushq 56(%rsi)
	pushq 48(%rsi)
	pushq 40(%rsi)
	pushq 32(%rsi)
	pushq 24(%rsi)
	pushq 16(%rsi)
	pushq 8(%rsi)
	mov (%rsi), %rsi
	CFI_FRAME 16
	.cfi_rel_offset %rdi, 0
.endm

/* The same from an IST stack.  RSP stays there until all is copied: as long as it does, what interrupts
 * this returns without IRETQ (return_by_ret), and an NMI that would take the stack waits. */
.macro MOVE_FRAME_OFF_IST
	mov %gs:CPU_KERNEL_STACK, %rsi
	.irp word, 56, 48, 40, 32, 24, 16, 8, 0
	PUSH_WORD \word(%rsp)
	POP_WORD \word - 64(%rsi)
	.endr
	lea -64(%rsi), %rsp
	CFI_FRAME 24
	.cfi_rel_offset %rdi, 8
	.cfi_rel_offset %rsi, 0
	LOAD %rsi
.endm

/*
 * The entries up to callgate_entry run with a stack pointer that is not ours for a while: ring 3's, or no
 * address at all.  See return_by_ret.
 *
 * SYSCALL from 64-bit code.
 * State: CPL 0, CR3 and GS the user's, RSP the user's and not to be trusted, RCX = user RIP,
 * R11 = user RFLAGS, IF TF DF NT AC cleared by FMASK.
 */
	.globl syscall_entry
syscall_entry:
	CFI_SYSCALL
	swapgs
	mov %rsp, %gs:CPU_USER_RSP
	cmpl $0, %gs:CPU_PTI
	je 1f
	mov %gs:CPU_KERNEL_CR3, %rsp
	CFI_NO_CALLER /* nothing tells his RSP */
	mov %rsp, %cr3
	incq %gs:STATS_CR3_ENTRY
1:	mov %gs:CPU_KERNEL_STACK, %rsp
	push $RS_SEL_USER_DATA
	push %gs:CPU_USER_RSP
	CFI_CALLER_RSP_AT DW_RSP, 0
	.cfi_register DW_RIP, %rcx
	push %r11
	CFI_CALLER_RSP_AT DW_RSP, 8
	push $RS_SEL_USER_CODE
	CFI_CALLER_RSP_AT DW_RSP, 16
	push %rcx
	CFI_FRAME 0
	PUSH_WORD %rax
	SAVE %rdi
	PUSH_REGS
	CLEAR_REGS
	incq %gs:STATS_SYSCALL64
	mov %rsp, %rdi
	mov %rax, %rsi
.Lcall_syscall64:
	call syscall64
	mov %rax, REGS_RAX(%rsp)
	/* Nothing a process can do sets saved registers that SYSRET cannot restore: user memory ends a
	 * page below the canonical hole (RCX), and whoever changes saved registers sets EXIT_SLOW. */
	cmpl $EXIT_FAST_PTI, %gs:CPU_EXIT
	ja slow_exit
	je 2f
	POP_REGS
	LOAD %rdi
	mov %gs:CPU_USER_RSP, %rsp
	CFI_SYSCALL
	swapgs
	sysretq
	CFI_REGS
2:	POP_REGS
	LOAD %rdi
	incq %gs:STATS_CR3_EXIT
	mov %gs:CPU_USER_CR3, %rsp
	CFI_NO_CALLER /* nothing tells his RSP */
	mov %rsp, %cr3
	mov %gs:CPU_USER_RSP, %rsp
	CFI_SYSCALL
	swapgs
	sysretq
	CFI_REGS
/* In: as user_return; the registers may be such that only IRETQ restores them. */
slow_exit:
	movl $EXIT_FAST, %gs:CPU_EXIT
	cmpl $0, %gs:CPU_PTI
	je user_return
	movl $EXIT_FAST_PTI, %gs:CPU_EXIT
	jmp user_return

/*
 * SYSCALL from 32-bit compatibility code (AMD; on Intel it is #UD).  As above; arguments as the i386
 * convention has them, the second one in EBP since ECX holds the return address.  Leaves by IRETQ.
 */
	.globl compat_entry
compat_entry:
	CFI_SYSCALL
	swapgs
	mov %rsp, %gs:CPU_USER_RSP
	cmpl $0, %gs:CPU_PTI
	je 1f
	mov %gs:CPU_KERNEL_CR3, %rsp
	CFI_NO_CALLER /* nothing tells his RSP */
	mov %rsp, %cr3
	incq %gs:STATS_CR3_ENTRY
1:	mov %gs:CPU_KERNEL_STACK, %rsp
	mov %ecx, %ecx
	push $RS_SEL_USER_DATA
	push %gs:CPU_USER_RSP
	CFI_CALLER_RSP_AT DW_RSP, 0
	.cfi_register DW_RIP, %rcx
	push %r11
	CFI_CALLER_RSP_AT DW_RSP, 8
	push $RS_SEL_USER_CODE32
	CFI_CALLER_RSP_AT DW_RSP, 16
	push %rcx
	CFI_FRAME 0
	PUSH_WORD %rax
	SAVE %rdi
	mov %ebp, %ecx
	PUSH_REGS
	CLEAR_REGS
	incq %gs:STATS_SYSCALL32
	mov %rsp, %rdi
	mov %eax, %esi
.Lcall_compat:
	call syscall32
	mov %rax, REGS_RAX(%rsp)
	jmp user_return

/*
 * SYSENTER (Intel; on AMD it is #UD in long mode).  The processor saves nothing: RCX = user RSP, RDX = user
 * RIP, as SYSEXIT wants them back, by agreement.  From 64-bit code the arguments are those of SYSCALL but
 * R8 for RDX; 32-bit code sets RS_SYSENTER_COMPAT in EAX, has the i386 table, its second and third
 * arguments in EDI and EBP, and is returned to by IRETQ.
 * State: CPL 0, CR3 and GS the user's, RSP the top of the entry stack; IF clear, but TF, NT, AC, DF as the
 * user had them.  TF has already trapped here, on its IST: it is lost.
 */
	.globl sysenter_entry
sysenter_entry:
	CFI_SYSENTER
	swapgs
	pushfq
	popq %gs:CPU_USER_RSP
	push $RFLAGS_FIXED
	popfq
	cmpl $0, %gs:CPU_PTI
	je 1f
	mov %gs:CPU_KERNEL_CR3, %rsp
	mov %rsp, %cr3
	incq %gs:STATS_CR3_ENTRY
1:	mov %gs:CPU_KERNEL_STACK, %rsp
	push $RS_SEL_USER_DATA
	push %rcx
	push %gs:CPU_USER_RSP
	orl $RFLAGS_IF, (%rsp) /* SYSENTER took it; ring 3 has no other */
	push $RS_SEL_USER_CODE
	push %rdx
	CFI_FRAME 0
	PUSH_WORD %rax
	SAVE %rdi
	incq %gs:STATS_SYSENTER
	test $RS_SYSENTER_COMPAT, %eax
	jnz sysenter_compat
	PUSH_REGS
	mov %r8, REGS_RDX(%rsp) /* until the call is done */
	CLEAR_REGS
	mov %rsp, %rdi
	mov %rax, %rsi
	call syscall64
	mov %rax, REGS_RAX(%rsp)
	mov REGS_RIP(%rsp), %rcx
	mov %rcx, REGS_RDX(%rsp)
	cmpl $EXIT_FAST_PTI, %gs:CPU_EXIT
	ja slow_exit
	/* SYSEXIT to an address that is not canonical faults in ring 0; IRETQ's faults are recovered. */
	or REGS_RSP(%rsp), %rcx
	shr $47, %rcx
	jnz user_return
	POP_REGS
	LOAD %rdi
	CFI_SYSENTER
	andl $~(RFLAGS_IF | RFLAGS_TF), 24(%rsp)
	add $24, %rsp
	cmpl $0, %gs:CPU_PTI
	jne 2f
	swapgs
	popfq
	sti /* in force behind the next instruction */
	sysexitq
2:	incq %gs:STATS_CR3_EXIT
	popq %gs:CPU_USER_RSP
	mov %gs:CPU_USER_CR3, %rsp
	mov %rsp, %cr3
	mov %gs:CPU_ENTRY_STACK, %rsp
	pushq %gs:CPU_USER_RSP
	swapgs
	popfq
	sti
	sysexitq

sysenter_compat:
	CFI_FRAME 16
	.cfi_rel_offset %rdi, 0
	movl $RS_SEL_USER_CODE32, REGS_CS - REGS_RDI(%rsp)
	mov %edi, %ecx
	mov %ebp, %edx
	PUSH_REGS
	CLEAR_REGS
	mov %rsp, %rdi
	mov %eax, %esi
	btr $30, %esi
	call syscall32
	mov %rax, REGS_RAX(%rsp)
	jmp user_return

/*
 * Call gate (only while guest/gallery.c has one in the GDT): a system call of the 64-bit table.
 * State: CPL 0, CR3 and GS the user's; RIP, CS, RSP, SS on the RSP0 stack; RFLAGS as the user had them, IF
 * too: an interrupt before the CLI finds ring 0 with the user's GS, which kernel_vector knows.
 * Leaves by far RET.
 */
	.globl callgate_entry
.Lforeign_stacks_end:
callgate_entry:
	CFI_CALLGATE 0
	cli
	swapgs
	mov %rax, %gs:CPU_USER_RSP
	mov %rdi, %gs:CPU_SCRATCH0
	mov %rsi, %gs:CPU_SCRATCH1
	pushfq
	CFI_CALLGATE 8
	pop %rsi
	CFI_CALLGATE 0
	.cfi_undefined %rsi
	push $RFLAGS_FIXED
	CFI_CALLGATE 8
	.cfi_undefined %rsi
	popfq
	CFI_CALLGATE 0
	.cfi_undefined %rsi
	or $RFLAGS_IF, %esi
	cmpl $0, %gs:CPU_PTI
	je 1f
	mov %gs:CPU_KERNEL_CR3, %rax
	.cfi_undefined %rax
	mov %rax, %cr3
	incq %gs:STATS_CR3_ENTRY
1:	pop %rdi
	CFI_CALLER_RSP_AT DW_RSP, 8
	.cfi_undefined %rdi
	.cfi_register DW_RIP, %rdi
	popq %gs:CPU_SCRATCH2
	CFI_CALLER_RSP_AT DW_RSP, 0
	mov %rsp, %rax
	CFI_CALLER_RSP_AT DW_RAX, 0
	mov %gs:CPU_KERNEL_STACK, %rsp
	/* With one root these two words land where they already lie. */
	pushq 8(%rax)
	pushq (%rax)
	push %rsi
	pushq %gs:CPU_SCRATCH2
	push %rdi
	CFI_FRAME 0
	.cfi_undefined %rax
	.cfi_undefined %rdi
	.cfi_undefined %rsi
	mov %gs:CPU_USER_RSP, %rax
	.cfi_same_value %rax
	PUSH_WORD %rax
	PUSH_WORD %gs:CPU_SCRATCH0
	.cfi_rel_offset %rdi, 0
	mov %gs:CPU_SCRATCH1, %rsi
	.cfi_same_value %rsi
	PUSH_REGS
	CLEAR_REGS
	mov %rsp, %rdi
	mov %rax, %rsi
	call syscall64
	mov %rax, REGS_RAX(%rsp)
	cmpl $EXIT_FAST_PTI, %gs:CPU_EXIT
	ja slow_exit
	/* Far RET has no recovery: only to what is always there. */
	cmpw $RS_SEL_USER_CODE, REGS_CS(%rsp)
	jne user_return
	cmpw $RS_SEL_USER_DATA, REGS_SS(%rsp)
	jne user_return
	POP_REGS
	mov %rsp, %rdi
	.cfi_def_cfa_register %rdi
	mov %gs:CPU_ENTRY_STACK, %rsp
	pushq 48(%rdi)
	pushq 40(%rdi)
	pushq 24(%rdi)
	pushq 16(%rdi)
	pushq 32(%rdi)
	pushq (%rdi)
	CFI_CALLGATE 16
	.cfi_escape DW_CFA_expression, DW_RDI, 2, DW_OP_breg(DW_RSP), 0
	andl $~(RFLAGS_IF | RFLAGS_TF), 8(%rsp)
	cmpl $0, %gs:CPU_PTI
	je 1f
	incq %gs:STATS_CR3_EXIT
	mov %gs:CPU_USER_CR3, %rdi
	mov %rdi, %cr3
1:	pop %rdi
	CFI_CALLGATE 8
	swapgs
	popfq
	CFI_CALLGATE 0
	sti
	lretq

/*
 * A trap gate (only while guest/gallery.c has one in the IDT): as an interrupt gate, but IF stays as it was,
 * and so the same holds as for the call gate.
 */
	.globl trapgate_entry
trapgate_entry:
	CFI_FRAME 0
	cli
	PUSH_WORD $0
	PUSH_WORD $RS_VECTOR_TRAP
	jmp vector_entry

/*
 * INT 0x80, or an interrupt from outside with that vector, which is no system call (CVE-2024-25744): what
 * has just been executed tells.  Only where the interrupt hits right behind an INT 0x80 that has returned is
 * there no telling.
 * State: CPL 0, RIP, CS, RFLAGS, RSP, SS on the RSP0 stack; CR3 and GS the user's, or, if it came from
 * outside, of whoever was interrupted.  The first bytes of the address space are never mapped.
 */
	.globl int80_stac, int80_look, int80_clac, int80_fault
int80_entry:
	CFI_FRAME 0
	SAVE %rax
	SAVE %rdi
	mov 16(%rsp), %rdi
int80_stac:
	.byte 0x66, 0x66, 0x90 /* STAC where SMAP is on (usercopy.c) */
	/* A fault here finds any GS, and goes on at int80_fault. */
int80_look:
	cmpw $0x80cd, -2(%rdi)
int80_clac:
	.byte 0x66, 0x66, 0x90 /* CLAC, which also takes away what ring 3 brought */
	jne external80
	cld
	swapgs
	cmpl $0, %gs:CPU_PTI
	je 1f
	SAVE %rsi
	ENTER_KERNEL_ROOT
	MOVE_FRAME_TO_KERNEL_STACK
1:	PUSH_REGS
	CLEAR_REGS
	incq %gs:STATS_INT80
	incq %gs:STATS_VECTOR80
	mov %rsp, %rdi
	mov %eax, %esi
.Lcall_int80:
	call syscall32
	mov %rax, REGS_RAX(%rsp)
	/* fall through */

/*
 * Back to ring 3 by IRETQ.
 * In: RSP = struct rs_regs of the process on its kernel stack, CR3 the kernel root, GS the kernel's.
 */
	.globl user_return
user_return:
	POP_REGS
	cmpl $0, %gs:CPU_PTI
	jne 1f
	LOAD %rdi
	add $8, %rsp
	.cfi_adjust_cfa_offset -8
	jmp 2f
	CFI_FRAME 16
	.cfi_rel_offset %rdi, 0
1:	mov %rsp, %rdi
	.cfi_def_cfa_register %rdi
	mov %gs:CPU_ENTRY_STACK, %rsp
	pushq 48(%rdi)
	pushq 40(%rdi)
	pushq 32(%rdi)
	pushq 24(%rdi)
	pushq 16(%rdi)
	pushq (%rdi)
	CFI_FRAME 8
	.cfi_rel_offset %rdi, 0
	incq %gs:STATS_CR3_EXIT
	mov %gs:CPU_USER_CR3, %rdi
	mov %rdi, %cr3
	LOAD %rdi
2:	swapgs
	/* A fault here arrives at CPL 0 with the user's GS: kernel_vector knows this address. */
user_iret:
	iretq

/* Their labels inside are not names of functions. */
	.size int80_entry, user_return - int80_entry
	.size user_return, . - user_return

/*
 * Exceptions and interrupts without a stack of their own.
 * State: vector, error, RIP, CS, RFLAGS, RSP, SS on the RSP0 stack or, when ring 0 was interrupted,
 * on its stack; CR3 and GS of whoever was interrupted.
 */
int80_fault:
	CFI_FRAME 16
	.cfi_rel_offset %rax, 8
	.cfi_rel_offset %rdi, 0
	or $1, %edi /* not equal: what cannot be read has not been executed */
	jmp int80_clac
external80:
	LOAD %rdi
	LOAD %rax
	PUSH_WORD $1 /* ERROR_EXTERNAL of trap.c */
	PUSH_WORD $0x80 - 256
high_vector_entry:
	addq $256, (%rsp)
vector_entry:
	cld
	testb $3, 24(%rsp)
	jz kernel_vector
	swapgs
	xchg %rdi, (%rsp)
	.cfi_rel_offset %rdi, 0
	cmpl $0, %gs:CPU_PTI
	je 1f
	SAVE %rsi
	ENTER_KERNEL_ROOT
	MOVE_FRAME_TO_KERNEL_STACK
1:	PUSH_REGS
	CLEAR_REGS
	mov %rsp, %rsi
	call trap
	jmp user_return

kernel_vector:
	CFI_FRAME 16
	cmpq $user_iret, 16(%rsp)
	je iret_fault
	/* Anywhere in this file GS and CR3 may be the user's: before CLI; behind STI, whose shadow is gone when
	 * an NMI has returned into it; where a host sends an interrupt though IF is clear.  So they may where GS
	 * refuses a selector. */
	cmpq $RS_ENTRY_BASE, 16(%rsp)
	jae paranoid
	cmpq $segments_load_gs, 16(%rsp)
	je paranoid
	cmpq $segments_load_gs_msr, 16(%rsp)
	je paranoid
	xchg %rdi, (%rsp)
	.cfi_rel_offset %rdi, 0
	PUSH_REGS
	CLEAR_REGS
	mov %rsp, %rsi
	call trap
	/* On an IST stack it may be an NMI's handling that was interrupted. */
	mov %rsp, %rax
	sub %gs:CPU_SELF, %rax
	sub $IST_FIRST, %rax
	cmp $IST_SIZE, %rax
	jb return_by_ret
	POP_REGS
	LOAD %rdi
	add $8, %rsp
	.cfi_adjust_cfa_offset -8
	iretq

/*
 * IRETQ itself faulted on what a process asked it to restore.
 * State: CPL 0, GS already the user's, CR3 already the user's under KPTI, all general registers
 * the user's but RSP; the RSP in the frame points to the five words that IRETQ refused.
 * Hands on: the registers of that process, as if the fault had come from ring 3.
 */
iret_fault:
	CFI_FRAME 16
	swapgs
	mov %rdi, %gs:CPU_SCRATCH0
	mov %rsi, %gs:CPU_SCRATCH1
	mov 8(%rsp), %rsi
	.cfi_undefined %rsi
	mov %rsi, %gs:CPU_SCRATCH2
	cmpl $0, %gs:CPU_PTI
	je 1f
	ENTER_KERNEL_ROOT
1:	mov (%rsp), %rdi
	.cfi_undefined %rdi
	mov 40(%rsp), %rsi
	CFI_FRAME 0, rsi
	.cfi_undefined %rdi
	.cfi_undefined %rsi
	mov %gs:CPU_KERNEL_STACK, %rsp
	/* With one root these five words land where they already lie. */
	pushq 32(%rsi)
	pushq 24(%rsi)
	pushq 16(%rsi)
	pushq 8(%rsi)
	pushq (%rsi)
	pushq %gs:CPU_SCRATCH2
	pushq %gs:CPU_SCRATCH0
	CFI_FRAME 16
	.cfi_rel_offset %rdi, 0
	.cfi_undefined %rsi
	mov %gs:CPU_SCRATCH1, %rsi
	.cfi_same_value %rsi
	PUSH_REGS
	CLEAR_REGS
	mov %rsp, %rsi
	call trap_iret
	jmp user_return

/*
 * #DB, NMI, #DF and #MC have stacks of their own (IST), because they may come at any instruction of
 * this file: before SWAPGS, before RSP is the kernel's, between two CR3 writes.
 * From ring 3 they go the ordinary way.  From ring 0 nothing but the registers themselves tells which
 * GS and CR3 are live, so both are looked at, and put back as they were found.
 */
ist_entry:
	CFI_FRAME 16
	cld
	testb $3, 24(%rsp)
	jz paranoid
	swapgs
	xchg %rdi, (%rsp)
	.cfi_rel_offset %rdi, 0
	SAVE %rsi
	cmpl $0, %gs:CPU_PTI
	je 1f
	ENTER_KERNEL_ROOT
1:	MOVE_FRAME_OFF_IST
	PUSH_REGS
	CLEAR_REGS
	mov %rsp, %rsi
	call trap
	jmp user_return

paranoid:
	CFI_FRAME 16
	xchg %rdi, (%rsp)
	.cfi_rel_offset %rdi, 0
	PUSH_REGS
	CLEAR_REGS
	/* With FSGSBASE a process gives GS any base, one of the kernel half too.  The kernel's is exactly where
	 * this CPU's entry area begins, and so is the GDT's, a fixed distance further; a process that sets
	 * just that address has what the kernel has.  EBX: 1 when nothing needs to be swapped. */
	sub $16, %rsp
	.cfi_adjust_cfa_offset 16
	sgdt 6(%rsp)
	mov 8(%rsp), %r13
	add $16, %rsp
	.cfi_adjust_cfa_offset -16
	sub $RS_ENTRY_GDT, %r13
	mov $MSR_GS_BASE, %ecx
	rdmsr
	shl $32, %rdx
	or %rdx, %rax
	cmp %rax, %r13
	sete %bl
	je 3f
	swapgs
3:	mov %cr3, %r12
	cmpl $0, %gs:CPU_PTI
	je 4f
	mov %gs:CPU_KERNEL_CR3, %rax
	mov %rax, %cr3
4:	mov %edi, %r14d
	mov %rsp, %rsi
	call trap
	cmpl $0, %gs:CPU_PTI
	je 5f
	or %gs:CPU_NOFLUSH, %r12
	mov %r12, %cr3
5:	test %ebx, %ebx
	jnz 6f
	swapgs
6:	cmp $VECTOR_NMI, %r14d
	jne paranoid_return
7:	POP_REGS
	LOAD %rdi
	add $8, %rsp
	.cfi_adjust_cfa_offset -8
	iretq
paranoid_return:
	CFI_REGS
	mov REGS_RSP(%rsp), %rax
	sub %r13, %rax
	sub $IST_FIRST, %rax
	cmp $IST_SIZE, %rax
	jae 7b
	mov REGS_RIP(%rsp), %rax
	sub $RS_ENTRY_BASE, %rax
	cmp $.Lforeign_stacks_end - syscall_entry, %rax
	jb 7b
	/* fall through */

/*
 * Back to the handling of an NMI, or to what may be part of it.  IRETQ would unblock NMIs (SDM 6.7.1): the
 * next one would come at once, and its frame would lie on the first one's.  Such code runs on an IST stack,
 * which is ours to write below RSP; but RSP alone does not tell it, since ring 3 may have put that address
 * there before SYSCALL.
 * In: struct rs_regs on a stack that CR3 maps; CR3 and GS are those to return to.
 */
return_by_ret:
	mov REGS_RSP(%rsp), %rax
	mov REGS_RIP(%rsp), %rcx
	mov REGS_RFLAGS(%rsp), %rdx
	sub $16, %rax
	mov %rdx, (%rax)
	mov %rcx, 8(%rax)
	mov %rax, REGS_ERROR(%rsp)
	POP_REGS
	LOAD %rdi
	pop %rsp
	CFI_CALL
	.cfi_adjust_cfa_offset 8
	popfq
	.cfi_adjust_cfa_offset -8
	ret

/*
 * flush_user_root(user_cr3, kernel_cr3): empties the TLB of the user root's PCID, by loading that root
 * without CR3 bit 63.  It must lie here: between the two writes only the entry area is mapped.
 */
	.globl flush_user_root
flush_user_root:
	CFI_CALL
	mov %rdi, %cr3
	mov %rsi, %cr3
	ret

/*
 * One stub a vector, so that the number is known; all end with vector and error on the stack.  The shortest
 * that are all of one length: what PUSH would extend to a negative number goes by way of high_vector_entry.
 */
#define STUB_STRIDE 9
	.globl vector_stubs
vector_stubs:
	CFI_FRAME 0
	.set vector, 0
	.rept 256
	.org vector_stubs + vector * STUB_STRIDE, 0xcc
	.cfi_def_cfa_offset 40
	.if vector == 0x80
	jmp int80_entry
	.else
	.if vector < 32
	.if (VECTORS_WITH_ERROR_CODE >> vector) & 1
	.cfi_def_cfa_offset 48
	.else
	PUSH_WORD $0
	.endif
	.else
	PUSH_WORD $0
	.endif
	.if (vector == VECTOR_DB) || (vector == VECTOR_NMI) || (vector == VECTOR_DF) || (vector == VECTOR_MC)
	PUSH_WORD $vector
	jmp ist_entry
	.elseif vector < 128
	PUSH_WORD $vector
	jmp vector_entry
	.else
	PUSH_WORD $vector - 256
	jmp high_vector_entry
	.endif
	.endif
	.set vector, vector + 1
	.endr
	.org vector_stubs + 256 * STUB_STRIDE, 0xcc
	.cfi_endproc

/* The CALLs above that lead to the dispatchers: trace.c may point them elsewhere. */
	.section .rodata
	.balign 8
	.globl dispatcher_calls
dispatcher_calls:
	.quad .Lcall_syscall64, .Lcall_compat, .Lcall_int80

/* What the VMM reads before the first instruction runs (shared/abi.h, struct rs_note). */
	.section .note.ringscope, "a", @note
	.balign 4
	.long 2f - 1f
	.long 4f - 3f
	.long 1 /* RS_NOTE_TYPE */
1:	.asciz "Ringscope"
2:	.balign 4
3:	.long RS_ABI_VERSION
	.long 4f - 3b
	.quad vector_stubs
	.long STUB_STRIDE
	.long 256
	.quad (1 << VECTOR_BP) | (1 << VECTOR_OF), 0, (1 << (0x80 - 128)), 0
	.quad 0, 0, 0, 0
	.byte 0, 3, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0
	.byte 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
	.quad syscall_entry
	.quad compat_entry
	.quad sysenter_entry
	.quad RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_IOPL
	.quad cpu_start
	.quad RS_WANTS_APIC
4:	.balign 4

/* The crossing of cfi.h, by hand: not every assembler puts .cfi_signal_frame into .debug_frame. */
	.section .debug_frame, "", @progbits
	.balign 8
crossing:
	.long 2f - 1f
1:	.long -1
	.byte 1
	.asciz "S" /* a signal frame */
	.byte 1, -8 & 0x7f, DW_RIP /* factors of addresses and offsets */
	.byte DW_CFA_def_cfa, DW_RSP, 0
	.byte DW_CFA_offset(DW_RIP), 40 / 8
	.byte DW_CFA_offset(DW_CS), 32 / 8
	.byte DW_CFA_offset(DW_RFLAGS), 24 / 8
	.byte DW_CFA_offset(DW_RSP), 16 / 8
	.byte DW_CFA_offset(DW_SS), 8 / 8
	.balign 8, DW_CFA_nop
2:	.long 4f - 3f
3:	.long crossing
	.quad CROSSING - 1, 2 /* debuggers look one byte below, too */
	.balign 8, DW_CFA_nop
4:

	.section .note.GNU-stack, "", @progbits
