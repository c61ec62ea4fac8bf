#include "vmm/instruments/anatomy/anatomy_find.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/base/names.h"
#include "vmm/engine/arrival.h"

enum { NOT_REFUSED = 256 };

/* Numbers are Linux's, which our guest's kernel has too.  There fork, vfork, clone and clone3 all
 * make a process; which one a program takes is up to its library. */
static const uint64_t forks[] = {57, 58, 56, 435, 0}, yields[] = {24, 0};

static const struct crossing crossings[] = {
    {"syscall", "SYSCALL", "tour", BY_SYSCALL, 39, .numbered = true},
    {"int80", "INT 0x80", "tour", BY_INT80, 20, .numbered = true},
    {"sysenter", "SYSENTER", "crossings", BY_SYSENTER, 39, .numbered = true},
    {"callgate", "a call gate", "crossings", BY_CALL_GATE, 39, .numbered = true},
    {"pagefault", "a page fault", "tour", BY_FAULT, 0, .numbered = false},
    {"irq", "an interrupt", "processes", BY_INTERRUPT, 0, .numbered = false},
    {"fork", "fork by SYSCALL", "tour", BY_SYSCALL, 57, .numbered = true, .kin = forks},
    {"context-switch", "a context switch by SYSCALL", "tour", BY_SYSCALL, 24, .numbered = true,
     .kin = yields, .switches = true},
};
enum { CROSSINGS = sizeof(crossings) / sizeof(crossings[0]) };

bool crossing_parse(const char *what, struct crossing *to)
{
	size_t length = strcspn(what, "=");

	for (size_t i = 0; i < CROSSINGS; i++) {
		char *end;

		if (strlen(crossings[i].name) != length ||
		    strncmp(what, crossings[i].name, length) != 0)
			continue;
		*to = crossings[i];
		if (!what[length])
			return true;
		if (!to->numbered || what[length + 1] < '0' || what[length + 1] > '9')
			return false;
		to->asked = true;
		to->number = strtoull(what + length + 1, &end, 0);
		return !*end;
	}
	return false;
}

