/*
 * The state of a guest at one moment, seen from outside: what of the processor and of the kernel's
 * own memory an event that was survived may not have changed.  Taken where the guest calls, twice
 * in the same way, the two must be equal.
 */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_STATE_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "shared/abi.h"
#include "vmm/engine/engine.h"

enum {
	TORTURE_DIFFERENCES = 16, /* kept; there may be more */
	TORTURE_STACK_WORDS = 1024,
};

struct torture_state {
	/* What ring 3 sees too, or nothing in the guest writes, is there only when asked for: FPU,
	 * debug registers (DR6 remembers the last #DB and is not compared), MSRs but
	 * KERNEL_GS_BASE. */
	bool all;
	struct vcpu_state vcpu;
	uint64_t words[PAGE_SIZE / 8]; /* of the entry code (struct cpu) */
	uint64_t gdt[RS_GDT_ENTRIES];
	uint64_t tss[(RS_TSS_LIMIT + 1) / 8 + 1];
	uint64_t stack[TORTURE_STACK_WORDS]; /* from RSP up to the end of its page */
	size_t stack_words;
	struct rs_stats counts;
};

struct torture_difference {
	char name[40];
	uint64_t got, want;
};
struct torture_differences {
	struct torture_difference list[TORTURE_DIFFERENCES];
	size_t count; /* more than are kept, perhaps */
};
void torture_differ(struct torture_differences *to, const char *name, uint64_t got, uint64_t want);

/* Of the stopped vCPU.  False: something cannot be read. */
bool torture_state_take(struct engine *engine, struct torture_state *state, bool all);
/* Adds what differs, but for the counts; general registers and the stack only with `same_numbers`:
 * there are rounds that get other process numbers, PCIDs, ... each time. */
void torture_state_compare(const struct torture_state *got, const struct torture_state *want,
                           bool same_numbers, struct torture_differences *to);

/* ---- Counts ---------------------------------------------------------------------------------- */

/* What is counted between two moments. */
struct torture_counts {
	uint64_t word[sizeof(struct rs_stats) / 8];
};
struct torture_counts torture_counts_between(const struct rs_stats *before,
                                             const struct rs_stats *after);
/* One entry more by this vector, 0x80 from outside; from ring 3 it takes two writes of CR3 under
 * KPTI, and an exception is a fault of ring 3's. */
void torture_counts_add(struct torture_counts *counts, unsigned vector, bool ring3, bool kpti);
/* Makes `counts`, which was taken for `want`, what it must have been for `got`. */
void torture_counts_adjust(struct torture_counts *counts, const struct torture_counts *want,
                           const struct torture_counts *got);
void torture_counts_compare(const struct torture_counts *got, const struct torture_counts *want,
                            bool same_numbers, struct torture_differences *to);

#endif
