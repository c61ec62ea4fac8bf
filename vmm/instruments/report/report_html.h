/*
 * --report: the run as one page of HTML that needs nothing else: no network, no scripts, pictures
 * as inline SVG, colours for light, dark and paper.  What it shows beyond the text report is what a
 * picture shows better: exits over time, costs by KPTI mode, the two address spaces.
 */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_HTML_H
#define VMM_INSTRUMENTS_REPORT_REPORT_HTML_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/abi.h"
#include "vmm/instruments/report/report.h"
#include "vmm/instruments/report/timeline.h"
#include "vmm/look/space_rows.h"

/* All pointers stay the caller's. */
struct report_html_input {
	const struct report_input *report;
	const struct timeline *timeline;
	const struct space_rows *spaces;
	const char
	    *user_root_from; /* when the user root was in force, in words; NULL: it is not known */
};

/* Write errors stay in `out`: see ferror. */
void report_html(FILE *out, const struct report_html_input *in);

#endif
