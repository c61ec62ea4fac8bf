/*
 * What looks at a run: one struct instrument each, and one row in vmm/cli/instruments.c.
 *
 * An instrument has a struct of its own, `mine`: what its options asked for, which the option rows
 * fill in, and what it keeps while the guest runs.  No instrument sees another's.  It watches the
 * machine as an observer (observer.h), or drives it: steps and stops it instead of the plain run
 * loop.
 *
 * They are called in the order of the table: check, before anything is opened; begin, when the
 * machine can run; drive, of at most one; end, when the guest has ended.  What is NULL is left out,
 * and so is an instrument that nobody wants.
 */
#ifndef VMM_INSTRUMENTS_INSTRUMENT_H
#define VMM_INSTRUMENTS_INSTRUMENT_H

#include <stdbool.h>

#include "vmm/base/manner.h"
#include "vmm/boot/plan.h"
#include "vmm/run/machine.h"

enum instrument_result {
	INSTRUMENT_DONE,
	INSTRUMENT_FAULT, /* what it was to judge is not as it should be */
	INSTRUMENT_LOST,  /* after a message: what it was to show is missing */
};

struct instrument {
	const char *option; /* that asks for it, without dashes */
	bool (*wanted)(const void *mine);
	/* Whether what is asked for makes sense, and what it means for the plan.  False after a
	 * message. */
	bool (*check)(void *mine, struct plan *plan);
	/* False after a message: the guest is not to run. */
	bool (*begin)(void *mine, struct machine *machine, struct manner *manner);
	/* Runs the guest to its end: machine->outcome.  False after a message: what it was to show
	 * is missing. */
	bool (*drive)(void *mine, struct machine *machine, struct manner *manner);
	enum instrument_result (*end)(void *mine, struct machine *machine, struct manner *manner);
	void (*free)(void *mine); /* what it keeps; harmless if it never began */
};

#endif
