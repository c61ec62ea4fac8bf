#include "vmm/look/state_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "shared/x86.h"
#include "vmm/base/names.h"
#include "vmm/base/units.h"
#include "vmm/look/registers.h"

/* Those that are shown: PAT is a core's business. */
enum { SHOWN_MSRS = STATE_PAT };

/* ---- Words ----------------------------------------------------------------------------------- */

static const char *type_text(const struct kvm_segment *segment)
{
	if (segment->unusable)
		return "unusable";
	if (!segment->present)
		return "not present";
	if (!segment->s)
		return (segment->type & 13) == 9 ? "TSS" : "system";
	if (!(segment->type & 8))
		return segment->type & 2 ? "data, read-write" : "data, read-only";
	return segment->l ? "code, 64-bit" : segment->db ? "code, 32-bit" : "code, 16-bit";
}

const char *inspect_segment_text(const struct kvm_segment *segment, char *buf, size_t size)
{
	if (segment->unusable)
		snprintf(buf, size, "%04x unusable, DPL %u", segment->selector, segment->dpl);
	else
		snprintf(buf, size, "%04x base %llx limit %x DPL %u %s", segment->selector,
		         segment->base, segment->limit, segment->dpl, type_text(segment));
	return buf;
}

__attribute__((format(printf, 4, 5))) static void add(char *buf, size_t size, size_t *used,
                                                      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (*used < size)
		*used += (size_t)vsnprintf(buf + *used, size - *used, format, args);
	va_end(args);
}

const char *inspect_events_text(const struct kvm_vcpu_events *events, char *buf, size_t size)
{
	size_t used = 0;

	snprintf(buf, size, "none");
	if (events->exception.injected || events->exception.pending) {
		add(buf, size, &used, "%s %s", vector_name(events->exception.nr),
		    events->exception.injected ? "being delivered" : "pending");
		if (events->exception.has_error_code)
			add(buf, size, &used, ", error code 0x%x", events->exception.error_code);
		add(buf, size, &used, "; ");
	}
	if (events->interrupt.injected)
		add(buf, size, &used, "interrupt 0x%x being delivered; ", events->interrupt.nr);
	if (events->interrupt.shadow)
		add(buf, size, &used, "shadow of STI or MOV SS; ");
	if (events->nmi.injected || events->nmi.pending)
		add(buf, size, &used, "NMI %s; ",
		    events->nmi.injected ? "being delivered" : "pending");
	if (events->nmi.masked)
		add(buf, size, &used, "NMIs masked; ");
	if (used >= 2 && used < size)
		buf[used - 2] = '\0';
	return buf;
}

/* ---- Changes -----------------------------------------------------------------------------------
 */

/* Every word of the registers that has a name. */
static const struct {
	const char *name;
	uint16_t offset;
	uint8_t size;
} words[] = {
#define REG(field, text)                                                                           \
	{                                                                                          \
		text, offsetof(struct vcpu_state, regs.field), 8                                   \
	}
    REG(rip, "RIP"),
    REG(rsp, "RSP"),
    REG(rflags, "RFLAGS"),
    REG(rax, "RAX"),
    REG(rbx, "RBX"),
    REG(rcx, "RCX"),
    REG(rdx, "RDX"),
    REG(rsi, "RSI"),
    REG(rdi, "RDI"),
    REG(rbp, "RBP"),
    REG(r8, "R8"),
    REG(r9, "R9"),
    REG(r10, "R10"),
    REG(r11, "R11"),
    REG(r12, "R12"),
    REG(r13, "R13"),
    REG(r14, "R14"),
    REG(r15, "R15"),
#undef REG
#define SREG(field, text, bytes)                                                                   \
	{                                                                                          \
		text, offsetof(struct vcpu_state, sregs.field), bytes                              \
	}
    SREG(ss.dpl, "CPL", 1),
    SREG(cs.selector, "CS", 2),
    SREG(ss.selector, "SS", 2),
    SREG(ds.selector, "DS", 2),
    SREG(es.selector, "ES", 2),
    SREG(fs.selector, "FS", 2),
    SREG(gs.selector, "GS", 2),
    SREG(fs.base, "FS base", 8),
    SREG(gs.base, "GS base", 8),
    SREG(tr.selector, "TR", 2),
    SREG(cr0, "CR0", 8),
    SREG(cr2, "CR2", 8),
    SREG(cr3, "CR3", 8),
    SREG(cr4, "CR4", 8),
    SREG(cr8, "CR8", 8),
    SREG(efer, "EFER", 8),
    SREG(gdt.base, "GDT base", 8),
    SREG(idt.base, "IDT base", 8),
#undef SREG
};
_Static_assert(sizeof(words) / sizeof(words[0]) + SHOWN_MSRS <= INSPECT_CHANGES_MAX,
               "all may change");

