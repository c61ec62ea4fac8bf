/* What is left of a machine whose run is over: the report (--stats) and the page (--report), as the
 * options say. */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_RUN_H
#define VMM_INSTRUMENTS_REPORT_REPORT_RUN_H

#include <stdbool.h>

#include "vmm/base/outfile.h"
#include "vmm/instruments/instrument.h"
#include "vmm/instruments/report/timeline.h"
#include "vmm/instruments/trace_figures.h"
#include "vmm/run/observer.h"

struct report {
	struct observer observer; /* only for the page's timeline */
	enum stats_format stats;
	bool stats_given;
	struct outfile stats_file; /* without a name: standard output */
	struct outfile page;       /* without a name: none is wanted */
	const struct trace_figures *trace;
	struct timeline timeline;
};

extern const struct instrument report_instrument;

#endif
