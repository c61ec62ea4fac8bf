/* --report: takes what the page of vmm/instruments/report/report_html.h shows out of a machine
 * whose run has ended. */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_PAGE_H
#define VMM_INSTRUMENTS_REPORT_REPORT_PAGE_H

#include <stdbool.h>

#include "vmm/base/outfile.h"
#include "vmm/instruments/report/report.h"
#include "vmm/instruments/report/timeline.h"
#include "vmm/run/machine.h"

/* Writes it into `out`, which is open, and puts it into its place.  False after a message. */
bool report_page(struct outfile *out, const struct machine *machine,
                 const struct timeline *timeline, const struct report_input *report);

#endif
