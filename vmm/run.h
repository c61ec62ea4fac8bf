/* The run loop: one system call an exit. */
#ifndef VMM_RUN_H
#define VMM_RUN_H

#include "vmm/machine.h"

/* Runs the guest until it ends, dies, or is stopped; machine->outcome says which.  Console output
 * is flushed and the statistics are stopped. */
void run_guest(struct machine *machine);

#endif
