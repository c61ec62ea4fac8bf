#include "vmm/engine/arrival.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/base/names.h"

static uint16_t opcode_at(const struct engine *engine, uint64_t va)
{
	uint8_t bytes[2] = {0};

	engine_read(engine, va, bytes, sizeof(bytes));
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

struct engine_arrival engine_arrival(const struct engine *engine)
{
	enum { SYSCALL_OPCODE = 0x0f05, INT_OPCODE = 0xcd, INT3_OPCODE = 0xcc };
	int number = engine_entry(engine, engine->state.regs.rip);
	struct engine_arrival entry = {.kind = ENTRY_NONE, .arrived = 256, .from_user = true};
	uint16_t opcode;

	if (number < 0)
		return entry;
	entry.rip = engine->state.regs.rcx - 2;
	if (number >= ENGINE_ENTRY_SYSCALL) {
		entry.kind = number == ENGINE_ENTRY_SYSCALL  ? ENTRY_SYSCALL
		             : number == ENGINE_ENTRY_COMPAT ? ENTRY_COMPAT
		                                             : ENTRY_SYSENTER;
		return entry;
	}
	entry.kind = ENTRY_VECTOR;
	entry.vector = entry.arrived = (unsigned)number;
	if (!engine_frame(engine, entry.vector, &entry.frame))
		return entry;
	entry.from_user = entry.frame.cs & 3;
	entry.rip = entry.frame.rip;
	if (!entry.from_user)
		return entry;
	opcode = opcode_at(engine, entry.frame.rip);
	if (entry.vector == VECTOR_PF &&
	    engine_entry(engine, entry.frame.rip) == ENGINE_ENTRY_SYSCALL &&
	    opcode_at(engine, engine->state.regs.rcx - 2) == SYSCALL_OPCODE) {
		entry.kind = ENTRY_SYSCALL;
		entry.quirk = true;
		entry.rip = engine->state.regs.rcx - 2;
	} else if (entry.vector == VECTOR_UD && opcode >> 8 == INT_OPCODE) {
		entry.vector = opcode & 0xff;
		entry.quirk = true;
	} else if (opcode_at(engine, entry.frame.rip - 2) == (INT_OPCODE << 8 | entry.vector)) {
		entry.rip -= 2;
	} else if (entry.vector == VECTOR_BP &&
	           opcode_at(engine, entry.frame.rip - 1) >> 8 == INT3_OPCODE) {
		entry.rip -= 1;
	}
	return entry;
}

const char *engine_arrival_text(const struct engine *engine, const struct engine_arrival *entry,
                                const struct symbols *symbols, char *buf, size_t size)
{
	const char *ring = entry->from_user ? "ring 3" : "ring 0";
	char where[120], error[60] = "";

	symbols_place(symbols, entry->rip, where, sizeof(where));
	if (entry->kind == ENTRY_SYSCALL || entry->kind == ENTRY_COMPAT) {
		snprintf(buf, size, "SYSCALL number %llu from %s at %s%s", engine->state.regs.rax,
		         ring, where,
		         entry->quirk
		             ? "; this KVM makes it a #PF at LSTAR, which the guest completes"
		             : "");
		return buf;
	}
	if (entry->kind != ENTRY_VECTOR) {
		snprintf(buf, size, "%s", "SYSENTER");
		return buf;
	}
	if (entry->arrived < 32 && VECTORS_WITH_ERROR_CODE >> entry->arrived & 1)
		snprintf(error, sizeof(error), ", error code 0x%" PRIx64, entry->frame.error);
	if (entry->arrived == VECTOR_PF)
		snprintf(error, sizeof(error), ", error code 0x%" PRIx64 ", CR2 0x%llx",
		         entry->frame.error, engine->state.sregs.cr2);
	if (entry->quirk)
		snprintf(buf, size,
		         "INT 0x%x in ring 3 at %s; this KVM makes it a #UD, which the guest "
		         "completes",
		         entry->vector, where);
	else
		snprintf(buf, size, "vector %u, %s (%s)%s, in %s at %s", entry->vector,
		         vector_name(entry->vector), vector_text(entry->vector), error, ring,
		         where);
	return buf;
}
