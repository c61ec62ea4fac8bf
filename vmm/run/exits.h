/* What each return from KVM_RUN means, and what is done about it: the one dispatcher. */
#ifndef VMM_RUN_EXITS_H
#define VMM_RUN_EXITS_H

#include <stdbool.h>

#include "vmm/run/machine.h"

/* Serves the exit in cpu->vcpu.run.  False: the run is over, see machine->outcome, or this CPU has
 * halted for ever. */
bool exit_dispatch(struct cpu *cpu);

#endif