static uint64_t word_of(const struct inspect_state *state, size_t i)
{
	uint64_t value = 0;

	memcpy(&value, (const uint8_t *)&state->vcpu + words[i].offset, words[i].size);
	return value;
}

size_t inspect_changes(const struct inspect_state *old, const struct inspect_state *new,
                       struct inspect_change changes[INSPECT_CHANGES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint64_t before = word_of(old, i), after = word_of(new, i);

		if (before != after)
			changes[count++] = (struct inspect_change){words[i].name, before, after};
	}
	for (unsigned i = 0; i < SHOWN_MSRS; i++) {
		const uint64_t before = old->vcpu.msrs[i], after = new->vcpu.msrs[i];

		if (before != after)
			changes[count++] =
			    (struct inspect_change){msr_table[i].name, before, after};
	}
	return count;
}

/* ---- Text -------------------------------------------------------------------------------------
 */

static void print_changes(FILE *out, const struct inspect_state *state,
                          const struct inspect_state *previous)
{
	struct inspect_change changes[INSPECT_CHANGES_MAX];
	size_t count = inspect_changes(previous, state, changes);
	size_t column = 0;

	fputs("  changed:", out);
	if (!count)
		fputs(" nothing", out);
	for (size_t i = 0; i < count; i++) {
		char text[80];
		int length = snprintf(text, sizeof(text), "%s %" PRIx64 " -> %" PRIx64,
		                      changes[i].name, changes[i].old, changes[i].new);

		if (column && column + (size_t)length > 86) {
			fputs("\n          ", out);
			column = 0;
		}
		fprintf(out, "%s %s", column ? "," : "", text);
		column += (size_t)length + 2;
	}
	fputc('\n', out);
}

static void print_msrs(FILE *out, const struct inspect_state *state)
{
	for (unsigned i = 0; i < SHOWN_MSRS; i++) {
		if (!(state->vcpu.msrs_known >> i & 1))
			continue;
		fprintf(out, "  %-14s %016" PRIx64 "%s", msr_table[i].name, state->vcpu.msrs[i],
		        i % 2 ? "\n" : "  ");
	}
	if (state->vcpu.msrs_known && SHOWN_MSRS % 2)
		fputc('\n', out);
}

