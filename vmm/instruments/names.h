/*
 * Names for addresses of the guest that runs: from --symbols, else from its own file, else, of a
 * kernel whose file has none (Debian's vmlinuz), from the kallsyms tables that lie in its RAM.
 * Where the kernel has moved itself (KASLR), its entries say how far (vmm/look/entries.h).
 */
#ifndef VMM_INSTRUMENTS_NAMES_H
#define VMM_INSTRUMENTS_NAMES_H

#include "vmm/look/symbols.h"
#include "vmm/run/machine.h"

/* As of now; no CPU may run meanwhile.  What is found is the caller's; there may be none.  `cpu`:
 * whose entries are asked. */
struct symbols names_read(const struct machine *machine, const struct cpu *cpu);

#endif
