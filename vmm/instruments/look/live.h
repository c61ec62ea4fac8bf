/*
 * --walk, --map, --audit and --core on a machine that runs: when they look, and at what.
 *
 * Nothing here is on the way of an ordinary exit: it observes marks, and those only for --at
 * mark=N.
 */
#ifndef VMM_INSTRUMENTS_LOOK_LIVE_H
#define VMM_INSTRUMENTS_LOOK_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/outfile.h"
#include "vmm/instruments/instrument.h"
#include "vmm/instruments/look/request.h"
#include "vmm/look/symbols.h"
#include "vmm/run/observer.h"

struct look_live {
	struct observer observer;
	struct look_request request;
	struct outfile core; /* without a name: none is wanted */

	struct machine *machine;
	const struct manner *manner;
	uint64_t began; /* the look that is under way, by clock_ns */
	struct symbols symbols;
	uint64_t marks; /* seen so far */
	bool looked;
	bool broken;  /* a rule of --audit was, at whatever time it was looked at */
	bool missing; /* something could not be done */
};

/* Looks at boot, at a mark, or at the end, when it writes the core too.  INSTRUMENT_FAULT: a rule
 * of
 * --audit is broken. */
extern const struct instrument look_instrument;

#endif
