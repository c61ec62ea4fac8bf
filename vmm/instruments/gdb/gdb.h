/*
 * A gdb remote stub: gdb guest.elf -ex 'target remote :PORT'.
 *
 * The guest waits for gdb before its first instruction.  When gdb detaches, or its connection ends,
 * the guest runs on by itself, at full speed; the next gdb that connects stops it where it is.
 */
#ifndef VMM_INSTRUMENTS_GDB_GDB_H
#define VMM_INSTRUMENTS_GDB_GDB_H

#include "vmm/instruments/instrument.h"

struct gdb_request {
	const char *address; /* where to listen: see gdb_line.h; NULL: nowhere */
};

/* Listens, waits for gdb, and runs the guest as gdb says. */
extern const struct instrument gdb_instrument;

#endif
