/*
 * System calls for C.  In assembly because the arguments only have to move on by one register: what a call
 * has no use for may hold anything.
 */
#include "guest/cfi.h"

	.text

/* long raw_syscall(long number, a, b, c, d, e, f): the sixth lies above the return address. */
	.globl raw_syscall
raw_syscall:
	.cfi_startproc
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %rdx, %rsi
	mov %rcx, %rdx
	mov %r8, %r10
	mov %r9, %r8
	mov 8(%rsp), %r9
	syscall
	ret
	.cfi_endproc

/* long raw_int80(long number, a, b, c, d, e): EBX ECX EDX ESI EDI. */
	.globl raw_int80
raw_int80:
	.cfi_startproc
	SAVE %rbx
	mov %rdi, %rax
	mov %rsi, %rbx
	xchg %rdx, %rcx
	mov %r8, %rsi
	mov %r9, %rdi
	int $0x80
	LOAD %rbx
	ret
	.cfi_endproc

	.globl syscall_int80
syscall_int80:
	.cfi_startproc
	call raw_int80
	jmp 1f
	.cfi_endproc

	.globl syscall
syscall:
	.cfi_startproc
	PUSH_WORD 8(%rsp)
	call raw_syscall
	POP_WORD %rcx
	/* Linux keeps the last page of negative numbers for errors. */
1:	cmp $-4095, %rax
	jae 2f
	ret
2:	neg %eax
	mov %eax, errno(%rip)
	or $-1, %rax
	ret
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
