/* --inspect: runs the guest and shows the vCPU's state whenever the words of the option say so. */
#ifndef VMM_INSPECT_RUN_H
#define VMM_INSPECT_RUN_H

#include "vmm/debug/debug.h"
#include "vmm/debug/debug_code.h"
#include "vmm/debug/inspect.h"
#include "vmm/instrument.h"
#include "vmm/machine.h"

struct inspect_request {
	const char *when; /* in the words of inspect_when.h; NULL: never */
};

extern const struct instrument inspect_instrument;

/* The state of the stopped vCPU, all but number, exits, kind and why.  False after a message. */
bool inspect_take(struct debug *debug, struct debug_code *code, const struct symbols *symbols,
                  struct inspect_state *state);

#endif