const char *crossing_list(char *buf, size_t size)
{
	size_t used = 0;

	*buf = '\0';
	for (size_t i = 0; i < CROSSINGS && used < size; i++)
		used +=
		    (size_t)snprintf(buf + used, size - used, "%s%s%s",
		                     i == 0              ? ""
		                     : i + 1 < CROSSINGS ? ", "
		                                         : " or ",
		                     crossings[i].name, crossings[i].numbered ? "[=NUMBER]" : "");
	return buf;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static void add_place(struct finder *finder, uint64_t va)
{
	if (finder->place_count < FINDER_PLACES)
		finder->places[finder->place_count++] = va;
}

static bool add_found(void *ctx, uint64_t address, enum engine_code_kind kind)
{
	(void)kind;
	add_place(ctx, address);
	return true;
}

static void add_instructions(struct finder *finder, enum engine_code_kind kind)
{
	engine_code_find(finder->engine, finder->symbols, finder->code, true, CODE_BIT(kind),
	                 add_found, finder);
}

/* Where the crossing arrives; or, where the entry does not tell which instruction led to it, the
 * instructions that do.  One KVM delivers SYSCALL and INT n as faults, which our guest's kernel
 * completes. */
static void add_places(struct finder *finder)
{
	switch (finder->crossing.trigger) {
	case BY_SYSCALL:
		finder->entries[ENGINE_ENTRY_SYSCALL] = true;
		finder->entries[VECTOR_PF] = finder->ours;
		return;
	case BY_INT80:
		finder->entries[0x80] = true;
		finder->entries[VECTOR_UD] = finder->ours;
		return;
	case BY_FAULT:
		finder->entries[VECTOR_PF] = true;
		return;
	case BY_INTERRUPT:
		memset(finder->entries + 32, true, 256 - 32);
		return;
	case BY_SYSENTER:
		if (finder->ours)
			add_instructions(finder, CODE_SYSENTER);
		else
			finder->entries[ENGINE_ENTRY_SYSENTER] = true;
		return;
	case BY_CALL_GATE:
		add_instructions(finder, CODE_FAR_CALL);
		return;
	}
}

/* What cannot be found on this machine or in this guest.  False after a message. */
static bool is_possible(const struct finder *finder)
{
	const struct machine *machine = finder->engine->machine;
	const enum crossing_trigger trigger = finder->crossing.trigger;

	if (trigger == BY_SYSENTER && machine->kvm.host.features & RS_FEATURE_AMD)
		return message_error("--anatomy sysenter: this CPU is AMD's, which has no SYSENTER "
		                     "in long mode; the Intel box has one: --box intel");
	if (trigger == BY_INTERRUPT && finder->ours && !machine->kvm.host.apic_khz)
		return message_error("--anatomy irq: there are no interrupts: %s",
		                     machine->plan->no_apic
		                         ? "--no-apic takes the local APICs away"
		                         : "the guest does not ask for local APICs, or this KVM "
		                           "has none");
	if (trigger == BY_CALL_GATE && !finder->ours)
		return message_error("--anatomy callgate: where the far CALLs of this guest's "
		                     "programs are is not known; of guest.elf it is");
	return true;
}

bool finder_begin(struct finder *finder)
{
	finder->ours = finder->engine->machine->image.noted;
	finder->refused = NOT_REFUSED;
	if (!is_possible(finder))
		return false;
	add_places(finder);
	for (unsigned entry = 0; entry < ENTRIES_MAX; entry++) {
		if (finder->entries[entry])
			return true;
	}
	return finder->place_count ||
	       message_error("--anatomy %s: no ring 3 program of the guest has such an instruction",
	                     finder->crossing.name);
}

static bool plant(struct finder *finder, bool on)
{
	for (unsigned entry = 0; entry < ENTRIES_MAX; entry++) {
		if (finder->entries[entry])
			(on ? engine_add_entry : engine_remove_entry)(finder->engine, entry);
	}
	for (size_t i = 0; i < finder->place_count; i++) {
		if ((on ? engine_add_point(finder->engine, finder->places[i])
		        : engine_remove_point(finder->engine, finder->places[i])) != ENGINE_OK)
			return message_error("--anatomy: the guest cannot be stopped at 0x%" PRIx64,
			                     finder->places[i]);
	}
	return true;
}

/* ---- Running --------------------------------------------------------------------------------- */

static bool is_wanted_number(const struct finder *finder, uint64_t number)
{
	const struct crossing *crossing = &finder->crossing;

	if (finder->ours || crossing->asked)
		return number == crossing->number;
	for (const uint64_t *kin = crossing->kin; kin && *kin; kin++) {
		if (number == *kin)
			return true;
	}
	return !crossing->kin;
}

static bool is_wanted_entry(const struct finder *finder, const struct engine_arrival *entry)
{
	const struct kvm_regs *regs = &finder->engine->state.regs;
	bool by_vector = entry->kind == ENTRY_VECTOR;

	if (!entry->from_user)
		return false;
	switch (finder->crossing.trigger) {
	case BY_SYSCALL:
		return entry->kind == ENTRY_SYSCALL && is_wanted_number(finder, regs->rax);
	case BY_INT80:
		return by_vector && entry->vector == 0x80 &&
		       is_wanted_number(finder, (uint32_t)regs->rax);
	case BY_FAULT:
		return by_vector && entry->vector == VECTOR_PF && !entry->quirk;
	case BY_INTERRUPT: /* not INT n, which is found before the RIP that was pushed */
		return by_vector && !entry->quirk && entry->rip == entry->frame.rip;
	case BY_SYSENTER:
		return entry->kind == ENTRY_SYSENTER &&
		       is_wanted_number(finder, (uint32_t)regs->rax);
	case BY_CALL_GATE:
		break;
	}
	return false;
}

/* At a place: whether it is the one, with the guest then where finder_next promises. */
static bool stops_here(struct finder *finder)
{
	struct engine *engine = finder->engine;
	const struct engine_arrival entry = engine_arrival(engine);

	finder->number = engine->state.regs.rax;
	/* Our guest may try every mode; the one to show is the one it was started in. */
	if (finder->ours &&
	    engine_is_user_root(engine) != (engine->machine->pti_mode != RS_PTI_OFF))
		return false;
	if (engine_cpl(engine) == 3)
		return engine->state.sregs.cs.l &&
		       engine->state.regs.rax == finder->crossing.number;
	if (!is_wanted_entry(finder, &entry))
		return false;
	finder->quirk = entry.quirk;
	finder->vector = entry.arrived;
	return finder->crossing.trigger == BY_INTERRUPT || entry.kind == ENTRY_SYSENTER ||
	       engine_take_back(engine, entry.rip);
}

bool finder_next(struct finder *finder)
{
	struct engine *engine = finder->engine;

	if (!plant(finder, true))
		return false;
	for (;;) {
		struct engine_stop stop = engine_continue(engine);

		if (stop.why == ENGINE_ENDED)
			return false;
		if (stop.why != ENGINE_POINT || !engine_know(engine))
			return machine_end(engine->machine, END_VMM_FAILED);
		if (stops_here(finder))
			return plant(finder, false);
	}
}

bool finder_has_arrived(struct finder *finder)
{
	const struct engine *engine = finder->engine;
	int entry = engine_entry(engine, engine->state.regs.rip);
	bool arrived = finder->crossing.trigger == BY_SYSENTER    ? entry == ENGINE_ENTRY_SYSENTER
	               : finder->crossing.trigger == BY_CALL_GATE ? entry < 0
	                                                          : true;

	if (!arrived && entry >= 0 && entry < NOT_REFUSED)
		finder->refused = (unsigned)entry;
	return arrived && engine_cpl(engine) == 0;
}

const char *finder_excuse(const struct finder *finder, char *buf, size_t size)
{
	const char *instruction =
	    finder->crossing.trigger == BY_SYSENTER ? "SYSENTER" : "the far CALL";

	if (finder->refused != NOT_REFUSED)
		snprintf(buf, size, "; %s was tried and ended as %s (%s)", instruction,
		         vector_name(finder->refused), vector_text(finder->refused));
	else if (finder->ours)
		snprintf(buf, size, "; guest.elf has one in: -- %s", finder->crossing.program);
	else
		*buf = '\0';
	return buf;
}
