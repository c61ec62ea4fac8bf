/* gdb's "monitor" commands: what only the VMM can tell. */
#ifndef VMM_INSTRUMENTS_GDB_GDB_MONITOR_H
#define VMM_INSTRUMENTS_GDB_GDB_MONITOR_H

#include <stdio.h>

#include "vmm/engine/engine.h"

/* Does one command (any text) and writes what is to be shown. */
void gdb_monitor(FILE *out, struct engine *engine, const char *command);

#endif
