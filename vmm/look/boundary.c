#include "vmm/look/boundary.h"

#include <stddef.h>
#include <string.h>

#include "shared/desc.h"
#include "shared/x86.h"
#include "vmm/look/view.h"

static struct boundary_range pages_of(uint64_t base, uint32_t limit)
{
	const uint64_t first = base & ~(uint64_t)(PAGE_SIZE - 1);
	const uint64_t last = (base + limit) | (PAGE_SIZE - 1);

	/* Base 0 is what a processor has from reset. */
	if (!base || last < first)
		return (struct boundary_range){0, 0};
	return (struct boundary_range){first, last - first + 1};
}

static bool gate_uses(const struct entries *entries, unsigned ist)
{
	for (unsigned vector = 0; vector < 256; vector++) {
		if (entries->list[vector].there && entries->list[vector].ist == ist)
			return true;
	}
	return false;
}

static void read_stacks(struct boundary *boundary, const struct view *view)
{
	const struct kvm_segment *tr = &view->sregs->tr;
	struct desc_tss tss;

	if (!boundary->table[BOUNDARY_TSS].len || tr->limit < sizeof(tss) - 1 ||
	    view_read(view, tr->base, &tss, sizeof(tss)) != sizeof(tss))
		return;
	boundary->stack[0] = desc_tss_rsp(&tss, 0);
	for (unsigned i = 1; i < BOUNDARY_STACKS; i++) {
		if (gate_uses(&boundary->entries, i))
			boundary->stack[i] = desc_tss_ist(&tss, i);
	}
}

void boundary_read(struct boundary *boundary, const struct look_moment *moment)
{
	const struct kvm_sregs *sregs = &moment->sregs;
	const struct view view = view_make(moment->memory, &moment->regs, sregs, moment->geometry);
	struct vcpu_state state = {.sregs = *sregs};

	memset(boundary, 0, sizeof(*boundary));
	if (!view.paging)
		return;
	boundary->table[BOUNDARY_IDT] = pages_of(sregs->idt.base, sregs->idt.limit);
	boundary->table[BOUNDARY_GDT] = pages_of(sregs->gdt.base, sregs->gdt.limit);
	boundary->table[BOUNDARY_TSS] = pages_of(sregs->tr.base, sregs->tr.limit);
	boundary->msrs = moment->msrs_known >> STATE_LSTAR & 1;
	for (unsigned i = 0; i < STATE_MSRS; i++)
		state.msrs[i] = moment->msrs_known >> i & 1 ? moment->msrs[i] : 0;
	entries_read(&boundary->entries, &view, &state);
	read_stacks(boundary, &view);
}

bool boundary_has_table(const struct boundary *boundary)
{
	for (unsigned i = 0; i < BOUNDARY_TABLES; i++) {
		if (boundary->table[i].len)
			return true;
	}
	return false;
}

bool boundary_has_stack(const struct boundary *boundary)
{
	for (unsigned i = 0; i < BOUNDARY_STACKS; i++) {
		if (boundary->stack[i])
			return true;
	}
	return false;
}

const char *boundary_table_name(unsigned table)
{
	static const char *const names[BOUNDARY_TABLES] = {"IDT", "GDT", "TSS"};

	return names[table];
}

const char *boundary_stack_name(unsigned stack)
{
	static const char *const names[BOUNDARY_STACKS] = {"RSP0 stack", "IST1 stack", "IST2 stack",
	                                                   "IST3 stack", "IST4 stack", "IST5 stack",
	                                                   "IST6 stack", "IST7 stack"};

	return names[stack];
}

unsigned boundary_entries(const struct boundary *boundary, uint64_t va, uint64_t len)
{
	const struct entries *entries = &boundary->entries;
	unsigned count = 0;

	for (unsigned i = 0; i < entries->place_count; i++)
		count += entries->place[i].va - va < len;
	return count;
}

struct boundary_stack boundary_stack_find(const struct pt *pt, uint64_t top)
{
	/* What is pushed first lies below the top. */
	uint64_t page = (top - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	struct boundary_stack stack = {0, false};

	for (; stack.len < BOUNDARY_STACK_MAX; page -= PAGE_SIZE) {
		struct pt_walk walk;

		pt_walk(pt, page, &walk);
		if (!walk.mapped || walk.reserved || !(walk.rights & PT_WRITE)) {
			stack.guarded = true;
			break;
		}
		stack.len += PAGE_SIZE;
	}
	return stack;
}
