/* --inspect: runs the guest and shows the vCPU's state whenever the words of the option say so. */
#ifndef VMM_INSTRUMENTS_INSPECT_INSPECT_H
#define VMM_INSTRUMENTS_INSPECT_INSPECT_H

#include "vmm/engine/code.h"
#include "vmm/engine/engine.h"
#include "vmm/instruments/instrument.h"
#include "vmm/look/state_text.h"
#include "vmm/run/machine.h"

struct inspect_request {
	const char *when; /* in the words of inspect_when.h; NULL: never */
};

extern const struct instrument inspect_instrument;

/* The state of the stopped vCPU, all but number, exits, kind and why.  False after a message. */
bool inspect_take(struct engine *engine, struct engine_code *code, const struct symbols *symbols,
                  struct inspect_state *state);

#endif
