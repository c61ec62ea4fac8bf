/*
 * System calls.  A call is defined once, with SYSCALL_DEFINEn, and listed once, in SYSCALLS of
 * syscall.c, with its number in the 64-bit table (SYSCALL) and in the i386 table (INT 0x80).
 *
 *     SYSCALL_DEFINE3(write, uint32_t, fd, uint64_t, buffer, uint64_t, count)
 *     {
 *             ...
 *     }
 *
 * makes two entry points that differ in where the arguments are: RDI RSI RDX R10 R8 R9, or EBX ECX
 * EDX ESI EDI EBP, whose upper halves ring 3 chose and nobody sees.  Results are negative errno
 * values or what the call returns.  No argument is trusted.
 */
#ifndef GUEST_SYSCALL_H
#define GUEST_SYSCALL_H

#include "shared/abi.h"

/* One dispatcher, two tables.  Returns what goes to the caller's RAX.  i386 numbers are 32 bits
 * wide: what ring 3 left above them in RAX is not part of the number (CVE-2007-4573). */
int64_t syscall64(const struct rs_regs *regs, uint64_t number);
int64_t syscall32(const struct rs_regs *regs, uint32_t number);

typedef int64_t syscall_fn(const struct rs_regs *regs);

#define SYSCALL_ENTRIES(name, params64, params32)                                                  \
	static int64_t sys64_##name(const struct rs_regs *regs)                                    \
	{                                                                                          \
		(void)regs;                                                                        \
		return sys_##name params64;                                                        \
	}                                                                                          \
	static int64_t sys32_##name(const struct rs_regs *regs)                                    \
	{                                                                                          \
		(void)regs;                                                                        \
		return sys_##name params32;                                                        \
	}

#define SYSCALL_DEFINE0(name)                                                                      \
	static int64_t sys_##name(void);                                                           \
	SYSCALL_ENTRIES(name, (), ())                                                              \
	static int64_t sys_##name(void)

#define SYSCALL_DEFINE1(name, t1, a1)                                                              \
	static int64_t sys_##name(t1 a1);                                                          \
	SYSCALL_ENTRIES(name, ((t1)regs->rdi), ((t1)(uint32_t)regs->rbx))                          \
	static int64_t sys_##name(t1 a1)

#define SYSCALL_DEFINE2(name, t1, a1, t2, a2)                                                      \
	static int64_t sys_##name(t1 a1, t2 a2);                                                   \
	SYSCALL_ENTRIES(name, ((t1)regs->rdi, (t2)regs->rsi),                                      \
	                ((t1)(uint32_t)regs->rbx, (t2)(uint32_t)regs->rcx))                        \
	static int64_t sys_##name(t1 a1, t2 a2)

#define SYSCALL_DEFINE3(name, t1, a1, t2, a2, t3, a3)                                              \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3);                                            \
	SYSCALL_ENTRIES(                                                                           \
	    name, ((t1)regs->rdi, (t2)regs->rsi, (t3)regs->rdx),                                   \
	    ((t1)(uint32_t)regs->rbx, (t2)(uint32_t)regs->rcx, (t3)(uint32_t)regs->rdx))           \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3)

#define SYSCALL_DEFINE4(name, t1, a1, t2, a2, t3, a3, t4, a4)                                      \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4);                                     \
	SYSCALL_ENTRIES(name, ((t1)regs->rdi, (t2)regs->rsi, (t3)regs->rdx, (t4)regs->r10),        \
	                ((t1)(uint32_t)regs->rbx, (t2)(uint32_t)regs->rcx,                         \
	                 (t3)(uint32_t)regs->rdx, (t4)(uint32_t)regs->rsi))                        \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4)

/* Where 32-bit code has its arguments elsewhere (SYSCALL, SYSENTER) there is no fifth and sixth. */
#define SYSCALL_DEFINE6(name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5, t6, a6)                      \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4, t5 a5, t6 a6);                       \
	SYSCALL_ENTRIES(name,                                                                      \
	                ((t1)regs->rdi, (t2)regs->rsi, (t3)regs->rdx, (t4)regs->r10,               \
	                 (t5)regs->r8, (t6)regs->r9),                                              \
	                ((t1)(uint32_t)regs->rbx, (t2)(uint32_t)regs->rcx,                         \
	                 (t3)(uint32_t)regs->rdx, (t4)(uint32_t)regs->rsi,                         \
	                 (t5)(uint32_t)regs->rdi, (t6)(uint32_t)regs->rbp))                        \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4, t5 a5, t6 a6)

#endif
