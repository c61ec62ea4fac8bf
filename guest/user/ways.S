/*
 * The ways themselves (ways.h).  While the registers hold what way_in says there is no stack, so everything
 * that must survive lies in memory of its own, below 4 GiB, where 32-bit code reaches it too.
 */
#include "guest/cfi.h"
#include "guest/uapi.h"
#include "guest/user/ways.h"

	.text

/* bool way_cross(const char *code): loads and stores by POP and PUSH on way_in and way_out themselves, which
 * change no flags. */
	.globl way_cross, way_resume, way_caught
way_cross:
	.cfi_startproc
	SAVE_CALLEE_SAVED
	mov %rsp, own_rsp(%rip)
	mov %rdi, way_code(%rip)
	movl $0, faulted(%rip)
	mov way_in + WAY_IN_DS(%rip), %ds
	mov way_in + WAY_IN_DS + 2(%rip), %es
	mov way_in + WAY_IN_DS + 4(%rip), %fs
	mov way_in + WAY_IN_DS + 6(%rip), %gs
	cmpl $0, way_bases(%rip)
	je 1f
	mov way_in + WAY_IN_BASES(%rip), %rax
	wrfsbase %rax
	mov way_in + WAY_IN_BASES + 8(%rip), %rax
	wrgsbase %rax
1:	fxrstor64 way_in + WAY_IN_FPU(%rip)
	.cfi_remember_state
	lea way_in(%rip), %rsp
	CFI_NO_CALLER
	pop %rax
	pop %rcx
	pop %rdx
	pop %rbx
	pop %rbp /* RSP's place */
	pop %rbp
	pop %rsi
	pop %rdi
	pop %r8
	pop %r9
	pop %r10
	pop %r11
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	popfq
	mov way_in + 8 * 4(%rip), %rsp
	jmp *way_code(%rip)
way_caught:
	movl $1, faulted(%rip)
way_resume:
	mov %rsp, way_out + 8 * 4(%rip)
	lea way_out + 8 * 17(%rip), %rsp
	pushfq
	push %r15
	push %r14
	push %r13
	push %r12
	push %r11
	push %r10
	push %r9
	push %r8
	push %rdi
	push %rsi
	push %rbp
	lea -8(%rsp), %rsp
	push %rbx
	push %rdx
	push %rcx
	push %rax
	mov own_rsp(%rip), %rsp
	.cfi_restore_state
	push $RFLAGS_FIXED
	popfq
	fxsave64 way_out + WAY_IN_FPU(%rip)
	mov %ds, way_out + WAY_IN_DS(%rip)
	mov %es, way_out + WAY_IN_DS + 2(%rip)
	mov %fs, way_out + WAY_IN_DS + 4(%rip)
	mov %gs, way_out + WAY_IN_DS + 6(%rip)
	cmpl $0, way_bases(%rip)
	je 2f
	rdfsbase %rax
	rdgsbase %rcx
	jmp 3f
/* Where the bases are those of RS_SEL_BASED: what lies there. */
2:	mov %fs:0, %rax
	mov %gs:8, %rcx
3:	mov %rax, way_out + WAY_IN_BASES(%rip)
	mov %rcx, way_out + WAY_IN_BASES + 8(%rip)
	xor %eax, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov faulted(%rip), %eax
	LOAD_CALLEE_SAVED
	ret
	.cfi_endproc

	.globl way_syscall, way_int80, way_sysenter, way_callgate, way_trap_gate, way_ud, way_pf, way_gp
	.globl way_de, way_bp, way_of, way_db, way_np, way_iretq, way_lretq
way_syscall:
	/* Their stack is what way_in says. */
	.cfi_startproc simple
	CFI_NO_CALLER
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

/* LOOP changes RCX and no flag. */
	.globl way_timer
way_timer:
	loop way_timer
	jmp way_resume

/* By far JMP to 32-bit code and back. */
	.globl way_ud_32
way_ud_32:
	ljmp *to_ud_32(%rip)
	.globl way_int80_32, way_syscall_32, way_sysenter_32, way_sysenter_32_return
way_int80_32:
	ljmp *to_int80_32(%rip)
way_syscall_32:
	ljmp *to_syscall_32(%rip)
way_sysenter_32:
	ljmp *to_sysenter_32(%rip)
	.code32
ud_32:
	ud2
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
	.cfi_endproc

	.data
	.balign 8
to_ud_32:
	.long ud_32
	.word RS_SEL_USER_CODE32
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
	.skip WAY_STATE_SIZE
way_out:
	.skip WAY_STATE_SIZE
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
