/*
 * The call that may fault (recover.h).
 */
#include "guest/cfi.h"

	.text

/*
 * bool recover_enter(void (*act)(uint64_t), uint64_t arg, uint64_t *rsp): keeps in *rsp where this frame
 * is, so that a fault handler that finds it can resume at recover_resume with that RSP.
 */
	.globl recover_enter, recover_resume
recover_enter:
	.cfi_startproc
	SAVE_CALLEE_SAVED
	mov %rsp, (%rdx)
	mov %rdi, %rax
	mov %rsi, %rdi
	call *%rax
	xor %eax, %eax
	jmp 1f
recover_resume:
	mov $1, %eax
1:	LOAD_CALLEE_SAVED
	ret
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
