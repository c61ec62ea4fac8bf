/*
 * What a run leaves behind in time, for --trace and --report: an observer of the machine that
 * passes on what it is told to who asked.
 */
#ifndef VMM_RECORDER_H
#define VMM_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/machine.h"
#include "vmm/trace/timeline.h"
#include "vmm/trace/trace.h"

struct recorder {
	struct observer observer;
	struct machine *machine; /* NULL: neither option was given */
	bool tracing;
	struct trace trace; /* if tracing */
	struct timeline timeline;
	uint64_t exits_seen[RS_MAX_CPUS]; /* of each CPU's ring in its statistics */
};

/* Once the machine can run: begins the trace, takes its rings from the end of the guest's RAM, and
 * watches.  Does nothing when the options ask for neither. */
void recorder_start(struct recorder *recorder, struct machine *machine);
/* After the run: ends the trace.  False after a message when it could not be written. */
bool recorder_finish(struct recorder *recorder);

#endif
