/* The CPUs but the first: each runs in a thread of its own, which exists from RS_CALL_START_CPU to
 * the end of the run.  While a debugger drives them they have none. */
#ifndef VMM_RUN_THREADS_H
#define VMM_RUN_THREADS_H

#include <stdbool.h>

#include "vmm/run/machine.h"

/* Lets a CPU, not started before, run.  Under the machine's lock.  False after a message. */
bool threads_start(struct cpu *cpu);
/* When the debugger has let go: threads for those that were started meanwhile.  False after a
 * message. */
bool threads_take_over(struct machine *machine);
/* The reverse, for the main thread, when run_cpus has come back: waits until all of them have ended
 * since the machine is called back (machine.h) or the run is over. */
void threads_gather(struct machine *machine);
/* For the main thread, without the lock: waits until all of them have ended, and stops the
 * statistics of those that had no thread. */
void threads_join(struct machine *machine);

#endif
