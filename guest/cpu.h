/*
 * The words of one CPU that entry code needs, and the instructions C has no words for.
 *
 * struct cpu lies at RS_ENTRY_CPU(n), in the entry area: it is all a user root maps of the kernel's
 * data, so nothing goes in here that ring 3 must not learn through a CPU that leaks
 * (CVE-2017-5754). In ring 0 the GS base points to it.
 */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include "shared/abi.h"

struct process;

/* cpu.exit: how SYSCALL's way out goes.  Ordered, so that two branches on one compare decide. */
enum cpu_exit {
	EXIT_FAST,     /* one root, nothing to do: SYSRET at once */
	EXIT_FAST_PTI, /* two roots: write CR3, then SYSRET */
	EXIT_SLOW,     /* the registers may be such that only IRETQ restores them */
};

struct cpu {
	struct cpu *self;
	uint64_t user_rsp;     /* RSP of the current process at its last SYSCALL; also scratch */
	uint64_t kernel_cr3;   /* written on the way in when pti is set */
	uint64_t user_cr3;     /* written on the way out */
	uint64_t kernel_stack; /* top of the current process's kernel stack */
	uint64_t entry_stack;  /* top of the entry stack: TSS.RSP0 while pti is set */
	uint32_t pti;          /* 0: one root */
	uint32_t exit;         /* enum cpu_exit */
	uint64_t scratch[3];   /* for entries that have no register free, up to their first push */
	uint64_t noflush;      /* CR3_NOFLUSH in PCID mode, else 0: for putting a CR3 back */
	struct process *current;
	uint32_t number;
};

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static inline struct rs_stats *cpu_stats(void)
{
	return (struct rs_stats *)((uint64_t)this_cpu() - RS_ENTRY_CPU_BASE + RS_KERNEL_CPU_BASE +
	                           RS_KERNEL_STATS);
}

static inline struct rs_call *cpu_call(void)
{
	return (struct rs_call *)((uint64_t)this_cpu() - RS_ENTRY_CPU_BASE + RS_KERNEL_CPU_BASE +
	                          RS_KERNEL_CALL);
}

static inline uint64_t read_cr0(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static inline void write_cr0(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static inline uint64_t read_cr2(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline void write_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint64_t read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline void invlpg(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
	                 :
	                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

#endif
