#include "vmm/instruments/calls/calls.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/engine/engine.h"
#include "vmm/instruments/calls/call_names.h"
#include "vmm/instruments/names.h"
#include "vmm/look/roots.h"
#include "vmm/run/run.h"

enum { PENDING_MAX = 512, ARGUMENTS = 6, INT80 = 0x80 };

/* A call that has not returned: where it will, in which address space. */
struct pending {
	uint64_t root, back;
	uint64_t number, argument[ARGUMENTS];
	uint64_t begun; /* clock_ns */
	bool int80;
};

struct watch {
	struct machine *machine;
	struct engine engine;
	struct symbols symbols;
	struct call_names names; /* of SYSCALL's; INT 0x80 has other numbers, and no table */
	bool names_read;
	FILE *out;
	uint64_t begun; /* clock_ns */
	uint64_t calls, faults, unseen;
	unsigned pending_count;
	struct pending pending[PENDING_MAX];
};

/* ---- Lines --------------------------------------------------------------------------------- */

static void begin_line(const struct watch *watch, uint64_t when, uint64_t root)
{
	fprintf(watch->out, "%12.6f  %010" PRIx64 "  ", (double)(when - watch->begun) / 1e9, root);
}

/* result: NULL: none came. */
static void print_call(const struct watch *watch, const struct pending *call,
                       const uint64_t *result)
{
	char name[64], text[80];
	unsigned count;

	static const struct call_names none;

	call_name_text(call->int80 ? &none : &watch->names, call->number, name, sizeof(name));
	count = call_argument_count(name);
	begin_line(watch, call->begun, call->root);
	fprintf(watch->out, "%s%s(", call->int80 ? "INT 0x80 " : "", name);
	for (unsigned i = 0; i < count; i++)
		fprintf(watch->out, "%s%s%" PRIx64, i ? ", " : "",
		        call->argument[i] < 10 ? "" : "0x", call->argument[i]);
	fprintf(watch->out, ") = %s\n",
	        result ? call_result_text(*result, text, sizeof(text)) : "?");
}

static void print_fault(struct watch *watch)
{
	const struct engine *engine = &watch->engine;
	struct engine_frame frame;

	if (!engine_frame(engine, VECTOR_PF, &frame) || (frame.cs & 3) != 3)
		return;
	watch->faults++;
	begin_line(watch, clock_ns(), engine->state.sregs.cr3 & CR3_FRAME);
	fprintf(watch->out, "#PF(0x%" PRIx64 ") at 0x%llx, RIP 0x%" PRIx64 "\n", frame.error,
	        engine->state.sregs.cr2, frame.rip);
}

/* ---- Calls --------------------------------------------------------------------------------- */

/* Once: through the root that is in force, or, if ring 3's is, which has no more of the kernel than
 * its entries, through the kernel's. */
static void read_names(struct watch *watch)
{
	const struct machine *machine = watch->machine;
	const struct vcpu_state *state = &watch->engine.state;
	struct kvm_sregs sregs = state->sregs;

	if (watch->names_read)
		return;
	watch->names_read = true;
	watch->symbols = names_read(machine, watch->engine.cpu);
	for (unsigned tries = 0; tries < 2 && !watch->names.count; tries++) {
		const struct view view =
		    view_make(&machine->memory, &state->regs, &sregs, machine->boot.kernel.geo);

		call_names_read(&watch->names, &watch->symbols, &view);
		sregs.cr3 = roots_of_linux(sregs.cr3).kernel;
	}
}

static void begin_call(struct watch *watch, struct pending call)
{
	struct engine *engine = &watch->engine;

	watch->calls++;
	read_names(watch);
	call.root = engine->state.sregs.cr3 & CR3_FRAME;
	call.begun = clock_ns();
	if (watch->pending_count == PENDING_MAX ||
	    engine_add_point(engine, call.back) != ENGINE_OK) {
		watch->unseen++;
		print_call(watch, &call, NULL);
		return;
	}
	watch->pending[watch->pending_count++] = call;
}

static void at_syscall(struct watch *watch)
{
	const struct kvm_regs *r = &watch->engine.state.regs;

	begin_call(watch, (struct pending){
	                      .back = r->rcx,
	                      .number = r->rax,
	                      .argument = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9},
	                  });
}

