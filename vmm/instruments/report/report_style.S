	.section .rodata
	.globl	report_style
report_style:
	.incbin	"vmm/instruments/report/page.css"
	.byte	0

	.section .note.GNU-stack, "", @progbits
