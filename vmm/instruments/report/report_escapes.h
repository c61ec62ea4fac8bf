/* The escape table of the HTML page: what the guest tried at the boundary, what the manuals
 * promise, and what came. */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_ESCAPES_H
#define VMM_INSTRUMENTS_REPORT_REPORT_ESCAPES_H

#include <stdio.h>

#include "shared/abi.h"

/* In one sentence: how many there were of which verdict. */
void report_escapes_words(FILE *out, const struct rs_escape *rows, unsigned count);
/* A section; nothing when there are no rows.  Rows of one attempt that came to the same in several
 * KPTI modes are one. */
void report_escapes(FILE *out, const struct rs_escape *rows, unsigned count);

#endif
