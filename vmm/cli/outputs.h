/* The files that a run writes, opened together before the guest runs: what is wrong with one of
 * them is said then, while nothing is lost yet. */
#ifndef VMM_CLI_OUTPUTS_H
#define VMM_CLI_OUTPUTS_H

#include <stdbool.h>

#include "vmm/cli/options.h"

/* Opens those that the options name.  False after a message, and then all are closed: one of them
 * cannot be written, is an input as well, or is the same file as another. */
bool outputs_open(struct options *options);
/* Those that are still open, being of no use any more. */
void outputs_abandon(struct options *options);

#endif
