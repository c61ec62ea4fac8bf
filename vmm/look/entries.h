/*
 * Where a guest enters ring 0: the gates of its IDT, and what SYSCALL and SYSENTER jump to, as the
 * processor itself would find them now (SDM volume 3, 6.10 to 6.14, 5.8.7, 5.8.8).  That is all
 * that stepping and stopping need to know of a kernel, so they work on any.
 *
 *     entries_read(&entries, &view, &state);
 *     entries_find(&entries, state.regs.rip);      // 14: at the handler of #PF
 *
 * Pure: the IDT is read through a view, from wherever IDTR says; its bytes and the MSRs are
 * hostile, and may name any address.  Only long mode has such gates: before it there are none.
 */
#ifndef VMM_LOOK_ENTRIES_H
#define VMM_LOOK_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/state.h"
#include "vmm/look/view.h"

/* The entries by number: a vector, 0 to 255, or one of these. */
enum { ENTRIES_SYSCALL = 256, ENTRIES_COMPAT, ENTRIES_SYSENTER, ENTRIES_MAX };

struct entry {
	/* A gate: an interrupt or trap gate within IDTR's limit, in memory that is mapped, and
	 * present.  LSTAR and CSTAR: with EFER.SCE, and not 0.  SYSENTER_EIP: with a SYSENTER_CS
	 * that is no null selector, and not 0.  Without it all the rest is 0. */
	bool there;
	uint8_t type, dpl, ist; /* of a gate, as in struct desc_gate */
	uint16_t selector;
	uint64_t va; /* where it leads; whether that is mapped is not looked at */
};

enum { ENTRIES_IDT_SIZE = 256 * 16 };

struct entries {
	struct entry list[ENTRIES_MAX];
	/* The addresses that they lead to, sorted, each once, with the lowest number of those that
	 * lead there. */
	struct entry_place {
		uint64_t va;
		int number;
	} place[ENTRIES_MAX];
	unsigned place_count;
	uint8_t idt[ENTRIES_IDT_SIZE]; /* what the gates were read from; 0 where nothing is */
};

/* Reads them anew.  state: its MSRs and system registers, which are the view's.  *entries is all
 * zero before the first time.  Returns whether any is another one than before: so it is also the
 * cheap question whether a kernel has rewritten them, one walk and a comparison of 4 KiB when it
 * has not. */
bool entries_read(struct entries *entries, const struct view *view, const struct vcpu_state *state);

/* Which entry leads to this address; -1: none.  When several do, the one of the lowest number: of
 * kernels that send all that they do not expect to one handler, all of those vectors are taken for
 * the first of them, and LSTAR's address is never taken for SYSENTER's. */
int entries_find(const struct entries *entries, uint64_t va);
/* Whether this one does. */
static inline bool entries_lead(const struct entries *entries, unsigned number, uint64_t va)
{
	return number < ENTRIES_MAX && entries->list[number].there &&
	       entries->list[number].va == va;
}

#endif
