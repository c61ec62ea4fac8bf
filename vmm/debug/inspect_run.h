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

/* What happened at an entry of ring 0 that the guest has just come to, seen through what this KVM
 * makes of it. */
struct inspect_entry {
	enum { ENTRY_NONE, ENTRY_VECTOR, ENTRY_SYSCALL, ENTRY_COMPAT, ENTRY_SYSENTER } kind;
	unsigned vector;  /* ENTRY_VECTOR: the guest's, also where the KVM delivers another */
	unsigned arrived; /* the vector whose stub it came to; 256: none */
	bool from_user;
	bool quirk;               /* not as the manuals say */
	uint64_t rip;             /* of the instruction that caused it, or the one interrupted */
	struct debug_frame frame; /* ENTRY_VECTOR, and SYSCALL with a quirk */
};
struct inspect_entry inspect_entry(const struct debug *debug);
/* "SYSCALL 39 from ring 3 at 0x401234 <name>".  Returns buf. */
const char *inspect_entry_text(const struct debug *debug, const struct inspect_entry *entry,
                               const struct symbols *symbols, char *buf, size_t size);

#endif
