/*
 * The kernel's words to the console.
 */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdarg.h>
#include <stdint.h>

/* Writes to the VMM's standard output.  Formats: %s, %u (uint64_t), %x (uint64_t, 0x...), %%. */
void print(const char *format, ...);
/* The same into a buffer; what has no room is left out.  Returns the bytes written; no 0 ends them.
 */
uint64_t console_format(char *buffer, uint64_t size, const char *format, va_list args);

#endif
