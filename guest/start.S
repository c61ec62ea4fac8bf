/*
 * The ELF entry point, and the other CPUs': CPL 0, RDI = boot page, RSI = the CPU, RSP = top of its boot
 * stack.  The frame pointer and the return address are cleared, so that a backtrace ends here.
 */
	.text
	.globl kernel_start
kernel_start:
	xor %ebp, %ebp
	push $0
	jmp kernel_main

	.globl cpu_start
cpu_start:
	xor %ebp, %ebp
	push $0
	jmp cpu_main

	.section .note.GNU-stack, "", @progbits
