/* The options that stop or step the guest: one of them drives the run instead of the plain loop. */
#ifndef VMM_DEBUGGER_H
#define VMM_DEBUGGER_H

#include <stdbool.h>

#include "vmm/machine.h"
#include "vmm/options.h"

/* Whether --gdb, --inspect, --anatomy or --torture was given. */
bool debugger_wanted(const struct options *options);
/* Whether what was given of them makes sense.  False after a message. */
bool debugger_check(const struct options *options);
/* Runs the guest to its end; machine->outcome says which. */
void debugger_run(struct machine *machine);

#endif