static void at_int80(struct watch *watch)
{
	const struct kvm_regs *r = &watch->engine.state.regs;
	struct engine_frame frame;

	if (!engine_frame(&watch->engine, INT80, &frame) || (frame.cs & 3) != 3)
		return;
	begin_call(watch, (struct pending){
	                      .back = frame.rip,
	                      .number = r->rax,
	                      .argument = {r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp},
	                      .int80 = true,
	                  });
}

/* Back in ring 3: the call that was to return here in this address space.  Another one may pass
 * through the same instruction, a child of fork for one. */
static void at_return(struct watch *watch, uint64_t rip)
{
	struct engine *engine = &watch->engine;
	const uint64_t root = engine->state.sregs.cr3 & CR3_FRAME;

	for (unsigned i = 0; i < watch->pending_count; i++) {
		const struct pending *call = &watch->pending[i];
		const uint64_t result = engine->state.regs.rax;

		if (call->root != root || call->back != rip)
			continue;
		print_call(watch, call, &result);
		watch->pending[i] = watch->pending[--watch->pending_count];
		engine_remove_point(engine, rip);
		return;
	}
}

static void at_point(struct watch *watch)
{
	const struct engine *engine = &watch->engine;
	const uint64_t rip = engine->state.regs.rip;

	if (engine_cpl(engine) == 3)
		at_return(watch, rip);
	else if (rip == engine_entry_va(engine, ENGINE_ENTRY_SYSCALL))
		at_syscall(watch);
	else if (rip == engine_entry_va(engine, INT80))
		at_int80(watch);
	else if (rip == engine_entry_va(engine, VECTOR_PF))
		print_fault(watch);
}

/* ---- The instrument ------------------------------------------------------------------------ */

static void run_to_end(struct watch *watch)
{
	for (;;) {
		const struct engine_stop stop = engine_continue(&watch->engine);

		switch (stop.why) {
		case ENGINE_POINT:
			if (!engine_know(&watch->engine))
				return;
			at_point(watch);
			break;
		case ENGINE_ENDED:
			return;
		case ENGINE_FAILED:
		case ENGINE_NO_RING3:
			message_error("--calls: the guest cannot be watched any further");
			machine_end(watch->machine, END_VMM_FAILED);
			return;
		case ENGINE_IDLE:
			run_end_stopped(watch->machine);
			return;
		default:
			break;
		}
	}
}

static bool watch_run(struct watch *watch)
{
	static const unsigned entries[] = {ENGINE_ENTRY_SYSCALL, INT80, VECTOR_PF};

	if (!engine_attach(&watch->engine, watch->machine))
		return false;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		engine_add_entry(&watch->engine, entries[i]);
	fputs("#    seconds  CR3 of ring 3\n", watch->out);
	run_to_end(watch);
	for (unsigned i = 0; i < watch->pending_count; i++)
		print_call(watch, &watch->pending[i], NULL);
	fprintf(watch->out,
	        "# %" PRIu64 " system calls, %" PRIu64 " page faults of ring 3; %" PRIu64
	        " calls whose return was not watched\n",
	        watch->calls, watch->faults, watch->unseen);
	return engine_detach(&watch->engine);
}

static bool wanted(const void *mine)
{
	return ((const struct calls_request *)mine)->file.path;
}

static bool check(void *mine, struct plan *plan)
{
	(void)mine;
	plan->stepped = true;
	return true;
}

static bool drive(void *mine, struct machine *machine, struct manner *manner)
{
	struct outfile *file = &((struct calls_request *)mine)->file;
	struct watch *watch = calloc(1, sizeof(*watch));
	bool good;

	(void)manner;
	if (!watch) {
		machine_end(machine, END_VMM_FAILED);
		return message_error("--calls: no memory: %s", strerror(errno));
	}
	watch->machine = machine;
	watch->out = file->stream;
	watch->begun = clock_ns();
	good = watch_run(watch);
	if (!good && machine->outcome.reason == END_RUNNING)
		machine_end(machine, END_VMM_FAILED);
	symbols_free(&watch->symbols);
	free(watch);
	return outfile_commit(file) && good;
}

const struct instrument calls_instrument = {
    .option = "calls", .wanted = wanted, .check = check, .drive = drive};
