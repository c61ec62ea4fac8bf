/* The CPUs but the first: each runs in a thread of its own, which exists from RS_CALL_START_CPU to
 * the end of the run. */
#ifndef VMM_THREADS_H
#define VMM_THREADS_H

#include <stdbool.h>

#include "vmm/machine.h"

/* Lets a CPU, not started before, run.  Under the machine's lock.  False after a message. */
bool threads_start(struct cpu *cpu);
/* For the main thread, without the lock: waits until all of them have ended. */
void threads_join(struct machine *machine);

#endif
