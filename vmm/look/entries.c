#include "vmm/look/entries.h"

#include <stdlib.h>
#include <string.h>

#include "shared/desc.h"
#include "shared/x86.h"

enum { GATE_SIZE = 16, SELECTOR_RPL = 3 };

/* Bytes of the IDT that hold whole gates, as IDTR's limit has it. */
static size_t idt_size(const struct view *view)
{
	const size_t size = ((size_t)view->sregs->idt.limit + 1) / GATE_SIZE * GATE_SIZE;

	if (!(view->sregs->efer & EFER_LMA))
		return 0;
	return size < ENTRIES_IDT_SIZE ? size : ENTRIES_IDT_SIZE;
}

/* Brings the copy up to date.  What is not mapped counts as zeros, which are no gates; of an IDT in
 * two pages one may be.  True: it is another one than before. */
static bool copy_idt(const struct view *view, uint8_t idt[ENTRIES_IDT_SIZE])
{
	static const uint8_t none[PAGE_SIZE];
	const size_t size = idt_size(view);
	bool changed = false;

	for (size_t done = 0, part; done < ENTRIES_IDT_SIZE; done += part) {
		const uint8_t *from = NULL;

		part = ENTRIES_IDT_SIZE - done;
		if (done < size)
			from = view_part(view, view->sregs->idt.base + done, size - done, &part);
		if (!from)
			from = none;
		if (memcmp(idt + done, from, part) == 0)
			continue;
		memcpy(idt + done, from, part);
		changed = true;
	}
	return changed;
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

static int compare(const void *a, const void *b)
{
	const struct entry_place *of_a = a, *of_b = b;

	if (of_a->va != of_b->va)
		return of_a->va < of_b->va ? -1 : 1;
	return of_a->number - of_b->number;
}

static void sort_places(struct entries *entries)
{
	unsigned all = 0, count = 0;

	for (int number = 0; number < ENTRIES_MAX; number++) {
		if (entries->list[number].there)
			entries->place[all++] =
			    (struct entry_place){entries->list[number].va, number};
	}
	qsort(entries->place, all, sizeof(entries->place[0]), compare);
	for (unsigned i = 0; i < all; i++) {
		if (!count || entries->place[count - 1].va != entries->place[i].va)
			entries->place[count++] = entries->place[i];
	}
	entries->place_count = count;
}

bool entries_read(struct entries *entries, const struct view *view, const struct vcpu_state *state)
{
	const uint64_t *msrs = state->msrs;
	const bool has_syscall = state->sregs.efer & EFER_SCE;
	const bool has_sysenter = msrs[STATE_SYSENTER_CS] & 0xffff & ~(uint64_t)SELECTOR_RPL;
	bool changed;

	changed = set(&entries->list[ENTRIES_SYSCALL], has_syscall, msrs[STATE_LSTAR]);
	changed |= set(&entries->list[ENTRIES_COMPAT], has_syscall, msrs[STATE_CSTAR]);
	changed |= set(&entries->list[ENTRIES_SYSENTER], has_sysenter, msrs[STATE_SYSENTER_EIP]);
	if (copy_idt(view, entries->idt)) {
		changed = true;
		for (unsigned vector = 0; vector < 256; vector++)
			decode_gate(entries->idt + (size_t)vector * GATE_SIZE,
			            &entries->list[vector]);
	}
	if (changed)
		sort_places(entries);
	return changed;
}

int entries_find(const struct entries *entries, uint64_t va)
{
	unsigned from = 0, to = entries->place_count;

	while (from < to) {
		const unsigned middle = (from + to) / 2;

		if (entries->place[middle].va < va)
			from = middle + 1;
		else
			to = middle;
	}
	return from < entries->place_count && entries->place[from].va == va
	           ? entries->place[from].number
	           : -1;
}
