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
#include "vmm/run/run.h"

enum { PENDING_MAX = 512, ARGUMENTS = 6, INT80 = 0x80 };
enum { VECTOR_INTERRUPTS = 32, VECTORS = 256 };

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
	uint64_t calls, faults, interrupts, unseen;
	unsigned pending_count;
	struct pending pending[PENDING_MAX];
};

/* ---- Lines --------------------------------------------------------------------------------- */

static void print_crossing(const struct watch *watch, const struct seen_crossing *c)
{
	fprintf(watch->out, "%12.6f  %010" PRIx64 "  ", (double)(c->begun - watch->begun) / 1e9,
	        c->root);
	switch (c->kind) {
	case CROSSING_SYSCALL:
	case CROSSING_INT80:
		fprintf(watch->out, "%s%s(%s) = %s\n", c->kind == CROSSING_INT80 ? "INT 0x80 " : "",
		        c->name, c->arguments, c->result ? c->result : "?");
		break;
	case CROSSING_FAULT:
		fprintf(watch->out, "#PF(0x%" PRIx64 ") at 0x%" PRIx64 ", RIP 0x%" PRIx64 "\n",
		        c->error, c->address, c->rip);
		break;
	case CROSSING_INTERRUPT:
		fprintf(watch->out, "interrupt 0x%" PRIx64 ", RIP 0x%" PRIx64 "\n", c->number,
		        c->rip);
		break;
	}
}

static void tell(const struct watch *watch, const struct seen_crossing *crossing)
{
	print_crossing(watch, crossing);
	observers_crossed(watch->machine->observers, watch->engine.cpu, crossing);
}

static void arguments_text(const struct pending *call, unsigned count, char *buf, size_t size)
{
	size_t used = 0;

	*buf = '\0';
	for (unsigned i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s%" PRIx64, i ? ", " : "",
		                         call->argument[i] < 10 ? "" : "0x", call->argument[i]);
}

/* result: NULL: none came. */
static void tell_call(const struct watch *watch, const struct pending *call, const uint64_t *result)
{
	static const struct call_names none;
	char name[64], arguments[ARGUMENTS * 20 + 1], text[80];

	call_name_text(call->int80 ? &none : &watch->names, call->number, name, sizeof(name));
	arguments_text(call, call_argument_count(name), arguments, sizeof(arguments));
	tell(watch, &(struct seen_crossing){
	                .kind = call->int80 ? CROSSING_INT80 : CROSSING_SYSCALL,
	                .root = call->root,
	                .begun = call->begun,
	                .ended = result ? clock_ns() : call->begun,
	                .number = call->number,
	                .name = name,
	                .arguments = arguments,
	                .result = result ? call_result_text(*result, text, sizeof(text)) : NULL,
	            });
}

/* ---- Calls --------------------------------------------------------------------------------- */

/* Once: through the root that is in force, or, if ring 3's is, which has no more of the kernel than
 * its entries, through the kernel's: Linux has it in the page before. */
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
		sregs.cr3 &= CR3_FRAME & ~(uint64_t)PAGE_SIZE;
	}
}

/* Not before there is a program that they can interrupt: a kernel boots with many. */
static void watch_interrupts(struct watch *watch)
{
	for (unsigned vector = VECTOR_INTERRUPTS; vector < VECTORS; vector++) {
		if (vector != INT80)
			engine_add_entry(&watch->engine, vector);
	}
}

static void begin_call(struct watch *watch, struct pending call)
{
	struct engine *engine = &watch->engine;

	if (!watch->calls++)
		watch_interrupts(watch);
	read_names(watch);
	call.root = engine->state.sregs.cr3 & CR3_FRAME;
	call.begun = clock_ns();
	if (watch->pending_count == PENDING_MAX ||
	    engine_add_point(engine, call.back) != ENGINE_OK) {
		watch->unseen++;
		tell_call(watch, &call, NULL);
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

/* Of ring 3; others are the kernel's own business. */
static void at_vector(struct watch *watch, unsigned vector)
{
	const struct engine *engine = &watch->engine;
	const bool fault = vector == VECTOR_PF;
	struct engine_frame frame;
	uint64_t now;

	if (!engine_frame(engine, vector, &frame) || (frame.cs & 3) != 3)
		return;
	/* One KVM delivers a SYSCALL so: what it leaves in the registers is there. */
	if (fault && engine_entry(engine, frame.rip) == ENGINE_ENTRY_SYSCALL) {
		at_syscall(watch);
		return;
	}
	*(fault ? &watch->faults : &watch->interrupts) += 1;
	now = clock_ns();
	tell(watch, &(struct seen_crossing){
	                .kind = fault ? CROSSING_FAULT : CROSSING_INTERRUPT,
	                .root = engine->state.sregs.cr3 & CR3_FRAME,
	                .begun = now,
	                .ended = now,
	                .number = vector,
	                .error = frame.error,
	                .address = fault ? engine->state.sregs.cr2 : 0,
	                .rip = frame.rip,
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
		tell_call(watch, call, &result);
		watch->pending[i] = watch->pending[--watch->pending_count];
		engine_remove_point(engine, rip);
		return;
	}
}

static void at_point(struct watch *watch)
{
	const struct engine *engine = &watch->engine;
	const uint64_t rip = engine->state.regs.rip;
	const int entry = engine_entry(engine, rip);

	if (engine_cpl(engine) == 3)
		at_return(watch, rip);
	else if (entry == ENGINE_ENTRY_SYSCALL)
		at_syscall(watch);
	else if (entry == INT80)
		at_int80(watch);
	else if (entry == VECTOR_PF || (entry >= VECTOR_INTERRUPTS && entry < VECTORS))
		at_vector(watch, (unsigned)entry);
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

/* Measured: how much of the run went into watching it. */
static void print_price(const struct watch *watch)
{
	const uint64_t ticks = stats_now() - watch->machine->cpus[0].stats.tick0;

	fprintf(watch->out,
	        "# %" PRIu64
	        " exits were planted for this; they took %.1f %% of the run's %.3f s\n",
	        watch->engine.own_exits,
	        ticks ? 100 * (double)watch->engine.own_ticks / (double)ticks : 0,
	        (double)(clock_ns() - watch->begun) / 1e9);
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
		tell_call(watch, &watch->pending[i], NULL);
	fprintf(watch->out,
	        "# %" PRIu64 " system calls, %" PRIu64 " page faults and %" PRIu64
	        " interrupts of ring 3; %" PRIu64 " calls whose return was not watched\n",
	        watch->calls, watch->faults, watch->interrupts, watch->unseen);
	print_price(watch);
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
