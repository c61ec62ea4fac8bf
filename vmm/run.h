/* The run loop: one system call an exit. */
#ifndef VMM_RUN_H
#define VMM_RUN_H

#include <stdbool.h>

#include "vmm/machine.h"

/* One KVM_RUN, and the service of what it came back with.  False: the run is over. */
bool run_once(struct machine *machine);
/* Runs the guest until it ends, dies, or is stopped; machine->outcome says which.  Console output
 * is flushed and the statistics are stopped. */
void run_guest(struct machine *machine);

#endif
