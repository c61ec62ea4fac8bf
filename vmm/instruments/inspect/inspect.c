#include "vmm/instruments/inspect/inspect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/base/names.h"
#include "vmm/base/units.h"
#include "vmm/engine/arrival.h"
#include "vmm/instruments/inspect/inspect_when.h"
#include "vmm/instruments/names.h"
#include "vmm/run/run.h"

enum { MAX_OFFSET = 1 << 20 }; /* behind a symbol that is decoded from its start */

/* ---- State ----------------------------------------------------------------------------------- */

bool inspect_take(struct engine *engine, struct engine_code *code, const struct symbols *symbols,
                  struct inspect_state *state)
{
	struct engine_instruction insn;
	uint8_t bytes[15];
	size_t size;

	*state = (struct inspect_state){0};
	if (!engine_know(engine))
		return false;
	state->vcpu = engine->state;
	if (!vcpu_read(&engine->cpu->vcpu, &state->vcpu, STATE_EVENTS | STATE_ALL_MSRS))
		return false;
	state->cpu = engine->cpu->number;
	state->several = engine->machine->boot.cpus > 1;
	size = engine_read(engine, engine->state.regs.rip, bytes, sizeof(bytes));
	engine_code_decode(code, bytes, size, engine->state.regs.rip, symbols, &insn);
	if (size)
		snprintf(state->instruction, sizeof(state->instruction), "%s", insn.text);
	return true;
}

/* ---- The run --------------------------------------------------------------------------------- */

struct inspection {
	struct machine *machine;
	struct manner *manner;
	const char *words; /* when: of the option */
	bool lost;         /* something could not be shown, which was said */
	struct engine engine;
	struct inspect_when when;
	struct symbols symbols;
	struct engine_code *code;
	FILE *out;
	uint64_t places[INSPECT_LIST_MAX];
	struct {
		uint64_t va;
		enum engine_code_kind kind;
	} found[256];
	size_t found_count;
	uint64_t exits;   /* of the guest's own */
	uint64_t matches; /* stops that were asked for, shown or not */
	uint64_t shown;
	bool failed, done;
	bool named; /* the symbols are those of a kernel that runs */
	struct {
		bool shown;
		struct inspect_state state;
	} last[RS_MAX_CPUS]; /* of each CPU */
};

static bool plant(struct inspection *in, uint64_t va)
{
	switch (engine_add_point(&in->engine, va)) {
	case ENGINE_OK:
		return true;
	case ENGINE_NOT_MAPPED:
		return message_error(
		    "--inspect: nothing is mapped at 0x%" PRIx64 " when the guest starts", va);
	default:
		return message_error("--inspect: more than %d places", ENGINE_POINTS_MAX);
	}
}

static const struct symbol *symbol_named(const struct symbols *symbols, const char *name)
{
	for (size_t i = 0; i < symbols->count; i++) {
		if (!strcmp(symbols->list[i].name, name))
			return &symbols->list[i];
	}
	return NULL;
}

/* A plant in the middle of an instruction would change what the guest does. */
static bool begins_instruction(struct inspection *in, uint64_t start, uint64_t va)
{
	while (start < va) {
		struct engine_instruction insn;
		uint8_t bytes[15];
		size_t size = engine_read(&in->engine, start, bytes, sizeof(bytes));

		engine_code_decode(in->code, bytes, size, start, NULL, &insn);
		start += insn.size ? insn.size : 1;
	}
	return start == va;
}

static bool plant_places(struct inspection *in)
{
	for (size_t i = 0; i < in->when.place_count; i++) {
		const struct inspect_place *wanted = &in->when.places[i];
		const struct symbol *symbol = symbol_named(&in->symbols, wanted->symbol);

		if (*wanted->symbol && !symbol)
			return message_error("--inspect pc=%s: %s has no symbol of that name",
			                     wanted->symbol, in->machine->image.path);
		in->places[i] = wanted->offset + (symbol ? symbol->address : 0);
		if (symbol && wanted->offset < MAX_OFFSET &&
		    !begins_instruction(in, symbol->address, in->places[i]))
			return message_error("--inspect pc=%s+0x%" PRIx64
			                     ": that is in the middle of an instruction",
			                     wanted->symbol, wanted->offset);
		if (!plant(in, in->places[i]))
			return false;
	}
	return true;
}

