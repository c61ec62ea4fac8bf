	.section .rodata
	.globl	linux_init, linux_init_end
linux_init:
	.incbin	LINUX_INIT
linux_init_end:

	.section .note.GNU-stack, "", @progbits
