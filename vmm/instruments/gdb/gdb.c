/* The session with gdb: how the guest runs and stops in it. */
#include "vmm/instruments/gdb/gdb.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/base/stop.h"
#include "vmm/engine/engine.h"
#include "vmm/instruments/gdb/gdb_line.h"
#include "vmm/instruments/gdb/gdb_registers.h"
#include "vmm/instruments/gdb/internal.h"
#include "vmm/run/run.h"
#include "vmm/run/threads.h"

enum { TRAP = 5 /* SIGTRAP, gdb's numbers */ };

/* ---- Stops -------------------------------------------------------------------------------------
 */

static const char *point_word(const struct gdb *gdb, uint64_t va)
{
	for (size_t i = 0; i < gdb->plant_count; i++) {
		if (gdb->plants[i].va != va)
			continue;
		if (gdb->plants[i].hardware)
			return gdb->hwbreak ? "hwbreak:;" : "";
		return gdb->swbreak ? "swbreak:;" : "";
	}
	return "";
}

/* To gdb each CPU that was started is a thread; 0 is no thread's number. */
unsigned gdb_thread_of(const struct cpu *cpu)
{
	return 1 + cpu->number;
}

/* NULL: there is no such thread. */
struct cpu *gdb_cpu_of(const struct gdb *gdb, uint64_t thread)
{
	struct machine *machine = gdb->machine;

	if (thread < 1 || thread > machine->boot.cpus || !machine->cpus[thread - 1].started)
		return NULL;
	return &machine->cpus[thread - 1];
}

void gdb_set_stop(struct gdb *gdb, int signal, const char *more)
{
	gdb->stopped_cpu = gdb->engine.cpu;
	snprintf(gdb->stopped, sizeof(gdb->stopped), "T%02xthread:%x;%s", (unsigned)signal,
	         gdb_thread_of(gdb->engine.cpu), more);
}

/* The guest will not run any more: how it ended, or first a chance to look at what it died of, and
 * to go back. */
static void set_end(struct gdb *gdb)
{
	const struct outcome *outcome = &gdb->machine->outcome;
	bool died = outcome_status(outcome) == STATUS_GUEST_DIED;

	if ((died || gdb->history) && !gdb->dead) {
		gdb->dead = true;
		gdb->engine.known = gdb->engine.changed = false;
		gdb->engine.cpu = machine_last_cpu(gdb->machine);
		if (died)
			gdb_set_stop(gdb, outcome->reason == END_PANIC ? SIGABRT : SIGSEGV, "");
		else
			gdb_set_stop(gdb, TRAP, "replaylog:end;");
		return;
	}
	gdb->finished = true;
	switch (outcome->reason) {
	case END_EXITED:
	case END_HALTED:
		snprintf(gdb->stopped, sizeof(gdb->stopped), "W%02x",
		         (unsigned)outcome_status(outcome));
		break;
	case END_TIMEOUT:
		snprintf(gdb->stopped, sizeof(gdb->stopped), "X%02x", SIGALRM);
		break;
	case END_SIGNAL:
		snprintf(gdb->stopped, sizeof(gdb->stopped), "X%02x", (unsigned)outcome->signal);
		break;
	default:
		snprintf(gdb->stopped, sizeof(gdb->stopped), "X%02x", SIGABRT);
		break;
	}
}

void gdb_note_stop(struct gdb *gdb, const struct engine_stop *stop)
{
	char more[64];

	console_flush(&gdb->machine->console);
	switch (stop->why) {
	case ENGINE_ENDED:
		set_end(gdb);
		return;
	case ENGINE_WATCHED:
		snprintf(more, sizeof(more), "watch:%" PRIx64 ";", stop->watch->va);
		gdb_set_stop(gdb, TRAP, more);
		return;
	case ENGINE_POINT:
		gdb_set_stop(gdb, TRAP, point_word(gdb, gdb->engine.state.regs.rip));
		return;
	case ENGINE_INTERRUPTED:
		gdb_set_stop(gdb, SIGINT, "");
		return;
	case ENGINE_FAILED:
		message_error("gdb: the guest cannot go on");
		machine_end(gdb->machine, END_VMM_FAILED);
		set_end(gdb);
		return;
	case ENGINE_NO_RING3:
		message_error(
		    "gdb: ring 3 of a guest whose IDT has no gates for #DB and #BP cannot "
		    "be stepped");
		gdb_set_stop(gdb, TRAP, "");
		return;
	case ENGINE_STEPPED:
	case ENGINE_IDLE:
	case ENGINE_EXIT:
		gdb_set_stop(gdb, TRAP, "");
		return;
	}
}