static bool remember(void *ctx, uint64_t address, enum engine_code_kind kind)
{
	struct inspection *in = ctx;
	bool wanted = kind == CODE_CR3_WRITE ? in->when.cr3_write : in->when.cpl_change;

	if (!wanted)
		return true;
	if (in->found_count == sizeof(in->found) / sizeof(in->found[0])) {
		in->failed = true;
		return message_error("--inspect: the guest has too many such instructions");
	}
	in->found[in->found_count].va = address;
	in->found[in->found_count++].kind = kind;
	in->failed = !plant(in, address);
	return !in->failed;
}

/* Entries: of the vectors asked for, and of those that a KVM may deliver in their place, which our
 * guest's kernel completes. */
static void ask_for_entries(struct inspection *in)
{
	const struct inspect_when *when = &in->when;
	const bool completes = in->machine->image.noted;
	bool any_int = false;

	for (unsigned v = 32; v < 256; v++)
		any_int |= when->vectors[v];
	for (unsigned v = 0; v < 256; v++) {
		if (when->cpl_change || when->vectors[v] ||
		    (completes && v == VECTOR_PF && when->syscall_count) ||
		    (completes && v == VECTOR_UD && any_int))
			engine_add_entry(&in->engine, v);
	}
	if (when->cpl_change || when->syscall_count)
		engine_add_entry(&in->engine, ENGINE_ENTRY_SYSCALL);
}

static bool plant_all(struct inspection *in)
{
	const struct inspect_when *when = &in->when;

	/* Returns and writes of CR3 are found in the text, which the file must tell of. */
	if (when->cr3_write && !in->machine->image.count)
		return message_error("--inspect cr3-write: where this kernel's instructions are is "
		                     "not known; vector=, syscall=, exits and pc= work");
	ask_for_entries(in);
	if (when->cpl_change || when->cr3_write)
		engine_code_find(&in->engine, &in->symbols, in->code, false,
		                 CODE_RETURNS | CODE_BIT(CODE_CR3_WRITE), remember, in);
	in->engine.stop_at_exits = true; /* to count them */
	return !in->failed && plant_places(in);
}

/* ---- Stops -------------------------------------------------------------------------------------
 */

/* Of a kernel that tells of its names, and where it is, only when it runs: from its first system
 * calls on. */
static void learn_names(struct inspection *in)
{
	const struct machine *machine = in->machine;

	if (in->named || !machine->image.protocol->is_pc ||
	    !engine_entry_va(&in->engine, ENGINE_ENTRY_SYSCALL))
		return;
	in->named = true;
	symbols_free(&in->symbols);
	in->symbols = names_read(machine, in->engine.cpu);
}

/* One stop that was asked for: shown, unless first or every=N say otherwise. */
static void show(struct inspection *in, const char *kind, const char *why)
{
	const unsigned cpu = in->engine.cpu->number;
	const struct inspect_state *previous = in->last[cpu].shown ? &in->last[cpu].state : NULL;
	struct inspect_state state;

	if (in->done || in->matches++ % in->when.every)
		return;
	learn_names(in);
	console_flush(&in->machine->console);
	if (!inspect_take(&in->engine, in->code, &in->symbols, &state)) {
		in->lost = true;
		return;
	}
	state.number = in->shown + 1;
	state.exits = in->exits;
	snprintf(state.kind, sizeof(state.kind), "%s", kind);
	snprintf(state.why, sizeof(state.why), "%s", why);
	if (in->manner->json) {
		json_t *object = inspect_json(&state, previous, &in->symbols);

		in->lost |= !object;
		json_dumpf(object, in->out, JSON_COMPACT);
		fputc('\n', in->out);
		json_decref(object);
	} else {
		inspect_print(in->out, &state, previous, &in->symbols);
	}
	in->shown++;
	in->last[cpu].state = state;
	in->last[cpu].shown = true;
	/* Who cannot be told any more need not be stopped for. */
	in->done = in->when.first || ferror(in->out);
}

