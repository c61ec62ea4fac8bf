#include "vmm/look/entries.h"

#include <string.h>

#include "shared/desc.h"
#include "shared/x86.h"

enum { GATE_SIZE = 16, SELECTOR_RPL = 3 };

/* All gates that IDTR's limit has room for.  What is not mapped reads as zeros, which is no gate;
 * of an IDT in two pages one may be. */
static void read_idt(const struct view *view, uint8_t idt[ENTRIES_IDT_SIZE])
{
	const struct kvm_dtable *idtr = &view->sregs->idt;
	size_t size = ((size_t)idtr->limit + 1) / GATE_SIZE * GATE_SIZE, done = 0;

	memset(idt, 0, ENTRIES_IDT_SIZE);
	if (!(view->sregs->efer & EFER_LMA))
		return;
	if (size > ENTRIES_IDT_SIZE)
		size = ENTRIES_IDT_SIZE;
	while (done < size) {
		const uint64_t va = idtr->base + done;
		const size_t rest = PAGE_SIZE - (size_t)(va & (PAGE_SIZE - 1));
		const size_t part = size - done < rest ? size - done : rest;

		view_read(view, va, idt + done, part);
		done += part;
	}
}

static void decode_gate(const uint8_t bytes[GATE_SIZE], struct entry *to)
{
	uint64_t words[2];
	struct desc_gate gate;

	memcpy(words, bytes, sizeof(words));
	desc_gate_decode(words, &gate);
	*to = (struct entry){0};
	if (!gate.present || (gate.type != DESC_INTERRUPT_GATE && gate.type != DESC_TRAP_GATE))
		return;
	*to = (struct entry){.there = true,
	                     .type = gate.type,
	                     .dpl = gate.dpl,
	                     .ist = gate.ist,
	                     .selector = gate.selector,
	                     .va = gate.offset};
}

/* An entry that a register names.  True: it is another one than before. */
static bool set(struct entry *entry, bool there, uint64_t va)
{
	const struct entry before = *entry;

	*entry = (struct entry){.there = there && va, .va = there ? va : 0};
	return entry->there != before.there || entry->va != before.va;
}

bool entries_read(struct entries *entries, const struct view *view, const struct vcpu_state *state)
{
	const uint64_t *msrs = state->msrs;
	const bool has_syscall = state->sregs.efer & EFER_SCE;
	const bool has_sysenter = msrs[STATE_SYSENTER_CS] & 0xffff & ~(uint64_t)SELECTOR_RPL;
	uint8_t idt[ENTRIES_IDT_SIZE];
	bool changed;

	changed = set(&entries->list[ENTRIES_SYSCALL], has_syscall, msrs[STATE_LSTAR]);
	changed |= set(&entries->list[ENTRIES_COMPAT], has_syscall, msrs[STATE_CSTAR]);
	changed |= set(&entries->list[ENTRIES_SYSENTER], has_sysenter, msrs[STATE_SYSENTER_EIP]);
	read_idt(view, idt);
	if (memcmp(idt, entries->idt, sizeof(idt)) == 0)
		return changed;
	memcpy(entries->idt, idt, sizeof(idt));
	for (unsigned vector = 0; vector < 256; vector++)
		decode_gate(idt + (size_t)vector * GATE_SIZE, &entries->list[vector]);
	return true;
}

int entries_find(const struct entries *entries, uint64_t va)
{
	for (int number = 0; number < ENTRIES_MAX; number++) {
		if (entries->list[number].there && entries->list[number].va == va)
			return number;
	}
	return -1;
}
