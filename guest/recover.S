/*
 * The call that may fault (recover.h).
 */
	.text

/*
 * bool recover_enter(void (*act)(uint64_t), uint64_t arg, uint64_t *rsp): keeps in *rsp where this frame
 * is, so that a fault handler that finds it can resume at recover_resume with that RSP.
 */
	.globl recover_enter, recover_resume
recover_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdx)
	mov %rdi, %rax
	mov %rsi, %rdi
	call *%rax
	xor %eax, %eax
	jmp 1f
recover_resume:
	mov $1, %eax
1:	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.section .note.GNU-stack, "", @progbits
