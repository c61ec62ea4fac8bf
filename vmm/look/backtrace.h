/* Which calls led here: the addresses on a stack that stand behind a CALL.  Kernels keep no chain
 * of frames that could be followed everywhere, so some of these may be of calls that are over. */
#ifndef VMM_LOOK_BACKTRACE_H
#define VMM_LOOK_BACKTRACE_H

#include <stdio.h>

#include "vmm/look/symbols.h"
#include "vmm/look/view.h"

/* In long mode, from RSP on to the end of mapped memory and BACKTRACE_BYTES at most: a line each
 * for up to BACKTRACE_ROWS.  Returns how many. */
enum { BACKTRACE_BYTES = 8192, BACKTRACE_ROWS = 24 };
unsigned backtrace_print(FILE *out, const struct view *view, const struct symbols *symbols);

#endif
