/* What each return from KVM_RUN means, and what is done about it: the one dispatcher. */
#ifndef VMM_EXITS_H
#define VMM_EXITS_H

#include <stdbool.h>

#include "vmm/machine.h"

/* Serves the exit in machine->vcpu.run.  False: the run is over, see machine->outcome. */
bool exit_dispatch(struct machine *machine);

#endif