static void exit_text(const struct cpu *cpu, char *buf, size_t size)
{
	const struct machine *machine = cpu->machine;
	const struct kvm_run *run = cpu->vcpu.run;
	const char *name = stats_reason_name(machine->outcome.exit_reason);

	switch (machine->outcome.exit_reason) {
	case KVM_EXIT_IO:
		snprintf(buf, size, "exit IO: %s %u byte%s, port 0x%x, done; RIP is behind it",
		         run->io.direction == KVM_EXIT_IO_OUT ? "OUT of" : "IN of", run->io.size,
		         units_s(run->io.size), run->io.port);
		break;
	case KVM_EXIT_MMIO:
		snprintf(buf, size, "exit MMIO: %s of %u byte%s at physical 0x%llx",
		         run->mmio.is_write ? "write" : "read", run->mmio.len,
		         units_s(run->mmio.len), run->mmio.phys_addr);
		break;
	default:
		snprintf(buf, size, "exit %s", name);
		break;
	}
}

static void at_exit(struct inspection *in)
{
	uint32_t reason = in->machine->outcome.exit_reason;
	char why[160];

	in->exits++;
	if (!in->when.exits[reason < STATS_REASONS ? reason : STATS_OTHER] &&
	    in->when.count != in->exits)
		return;
	exit_text(in->engine.cpu, why, sizeof(why));
	show(in, "exit", why);
}

static bool is_wanted_place(const struct inspection *in, uint64_t va)
{
	for (size_t i = 0; i < in->when.place_count; i++) {
		if (in->places[i] == va)
			return true;
	}
	return false;
}

static bool is_wanted_syscall(const struct inspection *in, uint64_t number)
{
	for (size_t i = 0; i < in->when.syscall_count; i++) {
		if (in->when.syscalls[i] == number)
			return true;
	}
	return false;
}

static void at_entry(struct inspection *in)
{
	const struct engine_arrival entry = engine_arrival(&in->engine);
	char text[200], why[224];

	if (entry.kind == ENTRY_NONE)
		return;
	engine_arrival_text(&in->engine, &entry, &in->symbols, text, sizeof(text));
	if (entry.kind == ENTRY_VECTOR && in->when.vectors[entry.vector])
		show(in, "vector", text);
	else if (entry.kind == ENTRY_SYSCALL && is_wanted_syscall(in, in->engine.state.regs.rax))
		show(in, "syscall", text);
	else if (in->when.cpl_change && entry.from_user) {
		snprintf(why, sizeof(why), "CPL 3 to 0 by %.200s", text);
		show(in, "cpl-change", why);
	}
}

/* Runs the instruction of a kind that was found in the text, and tells what it did. */
static void at_found(struct inspection *in, enum engine_code_kind kind)
{
	struct engine *engine = &in->engine;
	uint64_t cr3 = engine->state.sregs.cr3;
	char why[160];

	if (engine_step(engine).why != ENGINE_STEPPED || !engine_know(engine))
		return;
	if (kind == CODE_CR3_WRITE) {
		snprintf(why, sizeof(why), "MOV to CR3: 0x%" PRIx64 " to 0x%llx", cr3,
		         engine->state.sregs.cr3);
		show(in, "cr3-write", why);
	} else if (engine_cpl(engine) == 3) {
		snprintf(why, sizeof(why), "CPL 0 to 3 by %s",
		         kind == CODE_SYSRET ? "SYSRET" : "IRETQ");
		show(in, "cpl-change", why);
	}
}

