/*
 * Where ring 3 stands, with every register filled, when the VMM makes the crossing (torture.c).
 */
	.text
	.globl torture_stand
torture_stand:
	nop
	jmp way_resume

	.section .note.GNU-stack, "", @progbits
