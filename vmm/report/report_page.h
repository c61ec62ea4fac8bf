/* --report: takes what the page of vmm/report/report_html.h shows out of a machine whose run has
 * ended. */
#ifndef VMM_REPORT_PAGE_H
#define VMM_REPORT_PAGE_H

#include <stdbool.h>

#include "vmm/machine.h"
#include "vmm/report/report.h"

struct recorder; /* vmm/trace/recorder.h */

/* Writes options->report_file.  False after a message. */
bool report_page(struct machine *machine, const struct recorder *recorder,
                 const struct report_input *report);

#endif
