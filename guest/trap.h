/*
 * Exceptions, as entry.S hands them over: interrupts off, the kernel root in CR3, regs on this
 * stack. What is changed in *regs is what the interrupted code resumes with.
 */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include <stdint.h>

#include "shared/abi.h"

/* vector 0 to 255; regs->error is 0 for vectors without an error code. */
void trap(uint64_t vector, struct rs_regs *regs);
/* A process's registers that IRETQ refused to restore: the process's fault, whatever CPL says. */
void trap_iret(uint64_t vector, struct rs_regs *regs);

#endif
