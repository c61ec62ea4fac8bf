/* What became of a trace: the tracer fills it in, and the report tells it. */
#ifndef VMM_INSTRUMENTS_TRACE_FIGURES_H
#define VMM_INSTRUMENTS_TRACE_FIGURES_H

#include <stdint.h>

struct trace_figures {
	const char *file; /* NULL: there was no trace */
	uint64_t events;  /* written to it ... */
	uint64_t dropped; /* ... not written, because it was full */
	uint64_t lost;    /* ... that the guest's ring had no room for */
};

#endif
