/*
 * Why a guest died, in words, with what is needed to find the place: registers, the code around
 * RIP, the page-table walks of the addresses that matter, whether an exception could have been
 * delivered at all, and the last exits.
 *
 * Pure: registers and guest memory come in as values, so a unit test needs no KVM.  Everything in
 * guest memory, the guest's file and its messages is hostile: any content gives some text and
 * nothing else.
 */
#ifndef VMM_INSTRUMENTS_DEATH_DIAGNOSE_H
#define VMM_INSTRUMENTS_DEATH_DIAGNOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <linux/kvm.h>

#include "shared/abi.h"
#include "shared/pt.h"
#include "vmm/base/memory.h"
#include "vmm/look/symbols.h"
#include "vmm/run/outcome.h"
#include "vmm/run/stats.h"

/* A CPU that has not died. */
struct diagnose_cpu {
	unsigned number;
	bool started, halted;
	bool known; /* the registers: */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/* All pointers stay the caller's; all but memory may be NULL. */
struct diagnose_input {
	enum end_reason reason;
	unsigned cpu; /* the one that died; what follows is of it */
	const struct diagnose_cpu *others;
	unsigned other_count;
	const struct kvm_run *run;     /* of the last exit: exit_reason and its details */
	const struct kvm_regs *regs;   /* the vCPU's, read after the end ... */
	const struct kvm_sregs *sregs; /* ... both or none */
	/* The same as last seen before the end (a mark, a hypercall, boot), for a KVM that resets
	 * the vCPU at a SHUTDOWN. */
	const struct kvm_regs *last_regs;
	const struct kvm_sregs *last_sregs;
	const char *last_when; /* "at boot", "at the last mark" */
	/* END_PANIC: what the guest said (any bytes), and the registers it handed over. */
	const char *message;
	size_t message_size;
	const struct rs_regs *panic_regs;
	const struct memory *memory;
	struct pt_geometry geometry;   /* levels are taken from CR4 where it is known */
	const struct stats *stats;     /* for its ring of exits */
	const char *elf;               /* path of the guest's file, for symbol names ... */
	const struct symbols *symbols; /* ... unless they are known */
	bool color;
};

/* Writes the whole account, some 40 to 90 lines. */
void diagnose_death(FILE *out, const struct diagnose_input *in);

#endif
