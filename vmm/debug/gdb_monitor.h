/* gdb's "monitor" commands: what only the VMM can tell. */
#ifndef VMM_GDB_MONITOR_H
#define VMM_GDB_MONITOR_H

#include <stdio.h>

#include "vmm/debug/debug.h"

/* Does one command (any text) and writes what is to be shown. */
void gdb_monitor(FILE *out, struct debug *debug, const char *command);

#endif
