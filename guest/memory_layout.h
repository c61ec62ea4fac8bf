/*
 * Where things lie in a process's memory.
 */
#ifndef GUEST_MEMORY_LAYOUT_H
#define GUEST_MEMORY_LAYOUT_H

#include "guest/space.h"

#define STACK_TOP  (RS_USER_END - 16 * PAGE_SIZE)
#define STACK_SIZE (4 * PAGE_SIZE)
#define HEAP       0x10000000
#define HEAP_MAX   0x1000000
#define LOWEST     0x10000 /* Linux's vm.mmap_min_addr: null and what is near it stay unmapped */
/* Where places for mmap are looked for, downwards. */
#define MMAP_TOP      (STACK_TOP - 0x800000)
#define MMAP_TOP_I386 UINT64_C(0xffff0000)
#define MMAP_TOP_31   UINT64_C(0x80000000) /* MAP_32BIT */

#endif
