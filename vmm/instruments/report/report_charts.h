/* The pictures of the HTML report, each an SVG that the style sheet of report_html.c colours. */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_CHARTS_H
#define VMM_INSTRUMENTS_REPORT_REPORT_CHARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/abi.h"
#include "vmm/instruments/report/timeline.h"
#include "vmm/look/space_rows.h"

enum { CHART_WIDTH = 860 };

#define RECORD_PERCENT "percent" /* the unit of what KPTI adds to something */

/* The value that stands for a record: its median, else the first there is of min, p90, p99, max. */
double record_value(const struct rs_record *record);
/* "KPTI off", "KPTI, PCID", "KPTI, no PCID", ""; RS_PTI_* or RS_RECORD_NO_MODE. */
const char *record_mode_name(uint32_t mode);

/* Exits over time, stacked by kind.  slot_ns: what a slot of the timeline stands for. */
void chart_exits(FILE *out, const struct timeline *timeline, double slot_ns);
/* Bars of all records with this unit that are no points of a curve, by name and mode.  tsc_khz: to
 * tell nanoseconds beside; 0: unknown. */
void chart_bars(FILE *out, const struct rs_record *records, unsigned count, const char *unit,
                uint64_t tsc_khz);
/* The curves of all records with this name, unit and x_unit, one for each mode. */
void chart_curves(FILE *out, const struct rs_record *records, unsigned count,
                  const struct rs_record *which);
/* Both roots side by side. */
void chart_spaces(FILE *out, const struct space_rows *spaces);

#endif
