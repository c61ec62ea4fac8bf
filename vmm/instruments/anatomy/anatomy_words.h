/* What a processor does between two instructions, in words. */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_WORDS_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/engine/code.h"
#include "vmm/engine/engine.h"
#include "vmm/instruments/anatomy/anatomy_rows.h"
#include "vmm/look/symbols.h"

/* One instruction has run, or has ended at an entry of ring 0. */
struct anatomy_moment {
	const struct engine *engine;           /* the state now */
	const struct engine_instruction *insn; /* the one that ran ... */
	const struct kvm_regs *regs;           /* ... and the state before it */
	const struct kvm_sregs *sregs;
	const struct anatomy_stacks *stacks;
	bool was_user_root, is_user_root;
	bool exited; /* it was an exit to the VMM */
};

/* The words, the caller's to free; NULL when the instruction did no more than its name says, or
 * without memory.  *moved grows by the words of frames that the processor pushed or popped. */
char *anatomy_tell(const struct anatomy_moment *moment, const struct symbols *symbols,
                   uint64_t *moved);

#endif
