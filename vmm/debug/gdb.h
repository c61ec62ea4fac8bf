/*
 * A gdb remote stub: gdb guest.elf -ex 'target remote :PORT'.
 *
 * One session a run.  The guest waits for it before its first instruction.  When gdb detaches, or
 * its connection ends, the guest runs on by itself.
 */
#ifndef VMM_GDB_H
#define VMM_GDB_H

#include <stdbool.h>

#include "vmm/machine.h"

/* Where to listen: "PORT", "HOST:PORT" or "[HOST]:PORT" (without a host: 127.0.0.1; port 0: any
 * free one), or the path of a UNIX socket, which has a slash in it.  False after a message when the
 * text is none of these. */
bool gdb_check_address(const char *text);

/* Listens, waits for gdb, and runs the guest as gdb says, to its end: machine->outcome. */
void gdb_run(struct machine *machine, const char *address);

#endif
