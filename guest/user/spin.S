/*
 * uint64_t spin_with_registers(uint64_t turns, uint64_t pattern): fills every general register but RSP, and
 * XMM0 to XMM15, with values made from the pattern, and looks at all of them again `turns` times.  Returns 0,
 * or the turns that were left when one had changed.  Whoever is interrupted here must find everything as it
 * was, wherever it is continued.
 */
#include "guest/cfi.h"

	.text

	.globl spin_with_registers
spin_with_registers:
	.cfi_startproc
	SAVE_CALLEE_SAVED
	mov %rsi, %rax
	.set n, 0
	.irp reg, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	.set n, n + 1
	lea n(%rax), %\reg
	.endr
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq %rax, %xmm\n
	lea 0x101(%rax), %rax
	.endr
	sub $0x1010, %rax
	/* RAX: the pattern; RDI: turns left. */
1:	.set n, 0
	.irp reg, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	.set n, n + 1
	sub $n, %\reg
	cmp %rax, %\reg
	jne 2f
	add $n, %\reg
	.endr
	PUSH_WORD %rbx
	PUSH_WORD %rax
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq %xmm\n, %rbx
	cmp %rax, %rbx
	jne 3f
	lea 0x101(%rax), %rax
	.endr
	POP_WORD %rax
	POP_WORD %rbx
	dec %rdi
	jnz 1b
	jmp 2f
	.cfi_adjust_cfa_offset 16
3:	POP_WORD %rax
	POP_WORD %rbx
2:	mov %rdi, %rax
	LOAD_CALLEE_SAVED
	ret
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
