/* The run loop: one system call an exit. */
#ifndef VMM_RUN_RUN_H
#define VMM_RUN_RUN_H

#include <stdbool.h>

#include "vmm/run/machine.h"

/* One KVM_RUN, and the service of what it came back with.  False: the run is over, or this CPU has
 * halted for ever while others go on. */
bool run_once(struct cpu *cpu);
/* Lets it run, from the main thread: CPU 0 here and the others that were started in their threads,
 * until the run is over or CPU 0 has halted for ever. */
void run_cpus(struct machine *machine);
/* Ends the run for the stop request that there is (vmm/base/stop.h).  Always false, as machine_end.
 */
bool run_end_stopped(struct machine *machine);
/* Makes a machine with the devices that its guest's boot protocol promises.  False after a message;
 * run_destroy is due in both cases. */
bool run_create(struct machine *machine, const struct plan *plan);
/* After run_end, if that was due. */
void run_destroy(struct machine *machine);

/* Before run_cpus is called for the first time, by itself or by what steps and stops the guest.
 * False after a message; run_end is due in both cases. */
bool run_begin(struct machine *machine);
/* After the last time: no CPU runs any more then, console output is flushed and the statistics are
 * stopped.  machine->outcome says how the run ended. */
void run_end(struct machine *machine);

#endif
