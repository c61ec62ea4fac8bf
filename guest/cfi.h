/* clang-format off */
/*
 * For assembly: where a debugger finds the caller (DWARF call frame information, DWARF 5 chapter 6.4), so
 * that a backtrace goes from the kernel's C through an entry to the ring 3 function that crossed, from any
 * instruction.  None of it is code and none is loaded: it lies in .debug_frame.
 *
 * At each instruction a rule says where something of the caller's is: the canonical frame address (CFA, which
 * is also his RSP), RIP, and each register that has been saved.  A rule holds from its line on, whatever
 * jumps there are; so what is only jumped to begins with a line that replaces all rules (the CFI_ macros).
 * Below, the macros in capitals are an instruction and what it changes in the rules.
 *
 * An entry's caller was interrupted, or has crossed: his stack may lie anywhere, and RIP is not behind a CALL.
 * A debugger believes that only of a signal frame, whose name it does not show.  So between an entry and its
 * caller another frame is made believe, "the crossing": the entry returns to it, with an RSP that points
 * behind the five words that the processor pushed, and it, a signal frame, returns to RIP and RSP of these:
 *
 *   #0  syscall64 (...)                  C
 *   #1  syscall_entry () at entry.S      an entry; its CFA is the end of the five words
 *   #2  <signal handler called>          the crossing
 *   #3  raw_syscall () at calls.S        ring 3, or whatever was interrupted
 */
#ifndef GUEST_CFI_H
#define GUEST_CFI_H

	.cfi_sections .debug_frame

/* Where the crossing's code would be: in the first page, which is never mapped. */
#define CROSSING 16

/* Numbers and operations that the assembler has no names for. */
#define DW_RAX                    0
#define DW_RDI                    5
#define DW_RSP                    7
#define DW_RIP                    16
#define DW_RFLAGS                 49
#define DW_CS                     51
#define DW_SS                     52
#define DW_CFA_nop                0x00
#define DW_CFA_def_cfa            0x0c
#define DW_CFA_def_cfa_expression 0x0f
#define DW_CFA_expression         0x10
#define DW_CFA_val_offset         0x14
#define DW_CFA_val_expression     0x16
#define DW_CFA_offset(number)     (0x80 + number)
#define DW_OP_deref               0x06
#define DW_OP_lit(value)          (0x30 + value)
#define DW_OP_breg(number)        (0x70 + number)

/* RSP is the CFA, and every other general register is as the caller had it. */
.macro CFI_SAME_REGISTERS
	.cfi_escape DW_CFA_val_offset, DW_RSP, 0
	.irp register, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	.cfi_same_value %\register
	.endr
.endm

/* ---- The rules as a whole ---------------------------------------------------------------------------- */

/* What the processor pushed, or the same: RIP CS RFLAGS RSP SS, `below` bytes above a register. */
.macro CFI_FRAME below, base=rsp
	.cfi_def_cfa %\base, \below + 40
	CFI_SAME_REGISTERS
	.cfi_escape DW_CFA_val_expression, DW_RIP, 1, DW_OP_lit(CROSSING)
.endm

/* RSP points to a struct rs_regs. */
.macro CFI_REGS
	CFI_FRAME 128
	.cfi_offset %rdi, -56
	.cfi_offset %rsi, -64
	.cfi_offset %rdx, -72
	.cfi_offset %rcx, -80
	.cfi_offset %rax, -88
	.cfi_offset %r8, -96
	.cfi_offset %r9, -104
	.cfi_offset %r10, -112
	.cfi_offset %r11, -120
	.cfi_offset %rbx, -128
	.cfi_offset %rbp, -136
	.cfi_offset %r12, -144
	.cfi_offset %r13, -152
	.cfi_offset %r14, -160
	.cfi_offset %r15, -168
.endm

/* SYSCALL: RSP is the caller's, RIP in RCX. */
.macro CFI_SYSCALL
	.cfi_def_cfa %rsp, 0
	CFI_SAME_REGISTERS
	.cfi_register DW_RIP, %rcx
.endm

/* SYSENTER, by agreement: RSP in RCX, RIP in RDX. */
.macro CFI_SYSENTER
	.cfi_def_cfa %rcx, 0
	CFI_SAME_REGISTERS
	.cfi_register DW_RIP, %rdx
.endm

/* Call gate: RIP CS RSP SS, `below` bytes above RSP. */
.macro CFI_CALLGATE below
	CFI_SAME_REGISTERS
	CFI_CALLER_RSP_AT DW_RSP, \below + 16
	.cfi_escape DW_CFA_expression, DW_RIP, 2, DW_OP_breg(DW_RSP), \below
.endm

/* CALL. */
.macro CFI_CALL
	.cfi_def_cfa %rsp, 8
	CFI_SAME_REGISTERS
	.cfi_offset DW_RIP, -8
.endm

/* Nobody, or nobody knows: backtraces end here. */
.macro CFI_NO_CALLER
	.cfi_def_cfa %rsp, 0
	.cfi_undefined DW_RIP
.endm

/* ---- One rule ------------------------------------------------------------------------------------------ */

/* The word with the caller's RSP lies `above` bytes above a register, given by number. */
.macro CFI_CALLER_RSP_AT base, above
	.cfi_escape DW_CFA_def_cfa_expression, 3, DW_OP_breg(\base), \above, DW_OP_deref
	.cfi_escape DW_CFA_val_offset, DW_RSP, 0
.endm

/* PUSH and POP.  Where the CFA does not hang on RSP they are written small. */
.macro PUSH_WORD what:vararg
	push \what
	.cfi_adjust_cfa_offset 8
.endm
.macro POP_WORD what:vararg
	pop \what
	.cfi_adjust_cfa_offset -8
.endm

/* The same of a register that holds what the caller had in it. */
.macro SAVE register
	PUSH_WORD \register
	.cfi_rel_offset \register, 0
.endm
.macro LOAD register
	POP_WORD \register
	.cfi_same_value \register
.endm

/* What C promises its caller to keep. */
.macro SAVE_CALLEE_SAVED
	.irp register, rbx, rbp, r12, r13, r14, r15
	SAVE %\register
	.endr
.endm
.macro LOAD_CALLEE_SAVED
	.irp register, r15, r14, r13, r12, rbp, rbx
	LOAD %\register
	.endr
.endm

#endif
