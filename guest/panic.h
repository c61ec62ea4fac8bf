/*
 * The kernel's last words.
 */
#ifndef GUEST_PANIC_H
#define GUEST_PANIC_H

#include "shared/abi.h"

/* Formats as print has them (guest/console.h).  The VMM shows them with the registers (NULL: none),
 * and ends. */
_Noreturn void panic(const struct rs_regs *regs, const char *format, ...);

#endif
