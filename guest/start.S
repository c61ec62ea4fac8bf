/*
 * The ELF entry point: CPL 0, RDI = boot page, RSP = top of the boot stack.  The frame pointer and the
 * return address are cleared, so that a backtrace ends here.
 */
	.text
	.globl kernel_start
kernel_start:
	xor %ebp, %ebp
	push $0
	jmp kernel_main

	.section .note.GNU-stack, "", @progbits
