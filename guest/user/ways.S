/*
 * The ways themselves (ways.h).  While the registers hold what way_in says there is no stack, so everything
 * that must survive lies in memory of its own, below 4 GiB, where 32-bit code reaches it too.
 */
#include "guest/uapi.h"

	.text

/* bool way_cross(const char *code) */
	.globl way_cross, way_resume, way_caught
way_cross:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, own_rsp(%rip)
	mov %rdi, way_code(%rip)
	movl $0, faulted(%rip)
	mov way_in + 152(%rip), %ds
	mov way_in + 154(%rip), %es
	mov way_in + 156(%rip), %fs
	mov way_in + 158(%rip), %gs
	cmpl $0, way_bases(%rip)
	je 1f
	mov way_in + 136(%rip), %rax
	wrfsbase %rax
	mov way_in + 144(%rip), %rax
	wrgsbase %rax
1:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu way_in + 160 + 16 * \n(%rip), %xmm\n
	.endr
	push way_in + 128(%rip)
	popfq
	mov way_in + 8 * 0(%rip), %rax
	mov way_in + 8 * 1(%rip), %rcx
	mov way_in + 8 * 2(%rip), %rdx
	mov way_in + 8 * 3(%rip), %rbx
	mov way_in + 8 * 4(%rip), %rsp
	mov way_in + 8 * 5(%rip), %rbp
	mov way_in + 8 * 6(%rip), %rsi
	mov way_in + 8 * 7(%rip), %rdi
	mov way_in + 8 * 8(%rip), %r8
	mov way_in + 8 * 9(%rip), %r9
	mov way_in + 8 * 10(%rip), %r10
	mov way_in + 8 * 11(%rip), %r11
	mov way_in + 8 * 12(%rip), %r12
	mov way_in + 8 * 13(%rip), %r13
	mov way_in + 8 * 14(%rip), %r14
	mov way_in + 8 * 15(%rip), %r15
	jmp *way_code(%rip)
way_caught:
	movl $1, faulted(%rip)
way_resume:
	mov %rax, way_out + 8 * 0(%rip)
	mov %rcx, way_out + 8 * 1(%rip)
	mov %rdx, way_out + 8 * 2(%rip)
	mov %rbx, way_out + 8 * 3(%rip)
	mov %rsp, way_out + 8 * 4(%rip)
	mov %rbp, way_out + 8 * 5(%rip)
	mov %rsi, way_out + 8 * 6(%rip)
	mov %rdi, way_out + 8 * 7(%rip)
	mov %r8, way_out + 8 * 8(%rip)
	mov %r9, way_out + 8 * 9(%rip)
	mov %r10, way_out + 8 * 10(%rip)
	mov %r11, way_out + 8 * 11(%rip)
	mov %r12, way_out + 8 * 12(%rip)
	mov %r13, way_out + 8 * 13(%rip)
	mov %r14, way_out + 8 * 14(%rip)
	mov %r15, way_out + 8 * 15(%rip)
	mov own_rsp(%rip), %rsp
	pushfq
	popq way_out + 128(%rip)
	push $2
	popfq
	mov %ds, way_out + 152(%rip)
	mov %es, way_out + 154(%rip)
	mov %fs, way_out + 156(%rip)
	mov %gs, way_out + 158(%rip)
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu %xmm\n, way_out + 160 + 16 * \n(%rip)
	.endr
	cmpl $0, way_bases(%rip)
	je 2f
	rdfsbase %rax
	mov %rax, way_out + 136(%rip)
	rdgsbase %rax
	mov %rax, way_out + 144(%rip)
2:	xor %eax, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov faulted(%rip), %eax
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.globl way_syscall, way_int80, way_sysenter, way_callgate, way_trap_gate, way_ud, way_pf, way_gp
	.globl way_de, way_bp, way_of, way_db, way_np, way_iretq, way_lretq
way_syscall:
	syscall
	.globl way_after_syscall
way_after_syscall:
	jmp way_resume
way_int80:
	int $0x80
	jmp way_resume
/* RDX and RCX say where it returns to. */
way_sysenter:
	sysenter
way_callgate:
	lcall *gate(%rip)
	jmp way_resume
way_trap_gate:
	int $RS_VECTOR_TRAP
way_ud:
	ud2
way_pf:
	mov (%r15), %eax
way_gp:
	hlt
way_de:
	divl zero(%rip)
way_bp:
	int3
way_of:
	int $4
way_db:
	.byte 0xf1
way_np:
	int $RS_VECTOR_ABSENT
/* RSP points to a frame that leads to way_resume. */
way_iretq:
	iretq
way_lretq:
	lretq

/* By far JMP to 32-bit code and back. */
	.globl way_int80_32, way_syscall_32, way_sysenter_32, way_sysenter_32_return
way_int80_32:
	ljmp *to_int80_32(%rip)
way_syscall_32:
	ljmp *to_syscall_32(%rip)
way_sysenter_32:
	ljmp *to_sysenter_32(%rip)
	.code32
int80_32:
	int $0x80
	ljmp $RS_SEL_USER_CODE, $way_resume
syscall_32:
	syscall
	ljmp $RS_SEL_USER_CODE, $way_resume
sysenter_32:
	sysenter
way_sysenter_32_return:
	ljmp $RS_SEL_USER_CODE, $way_resume
	.code64

	.data
	.balign 8
gate:
	.long 0
	.word RS_SEL_GATE
	.balign 8
to_int80_32:
	.long int80_32
	.word RS_SEL_USER_CODE32
	.balign 8
to_syscall_32:
	.long syscall_32
	.word RS_SEL_USER_CODE32
	.balign 8
to_sysenter_32:
	.long sysenter_32
	.word RS_SEL_USER_CODE32

	.bss
	.balign 16
	.globl way_in, way_out, way_bases
way_in:
	.skip 416
way_out:
	.skip 416
own_rsp:
	.quad 0
way_code:
	.quad 0
faulted:
	.long 0
zero:
	.long 0
way_bases:
	.long 0

	.section .note.GNU-stack, "", @progbits
