/*
 * What a run leaves behind in time, for --trace and --report: the run loop tells of each exit, and
 * this passes it on to who asked.  A machine without either option has no recorder, and pays one
 * test of a pointer an exit.
 */
#ifndef VMM_RECORDER_H
#define VMM_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/machine.h"
#include "vmm/trace/timeline.h"
#include "vmm/trace/trace.h"

struct recorder {
	bool tracing;
	struct trace trace; /* if tracing */
	struct timeline timeline;
	uint64_t exits_seen[RS_MAX_CPUS]; /* of each CPU's ring in its statistics */
};

/* Once the machine can run: opens the trace, and takes its ring from the end of the guest's RAM.
 * Does nothing when the options ask for neither.  False after a message. */
bool recorder_start(struct machine *machine);
/* The exit that KVM_RUN, entered at the time stamp `entered`, came back with has been served. */
void recorder_exit(struct cpu *cpu, uint64_t entered);
/* A mark was stored. */
void recorder_mark(struct cpu *cpu, unsigned slot, const struct rs_mark *mark);
/* After the run: closes the trace.  False after a message when it could not be written. */
bool recorder_finish(struct machine *machine);
/* Harmless without a recorder. */
void recorder_free(struct machine *machine);

#endif
