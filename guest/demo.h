/*
 * What only the kernel can show of itself, for the processes program: a thread that never leaves
 * ring 0, and a page of the kernel half that every address space sees as soon as it is mapped.
 */
#ifndef GUEST_DEMO_H
#define GUEST_DEMO_H

#include <stdint.h>

/* RS_THREAD_* and RS_KERNEL_PAGE_* of guest/uapi.h. */
int64_t demo_thread(uint32_t act);
int64_t demo_page(uint32_t act, uint64_t value);

#endif
