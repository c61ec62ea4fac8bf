/* --trace: an observer of the machine, which passes on to a trace what it is told. */
#ifndef VMM_INSTRUMENTS_TRACE_TRACER_H
#define VMM_INSTRUMENTS_TRACE_TRACER_H

#include <stdint.h>

#include "vmm/base/outfile.h"
#include "vmm/instruments/instrument.h"
#include "vmm/instruments/trace/trace.h"
#include "vmm/instruments/trace_figures.h"
#include "vmm/run/observer.h"

struct tracer {
	struct observer observer;
	struct outfile file; /* closed and without a name: no trace is wanted */
	uint64_t limit;      /* bytes, TRACE_LIMIT_MIN to TRACE_LIMIT_MAX */

	struct trace_figures figures; /* when the run has ended */
	struct trace trace;
	uint64_t exits_seen[RS_MAX_CPUS]; /* of each CPU's ring in its statistics ... */
	uint64_t stops_seen[RS_MAX_CPUS]; /* ... and of a debugger's, there */
};

/* Begins the trace when the machine can run, with rings from the end of the guest's RAM. */
extern const struct instrument trace_instrument;

#endif
