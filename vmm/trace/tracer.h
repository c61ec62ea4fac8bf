/* --trace: an observer of the machine, which passes on to a trace what it is told. */
#ifndef VMM_TRACER_H
#define VMM_TRACER_H

#include <stdint.h>

#include "vmm/instrument.h"
#include "vmm/observer.h"
#include "vmm/outfile.h"
#include "vmm/trace/trace.h"
#include "vmm/trace_figures.h"

struct tracer {
	struct observer observer;
	struct outfile file; /* closed and without a name: no trace is wanted */
	uint64_t limit;      /* bytes, TRACE_LIMIT_MIN to TRACE_LIMIT_MAX */

	struct trace_figures figures; /* when the run has ended */
	struct trace trace;
	uint64_t exits_seen[RS_MAX_CPUS]; /* of each CPU's ring in its statistics */
};

/* Begins the trace when the machine can run, with rings from the end of the guest's RAM. */
extern const struct instrument trace_instrument;

#endif
