/* gdb's "monitor" commands: what only the VMM can tell. */
#ifndef VMM_INSTRUMENTS_GDB_GDB_MONITOR_H
#define VMM_INSTRUMENTS_GDB_GDB_MONITOR_H

#include <stdio.h>

#include "vmm/instruments/gdb/internal.h"

/* Does one command (any text) and writes what is to be shown. */
void gdb_monitor(FILE *out, struct gdb *gdb, const char *command);

/* Those about the way back (gdb_back.c). */
void gdb_monitor_checkpoint(FILE *out, struct gdb *gdb, const char *argument);
void gdb_monitor_back(FILE *out, struct gdb *gdb, const char *argument);
void gdb_monitor_history(FILE *out, struct gdb *gdb, const char *argument);

#endif
