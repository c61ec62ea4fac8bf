/* What has happened when the guest is stopped at one of its entries into ring 0. */
#ifndef VMM_ENGINE_ARRIVAL_H
#define VMM_ENGINE_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/engine/engine.h"
#include "vmm/look/symbols.h"

/* What happened at an entry of ring 0 that the guest has just come to, seen through what this KVM
 * makes of it. */
struct engine_arrival {
	enum { ENTRY_NONE, ENTRY_VECTOR, ENTRY_SYSCALL, ENTRY_COMPAT, ENTRY_SYSENTER } kind;
	unsigned vector;  /* ENTRY_VECTOR: the guest's, also where the KVM delivers another */
	unsigned arrived; /* the vector whose stub it came to; 256: none */
	bool from_user;
	bool quirk;                /* not as the manuals say */
	uint64_t rip;              /* of the instruction that caused it, or the one interrupted */
	struct engine_frame frame; /* ENTRY_VECTOR, and SYSCALL with a quirk */
};
struct engine_arrival engine_arrival(const struct engine *engine);
/* "SYSCALL 39 from ring 3 at 0x401234 <name>".  Returns buf. */
const char *engine_arrival_text(const struct engine *engine, const struct engine_arrival *entry,
                                const struct symbols *symbols, char *buf, size_t size);

#endif
