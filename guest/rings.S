/*
 * What rings 1 and 2 run (guest/gallery.h): one attempt each, in the entry area, since paging takes these
 * rings for supervisors: with SMEP no user page can be fetched from, and under KPTI no other supervisor
 * page is there.  State: CPL 1 or 2, the user root's view of memory, the user's GS, RSI = an address or a
 * selector, no stack.  No attempt changes memory or leaves this page: what nothing stops ends at UD2.
 */
#include "guest/cfi.h"
#include "guest/uapi.h"

	.section .entry.text.rings, "ax", @progbits

.macro ATTEMPT number
	.org ring_attempts + 16 * \number, 0xcc
.endm

	.balign 16
	.globl ring_attempts
ring_attempts:
	.cfi_startproc simple
	CFI_NO_CALLER
	ATTEMPT RS_RING_NOTHING
	ud2
	ATTEMPT RS_RING_READ
	testb $0, (%rsi)
	ud2
	ATTEMPT RS_RING_WRITE
	lock orb $0, (%rsi)
	ud2
	ATTEMPT RS_RING_JUMP
	jmp *%rsi
	ATTEMPT RS_RING_HLT
	hlt
	ud2
	ATTEMPT RS_RING_CLI
	cli
	ud2
	ATTEMPT RS_RING_IN
	in $0x80, %al
	ud2
	ATTEMPT RS_RING_READ_CR3
	mov %cr3, %rax
	ud2
	ATTEMPT RS_RING_LOAD_SELECTOR
	mov %esi, %ds
	ud2
	ATTEMPT RS_RING_LOAD_STACK
	mov %esi, %ss
	ud2
	ATTEMPT RS_RING_INT80
	mov $20, %eax
	int $0x80
	ud2
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
