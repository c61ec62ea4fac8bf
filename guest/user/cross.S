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

	.section .note.GNU-stack, "", @progbits
