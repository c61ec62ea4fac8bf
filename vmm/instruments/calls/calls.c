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
#include "vmm/instruments/calls/costs.h"
#include "vmm/instruments/names.h"
#include "vmm/look/roots.h"
#include "vmm/run/run.h"

enum { PENDING_MAX = 512, ARGUMENTS = 6, INT80 = 0x80 };
enum { VECTOR_INTERRUPTS = 32, VECTORS = 256 };

/* A call that has not returned: where it will, in which address space.  For --costs a fault or an
 * interrupt, too. */
struct pending {
	unsigned kind; /* of struct seen_crossing */
	uint64_t root, back;
	uint64_t number, argument[ARGUMENTS];
	uint64_t begun; /* clock_ns */
};

struct watch {
	struct machine *machine;
	struct engine engine;
	struct symbols symbols;
	struct call_names names; /* of SYSCALL's; INT 0x80 has other numbers, and no table */
	bool names_read;
	FILE *out;                             /* NULL: only costs are wanted */
	struct costs *costs;                   /* NULL: they are not */
	uint64_t free_runs, free_ticks, steps; /* the engine's, at the stop before */
	uint64_t begun;                        /* clock_ns */
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
	if (watch->out)
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

static void name_text(const struct watch *watch, const struct pending *call, char *buf, size_t size)
{
	static const struct call_names none;

	call_name_text(call->kind == CROSSING_INT80 ? &none : &watch->names, call->number, buf,
	               size);
}

/* result: NULL: none came. */
static void tell_call(const struct watch *watch, const struct pending *call, const uint64_t *result)
{
	char name[64], arguments[ARGUMENTS * 20 + 1], text[80];

	name_text(watch, call, name, sizeof(name));
	arguments_text(call, call_argument_count(name), arguments, sizeof(arguments));
	tell(watch, &(struct seen_crossing){
	                .kind = call->kind,
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

/* Not before there is a program that they can interrupt: a kernel boots with many. */
static void watch_interrupts(struct watch *watch)
{
	for (unsigned vector = VECTOR_INTERRUPTS; vector < VECTORS; vector++) {
		if (vector != INT80)
			engine_add_entry(&watch->engine, vector);
	}
}

/* What is to come back, and will be seen.  False: it will not. */
static bool await(struct watch *watch, const struct pending *call)
{
	struct seen_crossing crossing = {
	    .kind = call->kind, .root = call->root, .number = call->number};
	const bool room = watch->pending_count < PENDING_MAX &&
	                  engine_add_point(&watch->engine, call->back) == ENGINE_OK;
	char name[64];

	if (room)
		watch->pending[watch->pending_count++] = *call;
	if (call->kind == CROSSING_SYSCALL || call->kind == CROSSING_INT80) {
		name_text(watch, call, name, sizeof(name));
		crossing.name = name;
	}
	if (watch->costs)
		costs_enter(watch->costs, &crossing, room);
	return room;
}

static void begin_call(struct watch *watch, struct pending call)
{
	if (!watch->calls++)
		watch_interrupts(watch);
	read_names(watch);
	call.root = watch->engine.state.sregs.cr3 & CR3_FRAME;
	call.begun = clock_ns();
	if (!await(watch, &call)) {
		watch->unseen++;
		tell_call(watch, &call, NULL);
	}
}

static void at_syscall(struct watch *watch)
{
	const struct kvm_regs *r = &watch->engine.state.regs;

	begin_call(watch, (struct pending){
	                      .kind = CROSSING_SYSCALL,
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
	                      .kind = CROSSING_INT80,
	                      .back = frame.rip,
	                      .number = r->rax,
	                      .argument = {r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp},
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
	if (watch->costs)
		await(watch, &(struct pending){
		                 .kind = fault ? CROSSING_FAULT : CROSSING_INTERRUPT,
		                 .root = engine->state.sregs.cr3 & CR3_FRAME,
		                 .back = frame.rip,
		                 .number = vector,
		             });
}

static void came_back(struct watch *watch, struct pending *call)
{
	const uint64_t result = watch->engine.state.regs.rax, back = call->back;

	if (call->kind == CROSSING_SYSCALL || call->kind == CROSSING_INT80)
		tell_call(watch, call, &result);
	*call = watch->pending[--watch->pending_count];
	engine_remove_point(&watch->engine, back);
}

/* Back in ring 3: the call that was to return here in this address space.  Another one may pass
 * through the same instruction, a child of fork for one. */
static void at_return(struct watch *watch, uint64_t rip)
{
	const uint64_t root = watch->engine.state.sregs.cr3 & CR3_FRAME;
	struct pending *call = NULL;

	for (unsigned i = 0; i < watch->pending_count && !call; i++) {
		if (watch->pending[i].root == root && watch->pending[i].back == rip)
			call = &watch->pending[i];
	}
	if (watch->costs)
		costs_leave(watch->costs, root,
		            call ? &(struct seen_crossing){.kind = call->kind,
		                                           .root = root,
		                                           .number = call->number}
		                 : NULL);
	if (call)
		came_back(watch, call);
}

/* ---- Costs --------------------------------------------------------------------------------- */

static void pass(struct watch *watch)
{
	const struct engine *engine = &watch->engine;
	const struct costs_passed passed = {
	    .ticks = engine->free_ticks - watch->free_ticks,
	    .runs = (unsigned)(engine->free_runs - watch->free_runs),
	    .steps = (unsigned)(engine->steps - watch->steps),
	};

	costs_pass(watch->costs, &passed, engine_cpl(engine) == 3);
}

/* What an entry into the guest and an exit from it take by themselves, behind one instruction that
 * was stepped, as a crossing's are: KVM has more to do then.  False: nothing can be seen any more.
 */
static bool calibrate(struct watch *watch)
{
	struct engine *engine = &watch->engine;
	uint64_t ticks, rip;
	bool good;

	if (engine_step(engine).why != ENGINE_STEPPED || !engine_know(engine))
		return false;
	rip = engine->state.regs.rip;
	if (engine_cpl(engine) == 3 || engine_add_point(engine, rip) != ENGINE_OK)
		return true;
	good = engine_enter_in_vain(engine, &ticks) && engine_know(engine);
	engine_remove_point(engine, rip);
	if (good)
		costs_calibrate(watch->costs, ticks);
	return good;
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

/* True: the guest can be watched further. */
static bool serve(struct watch *watch)
{
	struct engine *engine = &watch->engine;
	bool good = true, ring0;

	if (!engine_know(engine))
		return false;
	ring0 = engine_cpl(engine) != 3;
	if (watch->costs)
		pass(watch);
	at_point(watch);
	watch->steps = engine->steps;
	if (watch->costs && ring0 && costs_wants_calibration(watch->costs))
		good = calibrate(watch);
	watch->free_runs = engine->free_runs;
	watch->free_ticks = engine->free_ticks;
	return good;
}

/* ---- The instrument ------------------------------------------------------------------------ */

static void fail(struct watch *watch)
{
	if (watch->machine->outcome.reason != END_RUNNING)
		return;
	message_error("--calls: the guest cannot be watched any further");
	machine_end(watch->machine, END_VMM_FAILED);
}

static void run_to_end(struct watch *watch)
{
	for (;;) {
		const struct engine_stop stop = engine_continue(&watch->engine);

		switch (stop.why) {
		case ENGINE_POINT:
			if (serve(watch))
				break;
			fail(watch);
			return;
		case ENGINE_ENDED:
			return;
		case ENGINE_FAILED:
		case ENGINE_NO_RING3:
			fail(watch);
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

static void print_end(struct watch *watch)
{
	for (unsigned i = 0; i < watch->pending_count; i++) {
		const struct pending *call = &watch->pending[i];

		if (call->kind == CROSSING_SYSCALL || call->kind == CROSSING_INT80)
			tell_call(watch, call, NULL);
	}
	if (!watch->out)
		return;
	fprintf(watch->out,
	        "# %" PRIu64 " system calls, %" PRIu64 " page faults and %" PRIu64
	        " interrupts of ring 3; %" PRIu64 " calls whose return was not watched\n",
	        watch->calls, watch->faults, watch->interrupts, watch->unseen);
	print_price(watch);
}

static bool watch_run(struct watch *watch)
{
	static const unsigned entries[] = {ENGINE_ENTRY_SYSCALL, INT80, VECTOR_PF};

	if (!engine_attach(&watch->engine, watch->machine))
		return false;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		engine_add_entry(&watch->engine, entries[i]);
	if (watch->out)
		fputs("#    seconds  CR3 of ring 3\n", watch->out);
	run_to_end(watch);
	print_end(watch);
	return engine_detach(&watch->engine);
}

static bool wanted(const void *mine)
{
	const struct calls_request *request = mine;

	return request->file.path || request->costs.path;
}

static bool check(void *mine, struct plan *plan)
{
	const struct calls_request *request = mine;

	plan->stepped = true;
	return !request->costs.path || plan->cpus == 1 ||
	       message_error("--costs: one CPU's costs can be told from another's by nothing: "
	                     "leave out --cpus");
}

static bool watch_machine(struct watch *watch, struct outfile *costs, bool json)
{
	bool good = watch_run(watch);

	if (!good && watch->machine->outcome.reason == END_RUNNING)
		machine_end(watch->machine, END_VMM_FAILED);
	if (!watch->costs)
		return good;
	if (json)
		good = costs_print_json(watch->costs, costs->stream) && good;
	else
		costs_print(watch->costs, costs->stream);
	return outfile_commit(costs) && good;
}

static bool drive(void *mine, struct machine *machine, struct manner *manner)
{
	struct calls_request *request = mine;
	struct watch *watch = calloc(1, sizeof(*watch));
	struct costs *costs = calloc(1, sizeof(*costs));
	bool good = watch && costs;

	if (good) {
		watch->machine = machine;
		watch->out = request->file.stream;
		watch->begun = clock_ns();
		watch->costs = request->costs.stream ? costs : NULL;
		costs->instructions = costs_tsc_counts();
		good = watch_machine(watch, &request->costs, manner->json);
		symbols_free(&watch->symbols);
	} else {
		machine_end(machine, END_VMM_FAILED);
		message_error("--calls: no memory: %s", strerror(errno));
	}
	free(watch);
	free(costs);
	return (!request->file.stream || outfile_commit(&request->file)) && good;
}

const struct instrument calls_instrument = {
    .option = "calls", .wanted = wanted, .check = check, .drive = drive};
