/*
 * Changing the kernel's own text, before the first process runs.
 */
#ifndef GUEST_PATCH_H
#define GUEST_PATCH_H

#include <stddef.h>
#include <stdint.h>

/* Writes bytes over an instruction.  Its page is read-only, the direct map's view of the same frame
 * is not; the IRETQ to the first process serialises before the instruction runs (SDM 8.1.3).  Only
 * before other CPUs are started. */
void patch_text(uint64_t at, const void *bytes, size_t size);

#endif
