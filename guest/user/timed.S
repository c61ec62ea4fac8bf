#include "guest/cfi.h"
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
	.cfi_startproc
	SAVE %rbx
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
	LOAD %rbx
	ret
	.cfi_endproc

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
	.cfi_startproc
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
	.cfi_endproc
.endm

	SAMPLER sample_nothing, 0
	SAMPLER sample_syscall, NR_GETPID, syscall
	SAMPLER sample_int80, NR32_GETPID, int $0x80
	SAMPLER sample_yield, NR_YIELD, syscall
	SAMPLER sample_callgate, NR_GETPID, lcall *sample_gate(%rip)

/* SYSEXIT returns to RDX with RSP = RCX. */
	.globl sample_sysenter
sample_sysenter:
	.cfi_startproc
1:	NOW
	mov %rdx, %r8
	mov $NR_GETPID, %eax
	mov %rsp, %rcx
	lea 2f(%rip), %rdx
	sysenter
2:	NOW
	sub %r8, %rdx
	mov %rdx, (%rdi)
	add $8, %rdi
	dec %rsi
	jnz 1b
	ret
	.cfi_endproc

/*
 * 32-bit code begins and ends with a far jump, which is in no figure.  It keeps the upper halves of no
 * register (SDM volume 1, 3.4.1.1), so what is needed behind it lies on the stack, and RSP in memory.
 */
.macro SAMPLER32 name, number, crossing:vararg
	.globl \name
\name:
	lea 2f(%rip), %rax
	jmp sample_32
	.code32
2:	lfence
	rdtsc
	mov %eax, %edi
	mov $\number, %eax
	\crossing
	lfence
	rdtsc
	sub %edi, %eax
	ljmp $RS_SEL_USER_CODE, $sample_32_back
	.code64
.endm

	SAMPLER32 sample_nothing_32, 0
	SAMPLER32 sample_int80_32, NR32_GETPID, int $0x80
	SAMPLER32 sample_syscall_32, NR32_GETPID, syscall

/* Returns to EDX with ESP = ECX, which is nobody's while interrupted code has no use for a stack. */
	.globl sample_sysenter_32
sample_sysenter_32:
	lea 2f(%rip), %rax
	jmp sample_32
	.code32
2:	lfence
	rdtsc
	mov %eax, %edi
	mov $(NR32_GETPID | RS_SYSENTER_COMPAT), %eax
	mov $3f, %edx
	sysenter
3:	lfence
	rdtsc
	sub %edi, %eax
	ljmp $RS_SEL_USER_CODE, $sample_32_back
	.code64

/* RDI = ticks, RSI = n, RAX = the 32-bit code. */
sample_32:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %eax, sample_32_code(%rip)
1:	push %rdi
	push %rsi
	mov %rsp, sample_32_rsp(%rip)
	ljmp *sample_32_code(%rip)
sample_32_back:
	mov sample_32_rsp(%rip), %rsp
	pop %rsi
	pop %rdi
	mov %eax, %eax
	mov %rax, (%rdi)
	add $8, %rdi
	dec %rsi
	jnz 1b
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.data
	.balign 8
sample_32_rsp:
	.quad 0
sample_32_code:
	.long 0
	.word RS_SEL_USER_CODE32
	.balign 8
sample_gate:
	.long 0
	.word RS_SEL_GATE
	.text

	.globl sample_fork
sample_fork:
	.cfi_startproc
	SAVE %rbx
	SAVE %r12
	SAVE %r13
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
	LOAD %r13
	LOAD %r12
	LOAD %rbx
	ret
	.cfi_endproc

/* A fault handler is told what happened in RDI, RSI, RDX and RCX; the other registers survive. */
	.globl sample_fault, sample_fault_resume
sample_fault:
	.cfi_startproc
	SAVE %rbx
	SAVE %r12
	SAVE %r13
	SAVE %r14
	SAVE %r15
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
	LOAD %r15
	LOAD %r14
	LOAD %r13
	LOAD %r12
	LOAD %rbx
	ret
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
