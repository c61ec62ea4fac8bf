/* The reports of a run that is over: what the machine knows, put together and written to where the
 * options say. */
#ifndef VMM_REPORT_RUN_H
#define VMM_REPORT_RUN_H

#include <stdbool.h>

#include "vmm/machine.h"

struct recorder; /* vmm/trace/recorder.h */

/* Writes --stats and --report, both or one or none.  False after a message: one of them could not
 * be written. */
bool report_run(struct machine *machine, const struct recorder *recorder);

#endif
