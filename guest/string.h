/*
 * The memory functions that the compiler itself may call, by string instructions: in ring 0 one of
 * those is cheaper than a loop on every host, and by far where ring 0 is interpreted.
 */
#ifndef GUEST_STRING_H
#define GUEST_STRING_H

#include <stddef.h>

void *memset(void *dst, int value, size_t size);
void *memcpy(void *restrict dst, const void *restrict src, size_t size);

#endif
