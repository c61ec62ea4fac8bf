#include "guest/uapi.h"

	.text

#define NR_YIELD 24
#define NR_GETPID 39
#define NR32_GETPID 20
#define NR_FORK 57
#define NR_EXIT 60
#define NR_WAIT4 61

/* ---- Loops ------------------------------------------------------------------------------------ */

	.globl loop_fork
loop_fork:
	push %rbx
	mov %rdi, %rbx
1:	mov $NR_FORK, %eax
	syscall
	test %eax, %eax
	jz child
	mov $NR_WAIT4, %eax
	mov $-1, %rdi
	xor %esi, %esi
	xor %edx, %edx
	xor %r10d, %r10d
	syscall
	dec %rbx
	jnz 1b
	pop %rbx
	ret

child:
	mov $NR_EXIT, %eax
	xor %edi, %edi
	syscall
	ud2

/* ---- Samples ---------------------------------------------------------------------------------- */

/* RDX = the TSC; LFENCE keeps it from being read early (SDM volume 2, RDTSC).  RAX is lost. */
.macro NOW
	lfence
	rdtsc
	shl $32, %rdx
	or %rax, %rdx
.endm

/* RDI = ticks, RSI = n.  RCX, R11 and RAX are the crossing's to destroy, RDX and R8 ours. */
.macro SAMPLER name, number, crossing:vararg
	.globl \name
\name:
1:	NOW
	mov %rdx, %r8
	mov $\number, %eax
	\crossing
	NOW
	sub %r8, %rdx
	mov %rdx, (%rdi)
	add $8, %rdi
	dec %rsi
	jnz 1b
	ret
.endm

	SAMPLER sample_nothing, 0
	SAMPLER sample_syscall, NR_GETPID, syscall
	SAMPLER sample_int80, NR32_GETPID, int $0x80
	SAMPLER sample_yield, NR_YIELD, syscall

	.globl sample_fork
sample_fork:
	push %rbx
	push %r12
	push %r13
	mov %rdi, %rbx
	mov %rsi, %r12
1:	NOW
	mov %rdx, %r13
	mov $NR_FORK, %eax
	syscall
	test %eax, %eax
	jz child
	mov $NR_WAIT4, %eax
	mov $-1, %rdi
	xor %esi, %esi
	xor %edx, %edx
	xor %r10d, %r10d
	syscall
	NOW
	sub %r13, %rdx
	mov %rdx, (%rbx)
	add $8, %rbx
	dec %r12
	jnz 1b
	pop %r13
	pop %r12
	pop %rbx
	ret

/* A fault handler is told what happened in RDI, RSI, RDX and RCX; the other registers survive. */
	.globl sample_fault, sample_fault_resume
sample_fault:
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rdi, %rbx
	mov %rsi, %r12
	mov %rdx, %r14
	mov %rcx, %r13 /* fault_pf reads (R13) */
1:	NOW
	mov %rdx, %r15
	jmp *%r14
sample_fault_resume:
	NOW
	sub %r15, %rdx
	mov %rdx, (%rbx)
	add $8, %rbx
	dec %r12
	jnz 1b
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	ret

	.section .note.GNU-stack, "", @progbits
