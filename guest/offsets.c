/*
 * Structure offsets for assembly, taken from the C declarations so that no number is typed twice.
 * Compiled to assembly; the Makefile turns each string "->NAME value" into a #define.
 */
#include <stddef.h>

#include "guest/cpu.h"
#include "guest/process.h"

#define EMIT(name, value) __asm__ volatile("\n.ascii \"->" #name " %c0\"" : : "i"(value))
#define STATS_FROM_GS     (RS_KERNEL_CPU_BASE - RS_ENTRY_CPU_BASE + RS_KERNEL_STATS)

void offsets(void);
void offsets(void)
{
	EMIT(EXIT_FAST, EXIT_FAST);
	EMIT(EXIT_FAST_PTI, EXIT_FAST_PTI);
	EMIT(CPU_SELF, offsetof(struct cpu, self));
	EMIT(CPU_USER_RSP, offsetof(struct cpu, user_rsp));
	EMIT(CPU_KERNEL_CR3, offsetof(struct cpu, kernel_cr3));
	EMIT(CPU_USER_CR3, offsetof(struct cpu, user_cr3));
	EMIT(CPU_KERNEL_STACK, offsetof(struct cpu, kernel_stack));
	EMIT(CPU_ENTRY_STACK, offsetof(struct cpu, entry_stack));
	EMIT(CPU_PTI, offsetof(struct cpu, pti));
	EMIT(CPU_EXIT, offsetof(struct cpu, exit));
	EMIT(CPU_SCRATCH0, offsetof(struct cpu, scratch[0]));
	EMIT(CPU_SCRATCH1, offsetof(struct cpu, scratch[1]));
	EMIT(CPU_SCRATCH2, offsetof(struct cpu, scratch[2]));
	EMIT(CPU_NOFLUSH, offsetof(struct cpu, noflush));
	/* Statistics lie outside the entry area, at a fixed distance below the GS base. */
	EMIT(STATS_SYSCALL64,
	     (int64_t)STATS_FROM_GS + (int64_t)offsetof(struct rs_stats, syscall64));
	EMIT(STATS_SYSCALL32,
	     (int64_t)STATS_FROM_GS + (int64_t)offsetof(struct rs_stats, syscall32));
	EMIT(STATS_SYSENTER, (int64_t)STATS_FROM_GS + (int64_t)offsetof(struct rs_stats, sysenter));
	EMIT(STATS_INT80, (int64_t)STATS_FROM_GS + (int64_t)offsetof(struct rs_stats, int80));
	EMIT(STATS_VECTOR80,
	     (int64_t)STATS_FROM_GS + (int64_t)offsetof(struct rs_stats, vectors[0x80]));
	EMIT(STATS_CR3_ENTRY,
	     (int64_t)STATS_FROM_GS + (int64_t)offsetof(struct rs_stats, cr3_entry));
	EMIT(STATS_CR3_EXIT, (int64_t)STATS_FROM_GS + (int64_t)offsetof(struct rs_stats, cr3_exit));
	EMIT(REGS_RAX, offsetof(struct rs_regs, rax));
	EMIT(REGS_RDX, offsetof(struct rs_regs, rdx));
	EMIT(REGS_RDI, offsetof(struct rs_regs, rdi));
	EMIT(REGS_ERROR, offsetof(struct rs_regs, error));
	EMIT(REGS_RIP, offsetof(struct rs_regs, rip));
	EMIT(REGS_CS, offsetof(struct rs_regs, cs));
	EMIT(REGS_RFLAGS, offsetof(struct rs_regs, rflags));
	EMIT(REGS_RSP, offsetof(struct rs_regs, rsp));
	EMIT(REGS_SS, offsetof(struct rs_regs, ss));
	EMIT(SEGMENTS_SSE, offsetof(struct segments, sse));
	EMIT(SEGMENTS_DS, offsetof(struct segments, ds));
	EMIT(SEGMENTS_ES, offsetof(struct segments, es));
	EMIT(SEGMENTS_FS, offsetof(struct segments, fs));
	EMIT(SEGMENTS_GS, offsetof(struct segments, gs));
	EMIT(SEGMENTS_FS_BASE, offsetof(struct segments, fs_base));
	EMIT(SEGMENTS_GS_BASE, offsetof(struct segments, gs_base));
}
