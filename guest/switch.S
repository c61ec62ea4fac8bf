/*
 * Changing kernel stacks.
 */
	.text

/*
 * void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp): suspends the caller, resumes whoever was
 * suspended with load_rsp.  The callee-saved registers are the caller's promise to keep; the others are
 * dead at a call.  Interrupts are off.
 */
	.globl switch_stacks
switch_stacks:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.section .note.GNU-stack, "", @progbits