/* ---- Running
 * ------------------------------------------------------------------------------------- */

/* Looks at what came while the guest ran: true for Ctrl-C and for a connection that has ended. */
static bool wants_stop(struct gdb *gdb)
{
	gdb_line_attention = 0;
	while (gdb_line_has_input(&gdb->line)) {
		int byte = gdb_line_get(&gdb->line);

		if (byte < 0) {
			gdb->finished = gdb->leave = true;
			return true;
		}
		if (gdb_packet_feed(&gdb->packet, (uint8_t)byte) == GDB_INTERRUPT)
			return true;
	}
	return false;
}

static struct engine_stop one_step(struct gdb *gdb)
{
	struct engine_stop stop;

	if (!gdb->history)
		return engine_step(&gdb->engine);
	stop = history_step(gdb->history);
	if (stop.why == ENGINE_FAILED && gdb->machine->outcome.reason == END_RUNNING) {
		gdb_end_history(gdb);
		stop.why = ENGINE_STEPPED;
	}
	return stop;
}

static struct engine_stop let_others(struct gdb *gdb)
{
	return gdb->history ? history_let_others(gdb->history) : engine_let_others(&gdb->engine);
}

/* One instruction.  *done: RIP has left the range, if there is one (end > start). */
static struct engine_stop step_once(struct gdb *gdb, uint64_t start, uint64_t end, bool *done)
{
	struct engine *engine = &gdb->engine;
	struct engine_stop stop = one_step(gdb);

	if (stop.why != ENGINE_STEPPED)
		return stop;
	if (engine_has_point(engine, engine->state.regs.rip))
		stop.why = ENGINE_POINT;
	else if (engine->state.regs.rip - start < end - start)
		return let_others(gdb);
	*done = true;
	return stop;
}

/* Until the guest stops.  With end > start: one instruction, and on while RIP stays in that range.
 */
static struct engine_stop run_until_stop(struct gdb *gdb, bool step, uint64_t start, uint64_t end)
{
	struct engine_stop stop;
	bool done = false;

	if (gdb->history && !step) {
		/* Also on the way on, so that there is one back. */
		step = true;
		end = UINT64_MAX;
	}
	do {
		if (wants_stop(gdb))
			return (struct engine_stop){.why = ENGINE_INTERRUPTED};
		/* A CPU that has halted for ever makes no step, but the others go on. */
		if (step && !gdb->engine.cpu->halted) {
			stop = step_once(gdb, start, end, &done);
		} else {
			stop = engine_continue(&gdb->engine);
			gdb_changed(gdb);
		}
		/* Nothing will happen before gdb speaks or the VMM is to stop. */
		if (stop.why == ENGINE_IDLE && !gdb_line_wait(&gdb->line)) {
			run_end_stopped(gdb->machine);
			return (struct engine_stop){.why = ENGINE_ENDED};
		}
	} while (!done && (stop.why == ENGINE_INTERRUPTED || stop.why == ENGINE_STEPPED ||
	                   stop.why == ENGINE_IDLE));
	return stop;
}

static void resume(struct gdb *gdb, bool step, uint64_t start, uint64_t end)
{
	struct engine_stop stop = {.why = ENGINE_ENDED};

	if (!gdb->dead)
		stop = run_until_stop(gdb, step, start, end);
	if (gdb->leave)
		return;
	gdb_note_stop(gdb, &stop);
	gdb_answer(gdb, gdb->stopped);
}

/* c, s, C and S with a signal, which the guest has none of.  gdb never gives an address behind it,
 * and where to go on from cannot be said here. */
