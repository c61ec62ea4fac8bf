/* What each of gdb's packets asks for ("Debugging with GDB", appendix E), and the session. */
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
#include "vmm/instruments/gdb/gdb_monitor.h"
#include "vmm/instruments/gdb/gdb_packet.h"
#include "vmm/instruments/gdb/gdb_registers.h"
#include "vmm/run/run.h"
#include "vmm/run/threads.h"

enum { PLANTS_MAX = DEBUG_POINTS_MAX, TRAP = 5 /* SIGTRAP, gdb's numbers */ };

struct gdb {
	struct machine *machine;
	struct gdb_line line;

	/* Of one session; all zero before the next. */
	struct debug debug;
	struct gdb_packet packet;
	struct gdb_reply reply;
	char *xml;

	/* What gdb has planted: a second request for the same place changes nothing. */
	struct {
		uint64_t va;
		bool hardware;
	} plants[PLANTS_MAX];
	size_t plant_count;
	struct cpu *stopped_cpu; /* what runs on without a word about threads */
	bool no_ack, swbreak, hwbreak;
	bool greeted;     /* a packet came that was one: it is gdb */
	bool dead;        /* the guest has died: it can be looked at, and will not run */
	bool finished;    /* nothing more is to be asked of gdb */
	bool leave;       /* ... and the guest runs on by itself */
	char stopped[96]; /* the last stop reply */
};

/* ---- Sending --------------------------------------------------------------------------------- */

static bool send_reply(struct gdb *gdb)
{
	gdb_reply_end(&gdb->reply);
	return gdb_line_put(&gdb->line, gdb->reply.data, gdb->reply.size);
}

static void reply_text(struct gdb *gdb, const char *text)
{
	gdb_reply_text(&gdb->reply, text);
}

static void reply_ok(struct gdb *gdb, bool ok)
{
	reply_text(gdb, ok ? "OK" : "E01");
}

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
static unsigned thread_of(const struct cpu *cpu)
{
	return 1 + cpu->number;
}

/* NULL: there is no such thread. */
static struct cpu *cpu_of(const struct gdb *gdb, uint64_t thread)
{
	struct machine *machine = gdb->machine;

	if (thread < 1 || thread > machine->boot.cpus || !machine->cpus[thread - 1].started)
		return NULL;
	return &machine->cpus[thread - 1];
}

static void set_stop(struct gdb *gdb, int signal, const char *more)
{
	gdb->stopped_cpu = gdb->debug.cpu;
	snprintf(gdb->stopped, sizeof(gdb->stopped), "T%02xthread:%x;%s", (unsigned)signal,
	         thread_of(gdb->debug.cpu), more);
}

