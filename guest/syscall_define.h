/*
 * How a system call is defined: once, with SYSCALL_DEFINEn, and listed once, with its number in the
 * 64-bit table (SYSCALL) and in the i386 table (INT 0x80): Linux's in SYSCALLS of syscall.c,
 * Ringscope's own in OWN_SYSCALLS of own_calls.h.
 *
 *     SYSCALL_DEFINE3(write, uint32_t, fd, uint64_t, buffer, uint64_t, count)
 *     {
 *             ...
 *     }
 *
 * makes the function that both tables hold, call_write.  It takes its arguments from RDI RSI RDX
 * R10 R8 R9 of the registers it is given; of an i386 call, whose arguments are in EBX ECX EDX ESI
 * EDI EBP, these are a copy with the arguments moved there, and no upper half that ring 3 chose.
 * Results are negative errno values or what the call returns.  No argument is trusted.
 */
#ifndef GUEST_SYSCALL_DEFINE_H
#define GUEST_SYSCALL_DEFINE_H

#include "shared/abi.h"

typedef int64_t syscall_fn(const struct rs_regs *regs);

#define SYSCALL_ENTRY(name, count, call)                                                           \
	enum { SYSCALL_ARGUMENTS_##name = count };                                                 \
	syscall_fn call_##name;                                                                    \
	int64_t call_##name(const struct rs_regs *regs)                                            \
	{                                                                                          \
		(void)regs;                                                                        \
		return sys_##name call;                                                            \
	}

#define SYSCALL_DEFINE0(name)                                                                      \
	static int64_t sys_##name(void);                                                           \
	SYSCALL_ENTRY(name, 0, ())                                                                 \
	static int64_t sys_##name(void)

#define SYSCALL_DEFINE1(name, t1, a1)                                                              \
	static int64_t sys_##name(t1 a1);                                                          \
	SYSCALL_ENTRY(name, 1, ((t1)regs->rdi))                                                    \
	static int64_t sys_##name(t1 a1)

#define SYSCALL_DEFINE2(name, t1, a1, t2, a2)                                                      \
	static int64_t sys_##name(t1 a1, t2 a2);                                                   \
	SYSCALL_ENTRY(name, 2, ((t1)regs->rdi, (t2)regs->rsi))                                     \
	static int64_t sys_##name(t1 a1, t2 a2)

#define SYSCALL_DEFINE3(name, t1, a1, t2, a2, t3, a3)                                              \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3);                                            \
	SYSCALL_ENTRY(name, 3, ((t1)regs->rdi, (t2)regs->rsi, (t3)regs->rdx))                      \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3)

#define SYSCALL_DEFINE4(name, t1, a1, t2, a2, t3, a3, t4, a4)                                      \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4);                                     \
	SYSCALL_ENTRY(name, 4, ((t1)regs->rdi, (t2)regs->rsi, (t3)regs->rdx, (t4)regs->r10))       \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4)

#define SYSCALL_DEFINE5(name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5)                              \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4, t5 a5);                              \
	SYSCALL_ENTRY(name, 5,                                                                     \
	              ((t1)regs->rdi, (t2)regs->rsi, (t3)regs->rdx, (t4)regs->r10, (t5)regs->r8))  \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4, t5 a5)

/* Where 32-bit code has its arguments elsewhere (SYSCALL, SYSENTER) there is no fifth and sixth. */
#define SYSCALL_DEFINE6(name, t1, a1, t2, a2, t3, a3, t4, a4, t5, a5, t6, a6)                      \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4, t5 a5, t6 a6);                       \
	SYSCALL_ENTRY(name, 6,                                                                     \
	              ((t1)regs->rdi, (t2)regs->rsi, (t3)regs->rdx, (t4)regs->r10, (t5)regs->r8,   \
	               (t6)regs->r9))                                                              \
	static int64_t sys_##name(t1 a1, t2 a2, t3 a3, t4 a4, t5 a5, t6 a6)

#endif
