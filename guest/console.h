/*
 * The kernel's words to the console, and its last ones.
 */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdint.h>

#include "shared/abi.h"

/* Writes to the VMM's standard output.  Formats: %s, %u (uint64_t), %x (uint64_t, 0x...), %%. */
void print(const char *format, ...);
/* The same as its last words: the VMM shows them with the registers (NULL: none), and ends. */
_Noreturn void panic(const struct rs_regs *regs, const char *format, ...);

#endif
