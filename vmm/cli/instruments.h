/* All instruments, in a table: what looks at a run is one row in instruments.c. */
#ifndef VMM_CLI_INSTRUMENTS_H
#define VMM_CLI_INSTRUMENTS_H

#include <stdbool.h>

#include "vmm/cli/options.h"
#include "vmm/instruments/instrument.h"

/* Whether what is asked of them makes sense: each by itself, and that one at most drives the run.
 * What they want of the machine goes into options->plan.  False after a message. */
bool instruments_check(struct options *options);
/* False after a message: the guest is not to run. */
bool instruments_begin(struct options *options, struct machine *machine);
/* Runs the guest to its end, by the one that drives it or the plain loop.  False after a message:
 * what it was to show is missing. */
bool instruments_drive(struct options *options, struct machine *machine);
/* The worst of what they say. */
enum instrument_result instruments_end(struct options *options, struct machine *machine);
void instruments_free(struct options *options);

#endif