static void at_point(struct inspection *in)
{
	uint64_t rip = in->engine.state.regs.rip;
	char why[160], where[120];

	if (is_wanted_place(in, rip)) {
		snprintf(why, sizeof(why), "before the instruction at %s",
		         symbols_place(&in->symbols, rip, where, sizeof(where)));
		show(in, "pc", why);
	}
	at_entry(in);
	for (size_t i = 0; i < in->found_count; i++) {
		if (in->found[i].va != rip)
			continue;
		at_found(in, in->found[i].kind);
		/* What it led to may be a place as well. */
		if (engine_know(&in->engine) && in->engine.state.regs.rip != rip &&
		    engine_has_point(&in->engine, in->engine.state.regs.rip))
			at_point(in);
		break;
	}
}

static void run_until_end(struct inspection *in)
{
	while (!in->done) {
		struct engine_stop stop = engine_continue(&in->engine);

		switch (stop.why) {
		case ENGINE_POINT:
			at_point(in);
			break;
		case ENGINE_EXIT:
			at_exit(in);
			break;
		case ENGINE_ENDED:
			if (in->when.any_exit && in->machine->outcome.reason != END_SIGNAL &&
			    in->machine->outcome.reason != END_TIMEOUT)
				at_exit(in);
			return;
		case ENGINE_FAILED:
		case ENGINE_IDLE:
		case ENGINE_NO_RING3:
			machine_end(in->machine, END_VMM_FAILED);
			return;
		case ENGINE_STEPPED:
		case ENGINE_WATCHED:
		case ENGINE_INTERRUPTED:
			break;
		}
	}
}

/* ---- All
 * ------------------------------------------------------------------------------------------ */

/* A condition that is never the case ends nothing, and shows nothing. */
static void say_never(const struct inspection *in)
{
	if (!in->matches)
		message_error("--inspect %s: was not the case in %" PRIu64 " exit%s", in->words,
		              in->exits, in->exits == 1 ? "" : "s");
}

/* What was shown goes to where it was asked for.  False after a message. */
static bool close_output(const struct inspection *in)
{
	struct outfile *file = &in->manner->file;

	if (file->stream)
		return outfile_commit(file);
	return output_stderr.error == 0 ||
	       message_error("--inspect: cannot write to standard error: %s",
	                     output_why(&output_stderr));
}

/* False after a message: what was shown is lost. */
static bool inspect(struct inspection *in)
{
	struct machine *machine = in->machine;
	char problem[200];
	bool good = true;
	const bool started = in->code &&
	                     inspect_when_parse(&in->when, in->words, problem, sizeof(problem)) &&
	                     engine_attach(&in->engine, machine);

	if (started && plant_all(in)) {
		run_until_end(in);
		say_never(in);
		good = close_output(in);
	} else {
		machine_end(machine, END_VMM_FAILED);
	}
	if (started && !engine_detach(&in->engine))
		machine_end(machine, END_VMM_FAILED);
	return good;
}

static bool wanted(const void *mine)
{
	return ((const struct inspect_request *)mine)->when;
}

static bool check(void *mine, struct plan *plan)
{
	struct inspect_when when;
	char problem[320];

	plan->stepped = true;
	return inspect_when_parse(&when, ((const struct inspect_request *)mine)->when, problem,
	                          sizeof(problem)) ||
	       message_error("--inspect: %s", problem);
}

static bool drive(void *mine, struct machine *machine, struct manner *manner)
{
	struct inspection *in = calloc(1, sizeof(*in));
	bool good;

	if (!in) {
		machine_end(machine, END_VMM_FAILED);
		return message_error("no memory for --inspect");
	}
	in->machine = machine;
	in->manner = manner;
	in->words = ((const struct inspect_request *)mine)->when;
	in->out = manner->file.stream ? manner->file.stream : stderr;
	in->symbols = names_read(machine, &machine->cpus[0]);
	in->code = engine_code_open();
	good = inspect(in) && !in->lost;
	engine_code_close(in->code);
	symbols_free(&in->symbols);
	free(in);
	if (machine->outcome.reason == END_RUNNING)
		run_cpus(machine);
	return good;
}

const struct instrument inspect_instrument = {
    .option = "inspect", .wanted = wanted, .check = check, .drive = drive};
