/*
 * Where the first process begins: CPL 3, RSP = argc, argv above it, 16-byte aligned.
 */
#include "guest/cfi.h"

	.text
	.globl start
start:
	.cfi_startproc simple
	CFI_NO_CALLER
	xor %ebp, %ebp
	mov (%rsp), %rdi
	lea 8(%rsp), %rsi
	call main
	mov %eax, %edi
	call exit
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
