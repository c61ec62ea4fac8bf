/*
 * Where the first process begins: CPL 3, RSP = argc, argv above it, 16-byte aligned.
 */
	.text
	.globl start
start:
	xor %ebp, %ebp
	mov (%rsp), %rdi
	lea 8(%rsp), %rsi
	call main
	mov %eax, %edi
	call exit

	.section .note.GNU-stack, "", @progbits
