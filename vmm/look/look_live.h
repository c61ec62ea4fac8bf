/*
 * --walk, --map, --audit and --core on a machine that runs: when they look, and at what.
 *
 * Nothing here is on the way of an ordinary exit: it observes marks, and those only for --at
 * mark=N.
 */
#ifndef VMM_LOOK_LIVE_H
#define VMM_LOOK_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/explain/symbols.h"
#include "vmm/observer.h"

struct machine;

/* All zero before. */
struct look_live {
	struct observer observer;
	struct machine *machine; /* NULL: nothing is asked for */
	uint64_t began;          /* the look that is under way, on stop_now's clock */
	struct symbols symbols;
	uint64_t marks; /* seen so far */
	bool looked;
	bool broken;  /* a rule of --audit was, at whatever time it was looked at */
	bool missing; /* something could not be done */
};

/* Before the guest's first instruction: checks the symbols, and looks if that was asked for now.
 *  After stop_install.  False after a message. */
bool look_live_begin(struct look_live *live, struct machine *machine);
/* The run is over: writes the core, and looks.  False, after a message, when something asked for is
 * missing. */
bool look_live_end(struct look_live *live);
void look_live_free(struct look_live *live);

#endif
