/*
 * Changing kernel stacks, and what else of a process lives in the processor.
 */
#include "shared/abi.h"
#include "guest/cfi.h"
#include "offsets.h"

	.text

/*
 * void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp): suspends the caller, resumes whoever was
 * suspended with load_rsp.  The callee-saved registers are the caller's promise to keep; the others are
 * dead at a call.  Interrupts are off.
 */
	.globl switch_stacks
switch_stacks:
	.cfi_startproc
	SAVE_CALLEE_SAVED
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	LOAD_CALLEE_SAVED
	ret
	.cfi_endproc

/*
 * Where a process and a kernel thread begin, when they are first switched to: on their own stack, with the
 * kernel's lock of whoever switched.
 */
	.globl first_return, first_run
first_return:
	.cfi_startproc simple
	CFI_REGS
	call begin_process
	jmp user_return
	.cfi_endproc
first_run:
	.cfi_startproc simple
	CFI_NO_CALLER
	xor %ebp, %ebp
	call thread_main
	.cfi_endproc

/*
 * void switch_segments(struct segments *save, const struct segments *load, bool fsgsbase): what ring 3 may
 * change of segments, and the SSE state, which the kernel never touches.  A base goes after its selector,
 * which changes it; GS goes while SWAPGS has the user's base live.  A selector that is refused faults
 * here: the fault handler makes all of *load's null (process.h) and the instruction is tried again.
 */
	.globl switch_segments, switch_segments_end, segments_load_gs, segments_load_gs_msr
switch_segments:
	.cfi_startproc
	fxsave64 SEGMENTS_SSE(%rdi)
	fxrstor64 SEGMENTS_SSE(%rsi)
	mov %ds, SEGMENTS_DS(%rdi)
	mov %es, SEGMENTS_ES(%rdi)
	mov %fs, SEGMENTS_FS(%rdi)
	mov %gs, SEGMENTS_GS(%rdi)
	test %edx, %edx
	jz 1f
	rdfsbase %rax
	mov %rax, SEGMENTS_FS_BASE(%rdi)
	mov SEGMENTS_DS(%rsi), %ds
	mov SEGMENTS_ES(%rsi), %es
	mov SEGMENTS_FS(%rsi), %fs
	mov SEGMENTS_FS_BASE(%rsi), %rax
	wrfsbase %rax
	swapgs
	rdgsbase %rax
	mov %rax, SEGMENTS_GS_BASE(%rdi)
segments_load_gs:
	mov SEGMENTS_GS(%rsi), %gs
	mov SEGMENTS_GS_BASE(%rsi), %rax
	wrgsbase %rax
	swapgs
	ret

/* The same by MSRs, which every CPU has. */
1:	mov $MSR_FS_BASE, %ecx
	rdmsr
	mov %eax, SEGMENTS_FS_BASE(%rdi)
	mov %edx, SEGMENTS_FS_BASE + 4(%rdi)
	mov SEGMENTS_DS(%rsi), %ds
	mov SEGMENTS_ES(%rsi), %es
	mov SEGMENTS_FS(%rsi), %fs
	mov SEGMENTS_FS_BASE(%rsi), %eax
	mov SEGMENTS_FS_BASE + 4(%rsi), %edx
	wrmsr
	mov $MSR_KERNEL_GS_BASE, %ecx
	rdmsr
	mov %eax, SEGMENTS_GS_BASE(%rdi)
	mov %edx, SEGMENTS_GS_BASE + 4(%rdi)
	swapgs
segments_load_gs_msr:
	mov SEGMENTS_GS(%rsi), %gs
	swapgs
	mov SEGMENTS_GS_BASE(%rsi), %eax
	mov SEGMENTS_GS_BASE + 4(%rsi), %edx
	wrmsr
	ret
	.cfi_endproc
switch_segments_end:

	.section .note.GNU-stack, "", @progbits