void gdb_do_resume(struct gdb *gdb, const char *packet)
{
	const char action = gdb->packet.data[0];
	uint64_t signal;

	gdb->engine.running = ~0U;
	if (((action == 'C' || action == 'S') && !gdb_parse_number(&packet, &signal)) || *packet ||
	    !engine_select(&gdb->engine, gdb->stopped_cpu)) {
		gdb_answer_ok(gdb, false);
		return;
	}
	resume(gdb, action == 's' || action == 'S', 0, 0);
}

/* What vCont wants: of each CPU the first action that names it or all. */
struct wanted {
	unsigned running; /* bitmap: those with any action */
	struct cpu *step; /* the one to be stepped; NULL: none */
	uint64_t start, end;
};

/* "[:THREAD]": the CPUs that it names, as a bitmap; all without one.  One that may still start can
 * be named, another not. */
static bool parse_thread(const struct gdb *gdb, const char **packet, unsigned *named)
{
	uint64_t thread;

	*named = (1U << gdb->machine->boot.cpus) - 1;
	if (!gdb_parse_text(packet, ":") || gdb_parse_text(packet, "-1"))
		return true;
	if (!gdb_parse_number(packet, &thread) || thread > gdb->machine->boot.cpus)
		return false;
	if (thread)
		*named = 1U << (thread - 1);
	return true;
}

/* ACTION[:THREAD], one of them. */
static bool parse_action(struct gdb *gdb, const char **packet, struct wanted *wanted)
{
	const char action = **packet;
	uint64_t start = 0, end = 0, signal;
	unsigned named;

	if (!action || !strchr("cCsSr", action))
		return false;
	++*packet;
	if (action == 'r' && (!gdb_parse_number(packet, &start) || !gdb_parse_text(packet, ",") ||
	                      !gdb_parse_number(packet, &end) || end < start))
		return false;
	if ((action == 'C' || action == 'S') && !gdb_parse_number(packet, &signal))
		return false;
	if (!parse_thread(gdb, packet, &named))
		return false;
	named &= ~wanted->running;
	wanted->running |= named;
	if (action == 'c' || action == 'C')
		return true;
	/* One at a time: gdb steps no more either. */
	for (unsigned i = 0; i < gdb->machine->boot.cpus && !wanted->step; i++) {
		if (named >> i & 1 && gdb->machine->cpus[i].started)
			wanted->step = &gdb->machine->cpus[i];
	}
	wanted->start = start;
	wanted->end = end;
	return wanted->step || !named;
}

/* vCont;ACTION[:THREAD][;ACTION[:THREAD]]... */
void gdb_do_vcont(struct gdb *gdb, const char *packet)
{
	struct wanted wanted = {0};
	bool good;

	do
		good = parse_action(gdb, &packet, &wanted);
	while (good && gdb_parse_text(&packet, ";"));
	if (!good || *packet ||
	    !engine_select(&gdb->engine, wanted.step ? wanted.step : gdb->stopped_cpu)) {
		gdb_answer_ok(gdb, false);
		return;
	}
	gdb->engine.running = wanted.running;
	resume(gdb, wanted.step, wanted.start, wanted.end);
}

/* ---- The session
 * ----------------------------------------------------------------------------------- */

static bool refuse(struct gdb *gdb)
{
	gdb_line_refuse(&gdb->line);
	return false;
}

/* One byte of gdb's.  False: the connection has ended.  Before the first packet all of them must be
 * gdb's; later, others are noise. */
static bool serve_byte(struct gdb *gdb, uint8_t byte)
{
	bool ack = !gdb->no_ack, heard;

	switch (gdb_packet_feed(&gdb->packet, byte)) {
	case GDB_PACKET:
		gdb->greeted = true;
		heard = !ack || gdb_line_put(&gdb->line, "+", 1);
		/* Who sends 'k' need not wait: what was said counts. */
		if (!heard && gdb->packet.data[0] != 'k')
			return false;
		gdb_serve_packet(gdb);
		/* 'k' has no reply, and nobody hears one who has left. */
		if (gdb->finished && gdb_reply_is_empty(&gdb->reply))
			return true;
		return gdb_send_reply(gdb);
	case GDB_GARBLED:
		if (!gdb->greeted)
			return refuse(gdb);
		return !ack || gdb_line_put(&gdb->line, "-", 1);
	case GDB_NAK:
		return gdb->no_ack || gdb_line_put(&gdb->line, gdb->reply.data, gdb->reply.size);
	case GDB_FOREIGN:
		return gdb->greeted || refuse(gdb);
	case GDB_NOTHING:
	case GDB_ACK:
	case GDB_INTERRUPT: /* it is stopped already */
		return true;
	}
	return true;
}

