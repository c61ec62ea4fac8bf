/*
 * Crossings of ring 3 that somebody else has seen from outside (vmm/run/observer.h), in a trace: a
 * group with a track for each address space.
 *
 * A call is written when it has come back, and calls of one address space may overlap: its threads
 * make them, or a signal's handler inside of one.  Spans of a track must not, so such a call goes
 * to another track of the same address space.
 */
#ifndef VMM_INSTRUMENTS_TRACE_TRACE_CROSSINGS_H
#define VMM_INSTRUMENTS_TRACE_TRACE_CROSSINGS_H

#include <stdint.h>

#include "vmm/instruments/trace/trace_file.h"
#include "vmm/run/observer.h"

/* Tracks; what would need one more is an instant on the group's own. */
enum { TRACE_SPACES = 512 };

struct trace_crossings {
	unsigned count;
	struct trace_space {
		uint64_t root;
		uint64_t end; /* of its last span, nanoseconds */
	} spaces[TRACE_SPACES];
};

/* group: of the tracks.  zero: CLOCK_MONOTONIC, where the trace's time begins. */
void trace_crossings_write(struct trace_crossings *crossings, struct trace_file *file,
                           uint32_t group, uint64_t zero, const struct seen_crossing *crossing);

#endif
