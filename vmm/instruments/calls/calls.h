/*
 * --calls: strace from outside.  The system calls, page faults and interrupts of the programs under
 * another kernel, by exits planted at the kernel's entries, and an INT3 where each call returns to.
 * The guest does not see them, unless it reads its own code or closes the gate of #BP to ring 3
 * (engine.h); and it is slowed down: each call costs some ten exits.
 *
 * --costs: what they take in ring 0, and the programs in ring 3 (costs.h), by the same exits and
 * others where a fault or an interrupt goes back to.
 *
 * Lines of text: when, in which address space (the CR3 of ring 3), what, and what came of it. Names
 * of calls are Linux's own, out of its sys_call_table and its symbols; a kernel that has none such
 * gets numbers.
 */
#ifndef VMM_INSTRUMENTS_CALLS_CALLS_H
#define VMM_INSTRUMENTS_CALLS_CALLS_H

#include "vmm/base/outfile.h"
#include "vmm/instruments/instrument.h"

struct calls_request {
	/* Closed and without a name: not wanted. */
	struct outfile file;  /* --calls */
	struct outfile costs; /* --costs */
};

extern const struct instrument calls_instrument;

#endif