/* The guest will not run any more: how it ended, or first a chance to look at what it died of. */
static void set_end(struct gdb *gdb)
{
	const struct outcome *outcome = &gdb->machine->outcome;
	bool died = outcome_status(outcome) == STATUS_GUEST_DIED;

	if (died && !gdb->dead) {
		gdb->dead = true;
		gdb->debug.known = gdb->debug.changed = false;
		gdb->debug.cpu = machine_last_cpu(gdb->machine);
		set_stop(gdb, outcome->reason == END_PANIC ? SIGABRT : SIGSEGV, "");
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

static void note_stop(struct gdb *gdb, const struct debug_stop *stop)
{
	char more[64];

	console_flush(&gdb->machine->console);
	switch (stop->why) {
	case DEBUG_ENDED:
		set_end(gdb);
		return;
	case DEBUG_WATCHED:
		snprintf(more, sizeof(more), "watch:%" PRIx64 ";", stop->watch->va);
		set_stop(gdb, TRAP, more);
		return;
	case DEBUG_POINT:
		set_stop(gdb, TRAP, point_word(gdb, gdb->debug.state.regs.rip));
		return;
	case DEBUG_INTERRUPTED:
		set_stop(gdb, SIGINT, "");
		return;
	case DEBUG_FAILED:
		message_error("gdb: the guest cannot go on");
		machine_end(gdb->machine, END_VMM_FAILED);
		set_end(gdb);
		return;
	case DEBUG_NO_RING3:
		message_error(
		    "gdb: ring 3 of a guest without the Ringscope note cannot be stepped");
		set_stop(gdb, TRAP, "");
		return;
	case DEBUG_STEPPED:
	case DEBUG_IDLE:
	case DEBUG_EXIT:
		set_stop(gdb, TRAP, "");
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

/* One instruction.  *done: RIP has left the range, if there is one (end > start). */
static struct debug_stop step_once(struct gdb *gdb, uint64_t start, uint64_t end, bool *done)
{
	struct debug *debug = &gdb->debug;
	struct debug_stop stop = debug_step(debug);

	if (stop.why != DEBUG_STEPPED)
		return stop;
	if (debug_has_point(debug, debug->state.regs.rip))
		stop.why = DEBUG_POINT;
	else if (debug->state.regs.rip - start < end - start)
		return debug_let_others(debug);
	*done = true;
	return stop;
}

/* Until the guest stops.  With end > start: one instruction, and on while RIP stays in that range.
 */
static struct debug_stop run_until_stop(struct gdb *gdb, bool step, uint64_t start, uint64_t end)
{
	struct debug_stop stop;
	bool done = false;

	do {
		if (wants_stop(gdb))
			return (struct debug_stop){.why = DEBUG_INTERRUPTED};
		/* A CPU that has halted for ever makes no step, but the others go on. */
		if (step && !gdb->debug.cpu->halted)
			stop = step_once(gdb, start, end, &done);
		else
			stop = debug_continue(&gdb->debug);
		/* Nothing will happen before gdb speaks or the VMM is to stop. */
		if (stop.why == DEBUG_IDLE && !gdb_line_wait(&gdb->line)) {
			run_end_stopped(gdb->machine);
			return (struct debug_stop){.why = DEBUG_ENDED};
		}
	} while (!done && (stop.why == DEBUG_INTERRUPTED || stop.why == DEBUG_STEPPED ||
	                   stop.why == DEBUG_IDLE));
	return stop;
}

static void resume(struct gdb *gdb, bool step, uint64_t start, uint64_t end)
{
	struct debug_stop stop = {.why = DEBUG_ENDED};

	if (!gdb->dead)
		stop = run_until_stop(gdb, step, start, end);
	if (gdb->leave)
		return;
	note_stop(gdb, &stop);
	reply_text(gdb, gdb->stopped);
}

/* c, s, C and S with a signal, which the guest has none of.  gdb never gives an address behind it,
 * and where to go on from cannot be said here. */
static void do_resume(struct gdb *gdb, const char *packet)
{
	const char action = gdb->packet.data[0];
	uint64_t signal;

	gdb->debug.running = ~0U;
	if (((action == 'C' || action == 'S') && !gdb_parse_number(&packet, &signal)) || *packet ||
	    !debug_select(&gdb->debug, gdb->stopped_cpu)) {
		reply_ok(gdb, false);
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
static void do_vcont(struct gdb *gdb, const char *packet)
{
	struct wanted wanted = {0};
	bool good;

	do
		good = parse_action(gdb, &packet, &wanted);
	while (good && gdb_parse_text(&packet, ";"));
	if (!good || *packet ||
	    !debug_select(&gdb->debug, wanted.step ? wanted.step : gdb->stopped_cpu)) {
		reply_ok(gdb, false);
		return;
	}
	gdb->debug.running = wanted.running;
	resume(gdb, wanted.step, wanted.start, wanted.end);
}

/* ---- Registers
 * ----------------------------------------------------------------------------------- */

static bool registers_read(struct gdb *gdb, struct vcpu_state *state)
{
	if (!debug_know(&gdb->debug))
		return false;
	*state = gdb->debug.state;
	return vcpu_read(&gdb->debug.cpu->vcpu, state, STATE_FPU | STATE_ALL_MSRS) &&
	       state->msrs_known >> STATE_KERNEL_GS_BASE & 1;
}

static bool registers_write(struct gdb *gdb, const struct vcpu_state *old,
                            const struct vcpu_state *new)
{
	const struct vcpu *vcpu = &gdb->debug.cpu->vcpu;
	const uint64_t gs = new->msrs[STATE_KERNEL_GS_BASE];

	if (memcmp(&old->fpu, &new->fpu, sizeof(old->fpu)) != 0 &&
	    !vcpu_write(vcpu, new, STATE_FPU))
		return false;
	if (old->msrs[STATE_KERNEL_GS_BASE] != gs && !vcpu_write_msr(vcpu, MSR_KERNEL_GS_BASE, gs))
		return false;
	if (memcmp(&old->sregs, &new->sregs, sizeof(old->sregs)) != 0 &&
	    !vcpu_write(vcpu, new, STATE_SREGS))
		return false;
	gdb->debug.state = *new;
	gdb->debug.changed = true;
	return true;
}

static void do_read_registers(struct gdb *gdb, const char *packet)
{
	struct vcpu_state registers;
	uint8_t value[16];

	(void)packet;
	if (!registers_read(gdb, &registers)) {
		reply_ok(gdb, false);
		return;
	}
	for (unsigned i = 0; i < gdb_register_count(); i++) {
		gdb_register_get(&registers, i, value);
		gdb_reply_hex(&gdb->reply, value, gdb_register_size(i));
	}
}

static void do_read_register(struct gdb *gdb, const char *packet)
{
	struct vcpu_state registers;
	uint8_t value[16];
	uint64_t number;

	if (!gdb_parse_number(&packet, &number) || *packet || number >= gdb_register_count() ||
	    !registers_read(gdb, &registers)) {
		reply_ok(gdb, false);
		return;
	}
	gdb_register_get(&registers, (unsigned)number, value);
	gdb_reply_hex(&gdb->reply, value, gdb_register_size((unsigned)number));
}

static bool set_register(struct vcpu_state *registers, unsigned number, const char **packet)
{
	uint8_t value[16] = {0};

	return gdb_parse_bytes(packet, value, gdb_register_size(number)) &&
	       gdb_register_set(registers, number, value);
}

static void do_write_registers(struct gdb *gdb, const char *packet)
{
	struct vcpu_state old, new;
	bool ok = true;

	if (gdb->dead || !registers_read(gdb, &old)) {
		reply_ok(gdb, false);
		return;
	}
	new = old;
	for (unsigned i = 0; ok && i < gdb_register_count(); i++)
		ok = set_register(&new, i, &packet);
	reply_ok(gdb, ok && !*packet && registers_write(gdb, &old, &new));
}

static void do_write_register(struct gdb *gdb, const char *packet)
{
	struct vcpu_state old, new;
	uint64_t number;

	if (gdb->dead || !gdb_parse_number(&packet, &number) || !gdb_parse_text(&packet, "=") ||
	    number >= gdb_register_count() || !registers_read(gdb, &old)) {
		reply_ok(gdb, false);
		return;
	}
	new = old;
	reply_ok(gdb, set_register(&new, (unsigned)number, &packet) && !*packet &&
	                  registers_write(gdb, &old, &new));
}

/* ---- Memory
 * -------------------------------------------------------------------------------------- */

static bool parse_range(const char **packet, uint64_t *address, uint64_t *size)
{
	return gdb_parse_number(packet, address) && gdb_parse_text(packet, ",") &&
	       gdb_parse_number(packet, size);
}

static void do_read_memory(struct gdb *gdb, const char *packet)
{
	static uint8_t buffer[GDB_REPLY_MAX / 2 - 8];
	uint64_t address, size;
	size_t count;

	if (!parse_range(&packet, &address, &size) || *packet || !debug_know(&gdb->debug)) {
		reply_ok(gdb, false);
		return;
	}
	count = size < sizeof(buffer) ? (size_t)size : sizeof(buffer);
	count = debug_read(&gdb->debug, address, buffer, count);
	if (!count && size)
		reply_text(gdb, "E0e"); /* EFAULT */
	gdb_reply_hex(&gdb->reply, buffer, count);
}

static void write_memory(struct gdb *gdb, uint64_t address, const void *bytes, size_t size)
{
	reply_ok(gdb,
	         debug_know(&gdb->debug) && debug_write(&gdb->debug, address, bytes, size) == size);
}

static void do_write_memory(struct gdb *gdb, const char *packet)
{
	static uint8_t buffer[GDB_PACKET_MAX / 2];
	uint64_t address, size;

	if (!parse_range(&packet, &address, &size) || !gdb_parse_text(&packet, ":") ||
	    size > sizeof(buffer) || !gdb_parse_bytes(&packet, buffer, (size_t)size) || *packet)
		reply_ok(gdb, false);
	else
		write_memory(gdb, address, buffer, (size_t)size);
}

static void do_write_binary(struct gdb *gdb, const char *packet)
{
	uint64_t address, size;

	if (!parse_range(&packet, &address, &size) || !gdb_parse_text(&packet, ":") ||
	    size != gdb->packet.size - (size_t)(packet - gdb->packet.data))
		reply_ok(gdb, false);
	else
		write_memory(gdb, address, packet, (size_t)size);
}

/* ---- Points
 * ---------------------------------------------------------------------------------------- */

enum { TYPE_SOFTWARE = 0, TYPE_HARDWARE = 1, TYPE_WRITE = 2 };

static size_t find_plant(const struct gdb *gdb, uint64_t va)
{
	size_t i = 0;

	while (i < gdb->plant_count && gdb->plants[i].va != va)
		i++;
	return i;
}

static bool insert_point(struct gdb *gdb, uint64_t va, bool hardware)
{
	if (find_plant(gdb, va) < gdb->plant_count)
		return true;
	if (gdb->plant_count == PLANTS_MAX || debug_add_point(&gdb->debug, va) != DEBUG_OK)
		return false;
	gdb->plants[gdb->plant_count].va = va;
	gdb->plants[gdb->plant_count++].hardware = hardware;
	return true;
}

static bool remove_point(struct gdb *gdb, uint64_t va)
{
	size_t i = find_plant(gdb, va);

	if (i == gdb->plant_count)
		return true;
	gdb->plants[i] = gdb->plants[--gdb->plant_count];
	return debug_remove_point(&gdb->debug, va) == DEBUG_OK;
}

/* Watchpoints on reading would need an instruction's operands; gdb then says that it cannot. */
static void do_point(struct gdb *gdb, const char *packet)
{
	const bool insert = gdb->packet.data[0] == 'Z';
	uint64_t type, address, size;

	if (!gdb_parse_number(&packet, &type) || !gdb_parse_text(&packet, ",") ||
	    !parse_range(&packet, &address, &size) || *packet || !debug_know(&gdb->debug)) {
		reply_ok(gdb, false);
		return;
	}
	switch (type) {
	case TYPE_SOFTWARE:
	case TYPE_HARDWARE:
		reply_ok(gdb, insert ? insert_point(gdb, address, type == TYPE_HARDWARE)
		                     : remove_point(gdb, address));
		break;
	case TYPE_WRITE:
		reply_ok(gdb, (insert ? debug_add_watch(&gdb->debug, address, (size_t)size)
		                      : debug_remove_watch(&gdb->debug, address, (size_t)size)) ==
		                  DEBUG_OK);
		break;
	default:
		break;
	}
}

/* ---- Questions
 * --------------------------------------------------------------------------------------- */

static void do_supported(struct gdb *gdb, const char *packet)
{
	gdb->swbreak = gdb_list_has(packet, "swbreak+");
	gdb->hwbreak = gdb_list_has(packet, "hwbreak+");
	gdb_reply_format(&gdb->reply,
	                 "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;swbreak+;hwbreak+;"
	                 "vContSupported+",
	                 GDB_PACKET_MAX);
}

static void do_features(struct gdb *gdb, const char *packet)
{
	uint64_t offset, size, length = gdb->xml ? strlen(gdb->xml) : 0;

	if (!gdb->xml || !parse_range(&packet, &offset, &size) || *packet) {
		reply_ok(gdb, false);
		return;
	}
	if (offset >= length) {
		reply_text(gdb, "l");
		return;
	}
	if (size > GDB_REPLY_MAX / 2 - 8)
		size = GDB_REPLY_MAX / 2 - 8;
	reply_text(gdb, length - offset > size ? "m" : "l");
	gdb_reply_binary(&gdb->reply, gdb->xml + offset,
	                 (size_t)(length - offset > size ? size : length - offset));
}

/* Output goes in pieces, each its own packet, and then OK. */
static void do_monitor(struct gdb *gdb, const char *packet)
{
	enum { PIECE = 1024 };
	char command[256] = "", *text = NULL;
	size_t size = strlen(packet) / 2, total = 0;
	FILE *out;

	if (size >= sizeof(command) || !gdb_parse_bytes(&packet, command, size) || *packet) {
		reply_ok(gdb, false);
		return;
	}
	out = open_memstream(&text, &total);
	if (out) {
		gdb_monitor(out, &gdb->debug, command);
		fclose(out);
	}
	for (size_t at = 0; text && at < total; at += PIECE) {
		gdb_reply_begin(&gdb->reply);
		reply_text(gdb, "O");
		gdb_reply_hex(&gdb->reply, text + at, total - at < PIECE ? total - at : PIECE);
		if (!send_reply(gdb))
			break;
	}
	free(text);
	gdb_reply_begin(&gdb->reply);
	reply_ok(gdb, out);
}

/* Whether these bytes were loaded there by the guest's file (p_paddr): where gdb asks for a section
 * it gives this address, not the virtual one. */
static bool is_loaded_at(const struct image *image, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < image->count; i++) {
		const struct segment *segment = &image->segments[i];

		if (gpa >= segment->gpa && gpa - segment->gpa <= segment->memsz &&
		    size <= segment->memsz - (gpa - segment->gpa))
			return true;
	}
	return false;
}

/* As long as memory is mapped and nobody wants the VMM to stop: how much it is to be is for a
 * hostile guest, or a hostile gdb, to say. */
static bool crc_of(const struct gdb *gdb, uint64_t address, uint64_t size, uint32_t *crc)
{
	const bool physical = is_loaded_at(&gdb->machine->image, address, size);
	uint8_t buffer[PAGE_SIZE];

	*crc = GDB_CRC_START;
	while (size && !stop_requested()) {
		const size_t part = size < sizeof(buffer) ? (size_t)size : sizeof(buffer);
		const bool good = physical ? debug_read_physical(&gdb->debug, address, buffer, part)
		                           : debug_read(&gdb->debug, address, buffer, part) == part;

		if (!good)
			return false;
		*crc = gdb_crc(*crc, buffer, part);
		address += part;
		size -= part;
	}
	return !size;
}

static void do_crc(struct gdb *gdb, const char *packet)
{
	uint64_t address, size;
	uint32_t crc;

	if (!parse_range(&packet, &address, &size) || *packet || !debug_know(&gdb->debug))
		reply_ok(gdb, false);
	else if (crc_of(gdb, address, size, &crc))
		gdb_reply_format(&gdb->reply, "C%" PRIx32, crc);
	else
		reply_text(gdb, "E0e"); /* EFAULT */
}

/* Hg: the thread that registers and memory are asked of.  Hc, for c and s, which gdb does not use
 * where there is vCont. */
static void do_select(struct gdb *gdb, const char *packet)
{
	uint64_t thread = 0;
	struct cpu *cpu = gdb->debug.cpu;
	const bool general = *packet == 'g';
	bool good = gdb_parse_text(&packet, "g") || gdb_parse_text(&packet, "c");

	good = good && (gdb_parse_text(&packet, "-1") || gdb_parse_number(&packet, &thread)) &&
	       !*packet;
	if (thread)
		cpu = cpu_of(gdb, thread);
	reply_ok(gdb, good && cpu && (!general || debug_select(&gdb->debug, cpu)));
}

static void do_thread_list(struct gdb *gdb, const char *packet)
{
	const char *separator = "m";

	(void)packet;
	for (unsigned i = 0; i < gdb->machine->boot.cpus; i++) {
		if (!gdb->machine->cpus[i].started)
			continue;
		gdb_reply_format(&gdb->reply, "%s%x", separator, i + 1);
		separator = ",";
	}
}

static void do_current_thread(struct gdb *gdb, const char *packet)
{
	(void)packet;
	gdb_reply_format(&gdb->reply, "QC%x", thread_of(gdb->debug.cpu));
}

static void do_thread_info(struct gdb *gdb, const char *packet)
{
	struct cpu *selected = gdb->debug.cpu, *cpu;
	uint64_t thread;
	char text[80];

	cpu = gdb_parse_number(&packet, &thread) && !*packet ? cpu_of(gdb, thread) : NULL;
	if (!cpu || !debug_select(&gdb->debug, cpu) || !debug_know(&gdb->debug)) {
		reply_ok(gdb, false);
		return;
	}
	snprintf(text, sizeof(text), "vCPU %u, ring %u, CR3 0x%llx%s", cpu->number,
	         debug_cpl(&gdb->debug), gdb->debug.state.sregs.cr3,
	         cpu->halted || vcpu_is_halted(&cpu->vcpu) ? ", halted" : "");
	gdb_reply_hex(&gdb->reply, text, strlen(text));
	debug_select(&gdb->debug, selected);
}

static void do_no_ack(struct gdb *gdb, const char *packet)
{
	(void)packet;
	reply_ok(gdb, true);
	gdb->no_ack = true;
}

static void do_thread_alive(struct gdb *gdb, const char *packet)
{
	uint64_t thread;

	reply_ok(gdb, gdb_parse_number(&packet, &thread) && !*packet && cpu_of(gdb, thread));
}

static void do_why(struct gdb *gdb, const char *packet)
{
	(void)packet;
	reply_text(gdb, gdb->stopped);
}

/* Of the one process that there is, gdb may name the number that it made up for it. */
static bool is_process(const char *packet)
{
	uint64_t process;

	return !*packet || (gdb_parse_number(&packet, &process) && !*packet);
}

static void do_detach(struct gdb *gdb, const char *packet)
{
	if (!is_process(packet)) {
		reply_ok(gdb, false);
		return;
	}
	reply_ok(gdb, true);
	gdb->finished = gdb->leave = true;
}

static void do_kill(struct gdb *gdb, const char *packet)
{
	if (!is_process(packet)) {
		reply_ok(gdb, false);
		return;
	}
	if (gdb->packet.data[0] == 'v')
		reply_ok(gdb, true);
	gdb->machine->outcome.signal = SIGKILL;
	machine_end(gdb->machine, END_SIGNAL);
	gdb->finished = true;
}

static const struct command {
	const char *name;
	enum gdb_name ends;
	void (*run)(struct gdb *gdb, const char *rest);
	const char *reply; /* instead of run */
} commands[] = {
    {"qXfer:features:read:target.xml", GDB_COLON, do_features, NULL},
    {"qSupported", GDB_COLON, do_supported, NULL},
    {"QStartNoAckMode", GDB_WHOLE, do_no_ack, NULL},
    {"qfThreadInfo", GDB_WHOLE, do_thread_list, NULL},
    {"qsThreadInfo", GDB_WHOLE, NULL, "l"},
    {"qThreadExtraInfo", GDB_COMMA, do_thread_info, NULL},
    {"qAttached", GDB_COLON, NULL, "1"},
    {"qOffsets", GDB_WHOLE, NULL, "Text=0;Data=0;Bss=0"},
    {"qSymbol", GDB_COLON, NULL, "OK"},
    {"qRcmd", GDB_COMMA, do_monitor, NULL},
    {"qCRC", GDB_COLON, do_crc, NULL},
    {"qC", GDB_WHOLE, do_current_thread, NULL},
    {"vCont?", GDB_WHOLE, NULL, "vCont;c;C;s;S;r"},
    {"vCont", GDB_SEMICOLON, do_vcont, NULL},
    {"vKill", GDB_SEMICOLON, do_kill, NULL},
    {"?", GDB_WHOLE, do_why, NULL},
    {"g", GDB_WHOLE, do_read_registers, NULL},
    {"G", GDB_LETTER, do_write_registers, NULL},
    {"p", GDB_LETTER, do_read_register, NULL},
    {"P", GDB_LETTER, do_write_register, NULL},
    {"m", GDB_LETTER, do_read_memory, NULL},
    {"M", GDB_LETTER, do_write_memory, NULL},
    {"X", GDB_LETTER, do_write_binary, NULL},
    {"c", GDB_LETTER, do_resume, NULL},
    {"C", GDB_LETTER, do_resume, NULL},
    {"s", GDB_LETTER, do_resume, NULL},
    {"S", GDB_LETTER, do_resume, NULL},
    {"Z", GDB_LETTER, do_point, NULL},
    {"z", GDB_LETTER, do_point, NULL},
    {"H", GDB_LETTER, do_select, NULL},
    {"T", GDB_LETTER, do_thread_alive, NULL},
    {"D", GDB_SEMICOLON, do_detach, NULL},
    {"k", GDB_WHOLE, do_kill, NULL},
};

/* What is not in the table gets the empty reply: not supported.  A NUL, which only X has, would
 * hide the end of a packet. */
static void serve_packet(struct gdb *gdb)
{
	const char *packet = gdb->packet.data;

	gdb_reply_begin(&gdb->reply);
	if (*packet != 'X' && strlen(packet) != gdb->packet.size) {
		reply_ok(gdb, false);
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];
		const char *rest = gdb_packet_rest(packet, command->name, command->ends);

		if (!rest)
			continue;
		if (command->reply)
			reply_text(gdb, command->reply);
		else
			command->run(gdb, rest);
		break;
	}
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
	bool ack = !gdb->no_ack;

	switch (gdb_packet_feed(&gdb->packet, byte)) {
	case GDB_PACKET:
		gdb->greeted = true;
		if (ack && !gdb_line_put(&gdb->line, "+", 1))
			return false;
		serve_packet(gdb);
		/* 'k' has no reply, and nobody hears one who has left. */
		if (gdb->finished && gdb_reply_is_empty(&gdb->reply))
			return true;
		return send_reply(gdb);
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
	if (!debug_attach(&gdb->debug, machine)) {
		machine_end(machine, END_VMM_FAILED);
		return;
	}
	set_stop(gdb, TRAP, "");
	gdb->debug.attention = &gdb_line_attention;
	gdb->xml = gdb_registers_xml();
	serve(gdb);
	free(gdb->xml);
	gdb_line_drop(&gdb->line);
	if (!debug_detach(&gdb->debug))
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
	(void)plan;
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
