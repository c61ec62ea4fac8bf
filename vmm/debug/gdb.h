/*
 * A gdb remote stub: gdb guest.elf -ex 'target remote :PORT'.
 *
 * The guest waits for gdb before its first instruction.  When gdb detaches, or its connection ends,
 * the guest runs on by itself, at full speed; the next gdb that connects stops it where it is.
 */
#ifndef VMM_GDB_H
#define VMM_GDB_H

#include <stdbool.h>

#include "vmm/machine.h"

/* Where to listen: "PORT", "HOST:PORT" or "[HOST]:PORT", on this machine's own loopback (without a
 * host: 127.0.0.1; port 0: any free one); "any:PORT" or "any:HOST:PORT", where others can reach it
 * too (without a host: 0.0.0.0); or the path of a UNIX socket, which has a slash in it, and which
 * only its owner may connect to.  False after a message when the text is none of these. */
bool gdb_check_address(const char *text);

/* Listens, waits for gdb, and runs the guest as gdb says, to its end: machine->outcome. */
void gdb_run(struct machine *machine, const char *address);

#endif
