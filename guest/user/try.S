/*
 * The attempt whose fault is caught.  No system call is made, so that it works in a process whose system
 * calls are what is broken.
 */
#include "guest/cfi.h"
#include "guest/uapi.h"

	.text

/* bool try_enter(void (*act)(uint64_t), uint64_t arg): true: it faulted; try_fault and try_rax say how.
 * The fault handler is try_caught. */
	.globl try_enter, try_caught
try_enter:
	.cfi_startproc
	SAVE_CALLEE_SAVED
	mov %rsp, try_rsp(%rip)
	mov %rdi, %rax
	mov %rsi, %rdi
	call *%rax
	xor %eax, %eax
	jmp 1f
try_caught:
	mov %rax, try_rax(%rip)
	mov %rdi, try_fault(%rip)
	mov %rsi, try_fault + 8(%rip)
	mov %rdx, try_fault + 16(%rip)
	mov %rcx, try_fault + 24(%rip)
	mov try_rsp(%rip), %rsp
	test %rsp, %rsp
	jz 2f
	mov $1, %eax
1:	movq $0, try_rsp(%rip)
	push $2
	popfq
	LOAD_CALLEE_SAVED
	ret
	.cfi_endproc
/* Nobody was trying: the program itself is wrong. */
2:	mov $1, %eax
	mov $100, %ebx
	add %edi, %ebx
	int $0x80
	jmp 2b

	.bss
	.balign 8
	.globl try_fault, try_rax
try_fault:
	.skip 32
try_rax:
	.quad 0
try_rsp:
	.quad 0

	.section .note.GNU-stack, "", @progbits
