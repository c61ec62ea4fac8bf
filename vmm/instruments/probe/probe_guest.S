/*
 * The guests of --probe: a few instructions each, copied into the RAM of a private VM (probe_vm.c)
 * and run from their first instruction, with arguments in registers as probe_tests.c sets them.
 * Position-independent: nothing but relative jumps.
 *
 * They say what happened by leaving: every exception and interrupt ends in OUT to
 * PROBE_PORT_TRAP with the frame on the stack, ring 0 that reaches its end in OUT to
 * PROBE_PORT_DONE, ring 3 that reaches its end in #UD at a UD2 (INT3 would be shorter, but is itself
 * one of the questions).
 */
#include "vmm/instruments/probe/probe_guest.h"

	.section .rodata

.macro GUEST name
	.globl	probe_\name
	.hidden	probe_\name
probe_\name:
.endm

.macro DONE
	out	%al, $PROBE_PORT_DONE
	hlt
.endm

/* ---- Ring 0: supervisor pages ------------------------------------------------------------ */

GUEST text0
/* Every vector: push its number on top of the processor's frame, and leave. */
GUEST vectors
	.set	vector, 0
	.rept	256
	.balign	PROBE_VECTOR_STRIDE
	.byte	0x68			/* pushq imm32: the same length for every number */
	.long	vector
	jmp	trap
	.set	vector, vector + 1
	.endr
	.balign	16
trap:
	out	%al, $PROBE_PORT_TRAP
	hlt

/* LSTAR and SYSENTER_EIP. */
GUEST entry
	out	%al, $PROBE_PORT_ENTRY
	hlt

GUEST r0_done
	DONE
GUEST r0_int3
	int3
	DONE
/* RDI: address */
GUEST r0_read
	mov	(%rdi), %rax
	DONE
GUEST r0_write
	mov	%rax, (%rdi)
	DONE
GUEST r0_jump
	jmp	*%rdi
GUEST r0_stac
	stac
	mov	(%rdi), %rax
	clac
	DONE
/* RAX: type, RDI: descriptor */
GUEST r0_invpcid
	invpcid	(%rdi), %rax
	DONE
/*
 * RAX: CR3 of PCID 1; RCX: the same with bit 63; RDI: an address; RBX: where its page-table
 * entry lies; RSI: another entry.  Out: what the address holds before (R8) and after the entry was
 * changed, when CR3 is loaded without (R9) and with (R10) emptying the TLB.
 */
GUEST r0_pcid
	mov	%rax, %cr3
	mov	(%rdi), %r8
	mov	%rsi, (%rbx)
	mov	%rcx, %cr3
	mov	(%rdi), %r9
	mov	%rax, %cr3
	mov	(%rdi), %r10
	DONE
/* AX: selector of the TSS; on the stack: what IRETQ takes to go to ring 3. */
GUEST r0_ltr
	ltr	%ax
	iretq
/* x2APIC (SDM volume 3, 10.12.1): end what is in service, enable, divide by 1, one shot at
 * PROBE_TIMER_VECTOR, and the initial count from ESI, which starts it. */
GUEST r0_apic
	xor	%edx, %edx
	mov	$0x80b, %ecx
	xor	%eax, %eax
	wrmsr
	mov	$0x80f, %ecx
	mov	$0x1ff, %eax
	wrmsr
	mov	$0x83e, %ecx
	mov	$0xb, %eax
	wrmsr
	mov	$0x832, %ecx
	mov	$PROBE_TIMER_VECTOR, %eax
	wrmsr
	mov	$0x838, %ecx
	mov	%esi, %eax
	wrmsr
	DONE
GUEST r0_halt
	sti
	hlt
	DONE
GUEST r0_nops
	nop
	nop
	nop
	nop
	DONE
/* RCX: turns of two instructions */
GUEST r0_loop
	dec	%rcx
	jnz	probe_r0_loop
	DONE
GUEST r0_exits
	out	%al, $PROBE_PORT_TICK
	jmp	probe_r0_exits
GUEST r0_rdtsc
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	DONE
GUEST text0_end

/* ---- Ring 3: user pages ------------------------------------------------------------------ */

GUEST text3
GUEST r3_end
	ud2
GUEST r3_syscall
	syscall
	ud2
GUEST r3_sysenter
	sysenter
	ud2
GUEST r3_int80
	int	$0x80
	ud2
/* Vector 14 has a gate with DPL 0. */
GUEST r3_int14
	int	$14
	ud2
GUEST r3_int3
	int3
	ud2
/* RDI: address */
GUEST r3_read
	mov	(%rdi), %rax
	ud2
GUEST r3_jump
	jmp	*%rdi
GUEST r3_sgdt
	sgdt	(%rdi)
	ud2
GUEST r3_rdfsbase
	rdfsbase %rax
	ud2
GUEST r3_nops
	nop
	nop
	nop
	nop
	ud2
GUEST r3_spin
	jmp	probe_r3_spin
GUEST r3_loop
	dec	%rcx
	jnz	probe_r3_loop
	ud2
GUEST r3_exits
	out	%al, $PROBE_PORT_TICK
	jmp	probe_r3_exits
GUEST text3_end

	.section .note.GNU-stack, "", @progbits
