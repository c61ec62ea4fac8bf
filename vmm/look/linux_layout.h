/*
 * Names for the parts of Linux's kernel half (Documentation/arch/x86/x86_64/mm.rst), for a map of
 * it: where the kernel's own symbols and variables say they are, so that a randomised layout
 * (CONFIG_RANDOMIZE_MEMORY, which moves the direct map, vmalloc and vmemmap) is found as well.
 */
#ifndef VMM_LOOK_LINUX_LAYOUT_H
#define VMM_LOOK_LINUX_LAYOUT_H

#include <stdint.h>

#include "vmm/look/look.h"

enum { LINUX_RANGES = 16 };

struct linux_range {
	const char *name;
	uint64_t va, len; /* whole pages; may overlap others: the first of the list is the best */
};

/* Fills the list and returns how many; 0 of a kernel whose symbols are not Linux's.  The variables
 * are read through the kernel root; they are hostile, and may give any range. */
unsigned linux_layout(struct linux_range list[LINUX_RANGES], struct look *look);

#endif