static void serve(struct gdb *gdb)
{
	while (!gdb->finished) {
		int byte = gdb_line_get(&gdb->line);

		if (byte >= 0 && serve_byte(gdb, (uint8_t)byte))
			continue;
		gdb->finished = gdb->leave = true;
	}
}

/* The guest stands still; afterwards it may go on as if nobody had been there. */
static void run_session(struct gdb *gdb)
{
	struct machine *machine = gdb->machine;

	*gdb = (struct gdb){.machine = machine, .line = gdb->line};
	if (!engine_attach(&gdb->engine, machine)) {
		machine_end(machine, END_VMM_FAILED);
		return;
	}
	gdb_set_stop(gdb, TRAP, "");
	gdb->engine.attention = &gdb_line_attention;
	gdb->xml = gdb_registers_xml();
	serve(gdb);
	free(gdb->xml);
	gdb_end_history(gdb);
	gdb_line_drop(&gdb->line);
	if (!engine_detach(&gdb->engine))
		machine_end(machine, END_VMM_FAILED);
	if (machine->outcome.reason == END_RUNNING && stop_requested())
		run_end_stopped(machine);
}

/* The guest by itself, at full speed, to its end or until the next gdb is there.  False: the run is
 * over. */
static bool run_alone(struct gdb *gdb)
{
	struct machine *machine = gdb->machine;

	machine->attention = &gdb_line_attention;
	while (machine->outcome.reason == END_RUNNING) {
		gdb_line_attention = 0;
		/* A signal for gdb may have left it set; one that ends the run is looked at again.
		 */
		for (unsigned i = 0; i < machine->boot.cpus; i++)
			machine->cpus[i].vcpu.run->immediate_exit = stop_requested() ? 1 : 0;
		/* Who comes behind this question ends KVM_RUN. */
		if (gdb_line_is_called(&gdb->line))
			break;
		run_cpus(machine);
		threads_gather(machine);
	}
	machine->attention = NULL;
	return machine->outcome.reason == END_RUNNING;
}

static void run_with_gdb(struct gdb *gdb)
{
	/* Who was no gdb does not start the guest either. */
	while (gdb->machine->outcome.reason == END_RUNNING && !gdb->greeted) {
		if (gdb_line_is_called(&gdb->line))
			run_session(gdb);
		else if (!gdb_line_wait(&gdb->line))
			run_end_stopped(gdb->machine);
	}
	while (run_alone(gdb))
		run_session(gdb);
}

static bool wanted(const void *mine)
{
	return ((const struct gdb_request *)mine)->address;
}

static bool check(void *mine, struct plan *plan)
{
	plan->stepped = true;
	return gdb_check_address(((const struct gdb_request *)mine)->address);
}

static bool drive(void *mine, struct machine *machine, struct manner *manner)
{
	const struct gdb_request *request = mine;
	struct gdb *gdb = calloc(1, sizeof(*gdb));

	if (!gdb) {
		message_error("no memory for gdb");
		machine_end(machine, END_VMM_FAILED);
		return false;
	}
	gdb->machine = machine;
	if (gdb_line_open(&gdb->line, request->address, machine->image.path, manner->quiet))
		run_with_gdb(gdb);
	else if (stop_requested())
		run_end_stopped(machine);
	else
		machine_end(machine, END_VMM_FAILED);
	gdb_line_close(&gdb->line);
	free(gdb);
	return true;
}

const struct instrument gdb_instrument = {
    .option = "gdb", .wanted = wanted, .check = check, .drive = drive};
