/*
 * The state of a vCPU at one moment, as values, and what can be asked about it: for --inspect, for
 * a debugger, for a test.  Stands alone: no KVM call, no guest memory; whoever has them fills the
 * struct.
 */
#ifndef VMM_LOOK_STATE_TEXT_H
#define VMM_LOOK_STATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>
#include <linux/kvm.h>

#include "vmm/base/state.h"
#include "vmm/look/symbols.h"

struct inspect_state {
	struct vcpu_state vcpu; /* all but FPU and debug registers */
	char instruction[192];  /* the one at RIP, disassembled; "" when it cannot be read */
	uint64_t number;        /* of this stop, from 1 */
	uint64_t exits;         /* returns from KVM_RUN so far */
	unsigned cpu;           /* where it stopped ... */
	bool several;           /* ... if there is more than one */
	char kind[16];          /* "vector", "syscall", ...: the WHEN that it answers */
	char why[224];          /* the reason in words */
};

/* ---- Questions ------------------------------------------------------------------------------- */

/* "CS 002b base 0 limit ffffffff DPL 3 code, 64-bit".  Returns buf. */
const char *inspect_segment_text(const struct kvm_segment *segment, char *buf, size_t size);
/* What waits to be delivered, or is held back: "#PF injected, error code 0x4; NMIs masked"; "none".
 * Returns buf. */
const char *inspect_events_text(const struct kvm_vcpu_events *events, char *buf, size_t size);

/* One register that differs. */
struct inspect_change {
	const char *name;
	uint64_t old, new;
};
enum { INSPECT_CHANGES_MAX = 64 };
/* What differs between two states, in a fixed order; how many. */
size_t inspect_changes(const struct inspect_state *old, const struct inspect_state *new,
                       struct inspect_change changes[INSPECT_CHANGES_MAX]);

/* ---- All of it ---------------------------------------------------------------------------------
 */

/* For a person, some 35 lines.  previous: of the last stop, or NULL. */
void inspect_print(FILE *out, const struct inspect_state *state,
                   const struct inspect_state *previous, const struct symbols *symbols);
/* For a program: a new reference; NULL without memory.  64-bit values are strings "0x...". */
json_t *inspect_json(const struct inspect_state *state, const struct inspect_state *previous,
                     const struct symbols *symbols);

#endif
