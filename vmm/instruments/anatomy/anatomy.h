/*
 * --anatomy: one crossing of the guest, instruction by instruction, from the last one of ring 3 to
 * the first one after the return, with what the processor itself does in between told in words.
 */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_H

#include "vmm/instruments/anatomy/anatomy_account.h"
#include "vmm/instruments/instrument.h"

struct anatomy_request {
	/* "syscall" and the others of the table in anatomy_find.c; some also with "=NUMBER" of the
	 * system call; NULL: none */
	const char *crossing;
	const char *beside;     /* the file that an earlier run has written; NULL: none */
	struct account earlier; /* ... and what it has; the instrument's own */
};

/* Writes the account as soon as the crossing is over; the guest runs on to its end. */
extern const struct instrument anatomy_instrument;

#endif
