/*
 * The address space of shared/abi.h as a table.  The boot builds from it, the loader keeps images
 * off it, and whoever looks at a guest takes names from it.
 *
 *     VA                                   rights  filled by  which roots
 *     ffff8880_00000000  direct map          rw-   VMM        kernel
 *     ffffc900_00000000  kernel stacks       rw-   guest      kernel
 *     ffffffff_80000000  image                     image      kernel
 *     ffffffff_a0000000  one CPU's pages     rw-   VMM        kernel
 *     ffffffff_b0000000  boot page           r--   VMM        kernel
 *     ffffffff_c0000000  entry text                image      kernel, user
 *     ffffffff_cff00000  IDT                 r--   VMM        kernel, user
 *     ffffffff_d0000000  one CPU's entry     rw-   VMM        kernel, user
 *
 *     a CPU's pages, from RS_KERNEL_CPU(n)    its entry area, from RS_ENTRY_CPU(n)
 *
 *     00000  statistics page                  00000  entry words
 *     01000  call pages                       01000  GDT
 *     03000  (guard)                          02000  TSS
 *     05000  boot stack                       03000  (guard)
 *     07000  (guard)                          04000  entry stack
 *     20000  the next CPU's                   05000  (guard)
 *                                             06000  IST1 stack
 *                                             08000  (guard), and so on to
 *                                             18000  IST7 stack
 *                                             1a000  (guard)
 *                                             20000  the next CPU's
 */
#ifndef VMM_BASE_LAYOUT_H
#define VMM_BASE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/pt.h"

enum layout_filler { LAYOUT_BY_VMM, LAYOUT_BY_GUEST, LAYOUT_BY_IMAGE };

/* The kernel half, by address. */
enum {
	LAYOUT_DIRECT,
	LAYOUT_STACKS,
	LAYOUT_IMAGE,
	LAYOUT_KERNEL_CPU,
	LAYOUT_BOOT_PAGE,
	LAYOUT_ENTRY_TEXT,
	LAYOUT_IDT,
	LAYOUT_ENTRY_CPU,
	LAYOUT_REGIONS
};

extern const struct layout_region {
	const char *name;
	uint64_t va, size;
	enum layout_filler filler;
	uint32_t rights; /* PT_WRITE, PT_EXEC; of an image its segments say */
	bool entry;      /* in the entry area: a user root maps it too */
} layout_regions[LAYOUT_REGIONS];

/* Stacks: a process's, and those that a CPU has. */
enum layout_stack {
	LAYOUT_STACK_NONE,
	LAYOUT_STACK_KERNEL,
	LAYOUT_STACK_BOOT,
	LAYOUT_STACK_ENTRY,
	LAYOUT_STACK_IST, /* + 1 to 7 */
};

/* What every CPU has of its own.  What is not listed stays unmapped: a stack that overflows faults.
 */
enum { LAYOUT_PARTS = 14 };
extern const struct layout_part {
	const char *name;
	uint16_t region;       /* LAYOUT_KERNEL_CPU or LAYOUT_ENTRY_CPU; it has the rights */
	uint16_t stack;        /* enum layout_stack */
	uint32_t offset, size; /* in the CPU's RS_CPU_STRIDE bytes of the region */
} layout_parts[LAYOUT_PARTS];

/* Where the CPU has it; cpu is below RS_MAX_CPUS. */
uint64_t layout_part_va(const struct layout_part *part, unsigned cpu);

/* Which stack RSP is on, of any CPU.  What is pushed next lies below RSP: a stack's top belongs to
 * it, and its first byte does not. */
enum layout_stack layout_stack_of(uint64_t rsp);

#endif
