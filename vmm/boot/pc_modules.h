/* The files that a PC's kernel finds in RAM beside itself: the initial RAM disk and modules. */
#ifndef VMM_BOOT_PC_MODULES_H
#define VMM_BOOT_PC_MODULES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/memory.h"
#include "vmm/boot/plan.h"

enum { PC_MODULES_MAX = 1 + PLAN_MODULES_MAX };

struct pc_modules {
	unsigned count;
	/* --initrd first, then each --module. */
	struct pc_module {
		uint64_t gpa, size; /* a page's begin; at least one byte */
		uint64_t words;     /* where its words are, which end with a 0; there may be none */
	} module[PC_MODULES_MAX];
};

/* Copies all of them into RAM from `bottom` (but 1 MiB at least) on and below `top` and the end of
 * low RAM, one after the other: as high as it goes, or, if `low`, as low; and their words to
 * PC_WORDS.  Without any the count is 0.  False after a message. */
bool pc_put_modules(const struct memory *memory, const struct plan *plan, uint64_t bottom,
                    uint64_t top, bool low, struct pc_modules *modules);

#endif
