	.section .rodata
	.globl	linux_init, linux_init_size
linux_init:
	.incbin	"linux-init"
linux_init_end:
	.balign	8
linux_init_size:
	.quad	linux_init_end - linux_init

	.section .note.GNU-stack, "", @progbits
