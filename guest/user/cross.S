#include "guest/cfi.h"
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
	.cfi_startproc
	mov $RS_PORT_MARK, %edx
	mov %edi, %eax
	outb %al, %dx
	ret
	.cfi_endproc

	.globl mark_syscall
mark_syscall:
	.cfi_startproc
	MARK MARK_BEFORE
	mov $RS_SYS_MARK, %eax
	mov $MARK_INSIDE, %edi
	syscall
	MARK MARK_AFTER
	ret
	.cfi_endproc

	.globl mark_int80
mark_int80:
	.cfi_startproc
	SAVE %rbx
	MARK MARK_BEFORE
	mov $RS_SYS_MARK, %eax
	mov $MARK_INSIDE, %ebx
	int $0x80
	MARK MARK_AFTER
	LOAD %rbx
	ret
	.cfi_endproc

	.globl loop_syscall
loop_syscall:
	.cfi_startproc
1:	mov $39, %eax
	syscall
	dec %rdi
	jnz 1b
	ret
	.cfi_endproc

	.globl loop_int80
loop_int80:
	.cfi_startproc
1:	mov $20, %eax
	int $0x80
	dec %rdi
	jnz 1b
	ret
	.cfi_endproc

	.globl loop_yield
loop_yield:
	.cfi_startproc
1:	mov $24, %eax
	syscall
	dec %rdi
	jnz 1b
	ret
	.cfi_endproc

	.globl loop_nothing
loop_nothing:
	.cfi_startproc
1:	dec %rdi
	jnz 1b
	ret
	.cfi_endproc

/* The kernel keeps all registers of a faulting process but RDI, RSI, RDX, RCX, which tell the fault
 * handler what happened: R12 to R14 and RBX survive from fault to fault.  Who jumps here has pushed what
 * he likes. */
	.globl fault_pf, fault_ud, fault_gp
fault_pf:
	.cfi_startproc simple
	CFI_NO_CALLER
	mov (%r13), %eax
fault_ud:
	ud2
fault_gp:
	hlt
	.cfi_endproc

	.globl mark_fault, mark_fault_resume
mark_fault:
	.cfi_startproc
	SAVE %r12
	SAVE %r13
	mov %rdi, %r12
	mov %rsi, %r13
	MARK MARK_BEFORE
	jmp *%r12
mark_fault_resume:
	MARK MARK_AFTER
	LOAD %r13
	LOAD %r12
	ret
	.cfi_endproc

	.globl loop_fault, loop_fault_resume
loop_fault:
	.cfi_startproc
	SAVE %rbx
	SAVE %r12
	SAVE %r13
	mov %rdi, %r12
	mov %rsi, %r13
	mov %rdx, %rbx
	jmp *%r12
loop_fault_resume:
	dec %rbx
	jz 1f
	jmp *%r12
1:	LOAD %r13
	LOAD %r12
	LOAD %rbx
	ret
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
