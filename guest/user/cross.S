#include "guest/uapi.h"
#include "guest/user/cross.h"

	.text

.macro MARK slot
	mov $RS_PORT_MARK, %edx
	mov $\slot, %eax
	outb %al, %dx
.endm

	.globl mark
mark:
	mov $RS_PORT_MARK, %edx
	mov %edi, %eax
	outb %al, %dx
	ret

	.globl mark_syscall
mark_syscall:
	MARK MARK_BEFORE
	mov $RS_SYS_MARK, %eax
	mov $MARK_INSIDE, %edi
	syscall
	MARK MARK_AFTER
	ret

	.globl mark_int80
mark_int80:
	push %rbx
	MARK MARK_BEFORE
	mov $RS_SYS_MARK, %eax
	mov $MARK_INSIDE, %ebx
	int $0x80
	MARK MARK_AFTER
	pop %rbx
	ret

	.globl loop_syscall
loop_syscall:
1:	mov $39, %eax
	syscall
	dec %rdi
	jnz 1b
	ret

	.globl loop_int80
loop_int80:
1:	mov $20, %eax
	int $0x80
	dec %rdi
	jnz 1b
	ret

	.globl loop_yield
loop_yield:
1:	mov $24, %eax
	syscall
	dec %rdi
	jnz 1b
	ret

	.globl loop_nothing
loop_nothing:
1:	dec %rdi
	jnz 1b
	ret

/* The kernel keeps all registers of a faulting process but RDI, RSI, RDX, RCX, which tell the fault
 * handler what happened: R12 to R14 and RBX survive from fault to fault. */
	.globl fault_pf, fault_ud, fault_gp
fault_pf:
	mov (%r13), %eax
fault_ud:
	ud2
fault_gp:
	hlt

	.globl mark_fault, mark_fault_resume
mark_fault:
	push %r12
	push %r13
	mov %rdi, %r12
	mov %rsi, %r13
	MARK MARK_BEFORE
	jmp *%r12
mark_fault_resume:
	MARK MARK_AFTER
	pop %r13
	pop %r12
	ret

	.globl loop_fault, loop_fault_resume
loop_fault:
	push %rbx
	push %r12
	push %r13
	mov %rdi, %r12
	mov %rsi, %r13
	mov %rdx, %rbx
	jmp *%r12
loop_fault_resume:
	dec %rbx
	jz 1f
	jmp *%r12
1:	pop %r13
	pop %r12
	pop %rbx
	ret

/*
 * bool catch_fault(void (*attempt)(void *), void *arg, struct fault *fault): the stack as it is before
 * the attempt is kept, whatever the attempt does to RSP.
 */
	.globl catch_fault
catch_fault:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdx
	push %rdi
	push %rsi
	mov $RS_SYS_FAULT_HANDLER, %eax
	lea caught(%rip), %rdi
	syscall
	pop %rdi
	pop %rax
	mov %rsp, catch_rsp(%rip)
	call *%rax
	xor %ebx, %ebx
1:	mov $RS_SYS_FAULT_HANDLER, %eax
	xor %edi, %edi
	syscall
	mov %ebx, %eax
	pop %rdx
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
caught:
	mov catch_rsp(%rip), %rsp
	mov (%rsp), %rax
	mov %rdi, (%rax)
	mov %rsi, 8(%rax)
	mov %rdx, 16(%rax)
	mov %rcx, 24(%rax)
	mov $1, %ebx
	jmp 1b

/*
 * void cross(enum cross_kind kind): while the registers hold what the caller asked for there is no stack,
 * so everything that must survive lies in memory of its own.
 */
	.globl cross, cross_resume, cross_after_syscall
cross:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, cross_rsp(%rip)
	mov %edi, cross_kind(%rip)
	mov cross_in + 8 * 0(%rip), %rax
	mov cross_in + 8 * 1(%rip), %rcx
	mov cross_in + 8 * 2(%rip), %rdx
	mov cross_in + 8 * 3(%rip), %rbx
	mov cross_in + 8 * 4(%rip), %rsp
	mov cross_in + 8 * 5(%rip), %rbp
	mov cross_in + 8 * 6(%rip), %rsi
	mov cross_in + 8 * 7(%rip), %rdi
	mov cross_in + 8 * 8(%rip), %r8
	mov cross_in + 8 * 9(%rip), %r9
	mov cross_in + 8 * 10(%rip), %r10
	mov cross_in + 8 * 11(%rip), %r11
	mov cross_in + 8 * 12(%rip), %r12
	mov cross_in + 8 * 13(%rip), %r13
	mov cross_in + 8 * 14(%rip), %r14
	mov cross_in + 8 * 15(%rip), %r15
	cmpl $1, cross_kind(%rip)
	jb 1f
	je 2f
	cmpl $3, cross_kind(%rip)
	jb 3f
	mov (%r15), %eax
3:	ud2
2:	int $0x80
	jmp cross_resume
1:	syscall
cross_after_syscall:
cross_resume:
	mov %rax, cross_out + 8 * 0(%rip)
	mov %rcx, cross_out + 8 * 1(%rip)
	mov %rdx, cross_out + 8 * 2(%rip)
	mov %rbx, cross_out + 8 * 3(%rip)
	mov %rsp, cross_out + 8 * 4(%rip)
	mov %rbp, cross_out + 8 * 5(%rip)
	mov %rsi, cross_out + 8 * 6(%rip)
	mov %rdi, cross_out + 8 * 7(%rip)
	mov %r8, cross_out + 8 * 8(%rip)
	mov %r9, cross_out + 8 * 9(%rip)
	mov %r10, cross_out + 8 * 10(%rip)
	mov %r11, cross_out + 8 * 11(%rip)
	mov %r12, cross_out + 8 * 12(%rip)
	mov %r13, cross_out + 8 * 13(%rip)
	mov %r14, cross_out + 8 * 14(%rip)
	mov %r15, cross_out + 8 * 15(%rip)
	mov cross_rsp(%rip), %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* Traps that a debugger or a mistake would set off. */
	.globl trap_flag
trap_flag:
	pushf
	orl $0x100, (%rsp)
	popf
	nop
	ret

	.bss
	.balign 8
	.globl cross_in, cross_out
cross_in:
	.skip 16 * 8
cross_out:
	.skip 16 * 8
cross_rsp:
	.quad 0
cross_kind:
	.quad 0
catch_rsp:
	.quad 0

	.section .note.GNU-stack, "", @progbits
