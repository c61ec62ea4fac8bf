/*
 * The guests that tests/bench/bench.c times: the same bytes for ./vmm (as ELF files without a note,
 * one entry point each) and for the floor (copied from its own text).  Position-independent, ring 0,
 * paging on, no stack, no IDT.
 *
 * PVH adds the 32-bit twin for QEMU's microvm, whose firmware enters a kernel in protected mode and
 * has ports of its own.
 */
#include "shared/abi.h"

/* Round trips in one timed batch: few enough that most see no timer's tick, in the boxes too. */
#define TRIPS 32
#define BATCHES 200

#ifdef PVH
#define PORT_EXIT 0xf4  /* -device isa-debug-exit */
#define PORT_PUTC 0xe9  /* -debugcon */
#define PORT_NOP 0xe0   /* nobody's */
	.code32
#else
#define PORT_EXIT RS_PORT_EXIT
#define PORT_PUTC RS_PORT_PUTC
#define PORT_NOP RS_PORT_NOP
	.code64
#endif

	.text
	.globl bench_guests, bench_guests_end
bench_guests:

/* Ends at once. */
	.globl bench_exit
bench_exit:
	mov $PORT_EXIT, %edx
	xor %eax, %eax
	outb %al, %dx
	hlt

/* Says hello, a byte an exit, and ends. */
	.globl bench_hello
bench_hello:
	mov $PORT_PUTC, %edx
	.irp c, 'H', 'e', 'l', 'l', 'o', '\n'
	mov $\c, %al
	outb %al, %dx
	.endr
	jmp bench_exit

/* Prints the TSC ticks of each batch, 8 hexadecimal digits a line.  ESI: batches left. */
	.globl bench_trips
bench_trips:
	mov $BATCHES, %esi
1:	mov $PORT_NOP, %ecx
	rdtsc
	mov %eax, %edi
	mov %ecx, %edx
	/* Straight on: a loop's own instructions would be in the figure, interpreted ones even. */
	.rept TRIPS
	outb %al, %dx
	.endr
	rdtsc
	sub %edi, %eax
	mov %eax, %edi
	mov $PORT_PUTC, %edx
	mov $8, %ebx
2:	rol $4, %edi
	mov %edi, %eax
	and $15, %eax
	cmp $10, %eax
	jb 3f
	add $('a' - '0' - 10), %eax
3:	add $'0', %eax
	outb %al, %dx
	sub $1, %ebx
	jnz 2b
	mov $'\n', %eax
	outb %al, %dx
	sub $1, %esi
	jnz 1b
	jmp bench_exit
bench_guests_end:

#ifdef PVH
/* Xen's note 18: the 32-bit entry point (xen/include/public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY). */
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long PVH
#endif

	.section .note.GNU-stack, "", @progbits
