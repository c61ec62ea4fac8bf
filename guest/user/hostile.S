/*
 * Sequences of hostile.c that must be exactly these instructions.
 */
#include "guest/uapi.h"

	.text

/* A fault handler that faults, and its fault handler, 1000 deep; then it is caught. */
	.globl recursive_handler, recursions
recursive_handler:
	incq recursions(%rip)
	cmpq $1000, recursions(%rip)
	jae try_caught
	mov 0, %al

/* POPF sets flags, and the instruction behind it crosses.  RDI: the flags to set; RAX the call's number. */
.macro WITH_FLAGS name, crossing:vararg
	.globl \name
\name:
	pushfq
	or %rdi, (%rsp)
	popfq
	\crossing
	.globl \name\()_behind
\name\()_behind:
	nop
	pushfq
	andq $~(RFLAGS_TF | RFLAGS_NT), (%rsp)
	popfq
	ret
.endm
	.globl flags_syscall, flags_int80, flags_callgate, flags_ud
flags_syscall:
	mov $39, %eax
	WITH_FLAGS flags_syscall_go, syscall
flags_int80:
	mov $20, %eax
	WITH_FLAGS flags_int80_go, int $0x80
flags_callgate:
	mov $39, %eax
	WITH_FLAGS flags_callgate_go, lcall *gate(%rip)
flags_ud:
	WITH_FLAGS flags_ud_go, ud2
	.globl flags_int3
flags_int3:
	WITH_FLAGS flags_int3_go, int3
	.globl flags_int14
flags_int14:
	WITH_FLAGS flags_int14_go, int $14
	.globl flags_sysenter
flags_sysenter:
	mov $39, %eax
	lea 1f(%rip), %rdx
	mov %rsp, %rcx
	pushfq
	or %rdi, (%rsp)
	popfq
	sysenter
1:	nop
	pushfq
	andq $~(RFLAGS_TF | RFLAGS_NT), (%rsp)
	popfq
	ret

/* RF can only come by IRETQ. */
	.globl rf_syscall
rf_syscall:
	mov %rsp, %rcx
	push $RS_SEL_USER_DATA
	push %rcx
	push $(RFLAGS_FIXED | RFLAGS_RF)
	push $RS_SEL_USER_CODE
	lea 1f(%rip), %rax
	push %rax
	mov $39, %eax
	iretq
1:	syscall
	ret

	.globl nt_iretq
nt_iretq:
	mov %rsp, %rcx
	push $RS_SEL_USER_DATA
	push %rcx
	push $RFLAGS_FIXED
	push $RS_SEL_USER_CODE
	lea 1f(%rip), %rax
	push %rax
	push $(RFLAGS_FIXED | RFLAGS_NT)
	popfq
	iretq
1:	ret

/* MOV SS holds back the #DB of a watched operand until after the next instruction (SDM 6.8.3). */
	.globl shadow_int3, shadow_syscall, shadow_int80, shadow_sysenter, watched_ss
	.globl shadow_int3_gs, shadow_syscall_gs, shadow_pop_int80
shadow_int3_gs:
	mov $RS_KERNEL_TEXT, %rax
	wrgsbase %rax
shadow_int3:
	mov watched_ss(%rip), %ss
	int3
	ret
shadow_syscall_gs:
	mov $RS_KERNEL_TEXT, %rax
	wrgsbase %rax
shadow_syscall:
	mov $39, %eax
	mov watched_ss(%rip), %ss
	syscall
	ret
shadow_int80:
	mov $20, %eax
	mov watched_ss(%rip), %ss
	int $0x80
	ret
shadow_sysenter:
	mov $39, %eax
	mov (%rsp), %rdx
	lea 8(%rsp), %rcx
	mov watched_ss(%rip), %ss
	sysenter

/* POP SS exists in 32-bit code only. */
shadow_pop_int80:
	mov %rsp, own_rsp(%rip)
	ljmp *to_pop_int80(%rip)
	.code32
pop_int80:
	mov $watched_ss, %esp
	mov $20, %eax
	pop %ss
	int $0x80
	ljmp $RS_SEL_USER_CODE, $1f
	.code64
1:	mov own_rsp(%rip), %rsp
	ret

/* RDI: struct place. */
	.globl return_to
return_to:
	mov (%rdi), %rdx
	lea 1f(%rip), %rax
	test %rdx, %rdx
	cmovz %rax, %rdx
	mov 16(%rdi), %rsi
	mov 8(%rdi), %rdi
	mov %rsp, %r10
	mov $RS_SYS_RETURN, %eax
	syscall
	ud2
1:	ret

/* Its own fault handler: #AC with CR0.AM, else #DB behind the load. */
	.globl storm_again
storm_again:
	lea watched_ss(%rip), %rax
	pushfq
	orl $(RFLAGS_TF | RFLAGS_AC), (%rsp)
	popfq
	mov 1(%rax), %eax
	nop
	jmp storm_again

/* Where the RIP of a fault or trap must be. */
	.globl frame_int14, frame_int3, frame_int3_after, frame_rex_int3, frame_rex_int3_after
frame_int14:
	int $14
	.globl frame_rex_int14
frame_rex_int14:
	.byte 0x48
	int $14
frame_int3:
	int3
frame_int3_after:
frame_rex_int3:
	.byte 0x48, 0xcc
frame_rex_int3_after:

	.data
	.balign 8
gate:
	.long 0
	.word RS_SEL_GATE
to_pop_int80:
	.long pop_int80
	.word RS_SEL_USER_CODE32
watched_ss:
	.long RS_SEL_USER_DATA
	.balign 8
recursions:
	.quad 0
own_rsp:
	.quad 0

	.section .note.GNU-stack, "", @progbits
