/* What crossings cost, and what KPTI adds, as the guest measured and reported it: two sections of
 * the HTML page. */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_COSTS_H
#define VMM_INSTRUMENTS_REPORT_REPORT_COSTS_H

#include <stdio.h>

#include "vmm/instruments/report/report.h"

/* What KPTI adds to the first thing that was measured in more than one mode; where the figures are
 * not the hardware's, that instead: the first thing read must be true by itself.  For a list: ends
 * its own item and begins another one, unless there is nothing to say. */
void report_costs_words(FILE *out, const struct report_input *in);
/* Nothing when there are no such figures. */
void report_costs(FILE *out, const struct report_input *in);
void report_overheads(FILE *out, const struct report_input *in);

#endif