void inspect_print(FILE *out, const struct inspect_state *state,
                   const struct inspect_state *previous, const struct symbols *symbols)
{
	char text[160];

	fprintf(out, "Stop %" PRIu64 " after %" PRIu64 " exit%s", state->number, state->exits,
	        units_s(state->exits));
	if (state->several)
		fprintf(out, ", CPU %u", state->cpu);
	fprintf(out, ": %s\n", state->why);
	fprintf(out, "  ring %u at %016llx%s: %s\n", state_cpl(&state->vcpu), state->vcpu.regs.rip,
	        symbols_text(symbols, state->vcpu.regs.rip, text, sizeof(text)),
	        *state->instruction ? state->instruction : "(not readable)");
	if (previous)
		print_changes(out, state, previous);
	registers_print_general(out, &state->vcpu.regs, symbols);
	registers_print_system(out, &state->vcpu.sregs);
	print_msrs(out, state);
	fprintf(out, "  events: %s\n\n",
	        inspect_events_text(&state->vcpu.events, text, sizeof(text)));
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static int set_hex(json_t *object, const char *name, uint64_t value)
{
	return json_object_set_new(object, name, json_sprintf("0x%" PRIx64, value));
}

static json_t *segment_json(const struct kvm_segment *segment)
{
	json_t *object = json_object();

	set_hex(object, "selector", segment->selector);
	set_hex(object, "base", segment->base);
	set_hex(object, "limit", segment->limit);
	json_object_set_new(object, "dpl", json_integer(segment->dpl));
	json_object_set_new(object, "type", json_string(type_text(segment)));
	return object;
}

static json_t *segments_json(const struct kvm_sregs *sregs)
{
	const struct {
		const char *name;
		const struct kvm_segment *segment;
	} list[] = {
	    {"cs", &sregs->cs}, {"ss", &sregs->ss}, {"ds", &sregs->ds}, {"es", &sregs->es},
	    {"fs", &sregs->fs}, {"gs", &sregs->gs}, {"tr", &sregs->tr}, {"ldt", &sregs->ldt},
	};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		json_object_set_new(object, list[i].name, segment_json(list[i].segment));
	return object;
}

/* The words that are no segment's and no MSR's. */
static json_t *registers_json(const struct inspect_state *state)
{
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].size == 8)
			set_hex(object, words[i].name, word_of(state, i));
	}
	return object;
}

static json_t *changed_json(const struct inspect_state *state, const struct inspect_state *previous)
{
	struct inspect_change changes[INSPECT_CHANGES_MAX];
	size_t count = inspect_changes(previous, state, changes);
	json_t *object = json_object();

	for (size_t i = 0; i < count; i++) {
		json_object_set_new(object, changes[i].name,
		                    json_pack("[o, o]", json_sprintf("0x%" PRIx64, changes[i].old),
		                              json_sprintf("0x%" PRIx64, changes[i].new)));
	}
	return object;
}

json_t *inspect_json(const struct inspect_state *state, const struct inspect_state *previous,
                     const struct symbols *symbols)
{
	const struct symbol *symbol = symbols_find(symbols, state->vcpu.regs.rip);
	json_t *object = json_object(), *msrs = json_object();
	char text[160];

	for (unsigned i = 0; i < SHOWN_MSRS; i++) {
		if (state->vcpu.msrs_known >> i & 1)
			set_hex(msrs, msr_table[i].name, state->vcpu.msrs[i]);
	}
	json_object_set_new(object, "stop", json_integer((json_int_t)state->number));
	json_object_set_new(object, "exits", json_integer((json_int_t)state->exits));
	json_object_set_new(object, "cpu", json_integer(state->cpu));
	json_object_set_new(object, "kind", json_string(state->kind));
	json_object_set_new(object, "why", json_string(state->why));
	json_object_set_new(object, "cpl", json_integer(state_cpl(&state->vcpu)));
	set_hex(object, "rip", state->vcpu.regs.rip);
	json_object_set_new(object, "symbol", symbol ? json_string(symbol->name) : json_null());
	set_hex(object, "offset", symbol ? state->vcpu.regs.rip - symbol->address : 0);
	json_object_set_new(object, "instruction", json_string(state->instruction));
	json_object_set_new(object, "registers", registers_json(state));
	json_object_set_new(object, "segments", segments_json(&state->vcpu.sregs));
	json_object_set_new(object, "msrs", msrs);
	json_object_set_new(
	    object, "events",
	    json_string(inspect_events_text(&state->vcpu.events, text, sizeof(text))));
	json_object_set_new(object, "changed",
	                    previous ? changed_json(state, previous) : json_null());
	return object;
}
