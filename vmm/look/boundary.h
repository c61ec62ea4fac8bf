/*
 * What the processor itself goes by when ring 3 enters ring 0, of any kernel: IDT, GDT and TSS,
 * the stacks that the TSS names, and where the gates, SYSCALL and SYSENTER lead (SDM volume 3,
 * 2.1, 6.14, 7.7).  From registers and memory alone.
 *
 * Found through CR3's tree: whatever root is in CR3, a processor that is to take an interrupt has
 * all of this mapped.  Everything read is hostile; the addresses may be any.
 */
#ifndef VMM_LOOK_BOUNDARY_H
#define VMM_LOOK_BOUNDARY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/pt.h"
#include "vmm/look/entries.h"
#include "vmm/look/look.h"

/* RSP0, and IST1 to IST7. */
enum { BOUNDARY_STACKS = 8 };

enum { BOUNDARY_IDT, BOUNDARY_GDT, BOUNDARY_TSS, BOUNDARY_TABLES };

struct boundary {
	/* The pages of each; len 0: the register holds none. */
	struct boundary_range {
		uint64_t va, len;
	} table[BOUNDARY_TABLES];
	/* Tops; 0: none, or an IST index that no present gate has. */
	uint64_t stack[BOUNDARY_STACKS];
	struct entries entries;
	/* LSTAR and its neighbours were given: else the gates are all that is known. */
	bool msrs;
};

/* *boundary is large: not for a small stack.  Before long mode there is nothing. */
void boundary_read(struct boundary *boundary, const struct look_moment *moment);

bool boundary_has_table(const struct boundary *boundary);
bool boundary_has_stack(const struct boundary *boundary);

/* "IDT", "GDT", "TSS" */
const char *boundary_table_name(unsigned table);
/* "RSP0 stack", "IST1 stack" ... */
const char *boundary_stack_name(unsigned stack);

/* How many addresses in [va, va + len) an entry leads to. */
unsigned boundary_entries(const struct boundary *boundary, uint64_t va, uint64_t len);

/* A stack as a tree maps it: from its top down to the first page that ring 0 cannot write. */
enum { BOUNDARY_STACK_MAX = 64 * 1024 };
struct boundary_stack {
	uint64_t len; /* whole pages; 0: not even the topmost one is there */
	bool guarded; /* there is such a page, at most BOUNDARY_STACK_MAX below the top */
};
struct boundary_stack boundary_stack_find(const struct pt *pt, uint64_t top);

#endif
