/*
 * System calls: the dispatchers and their two tables, for 64-bit code (SYSCALL) and i386's (INT
 * 0x80). How a call is defined: guest/syscall_define.h.
 */
#ifndef GUEST_SYSCALL_H
#define GUEST_SYSCALL_H

#include "shared/abi.h"

/* One dispatcher, two tables.  Returns what goes to the caller's RAX.  i386 numbers are 32 bits
 * wide: what ring 3 left above them in RAX is not part of the number (CVE-2007-4573). */
int64_t syscall64(const struct rs_regs *regs, uint64_t number);
int64_t syscall32(const struct rs_regs *regs, uint32_t number);

#endif
