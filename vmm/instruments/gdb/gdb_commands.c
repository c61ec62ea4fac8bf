/* What each of gdb's packets asks for ("Debugging with GDB", appendix E). */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/base/stop.h"
#include "vmm/engine/engine.h"
#include "vmm/instruments/gdb/gdb_monitor.h"
#include "vmm/instruments/gdb/gdb_registers.h"
#include "vmm/instruments/gdb/internal.h"

/* ---- Sending --------------------------------------------------------------------------------- */

bool gdb_send_reply(struct gdb *gdb)
{
	gdb_reply_end(&gdb->reply);
	return gdb_line_put(&gdb->line, gdb->reply.data, gdb->reply.size);
}

void gdb_answer(struct gdb *gdb, const char *text)
{
	gdb_reply_text(&gdb->reply, text);
}

void gdb_answer_ok(struct gdb *gdb, bool ok)
{
	gdb_answer(gdb, ok ? "OK" : "E01");
}

/* ---- Registers
 * ----------------------------------------------------------------------------------- */

static bool registers_read(struct gdb *gdb, struct vcpu_state *state)
{
	if (!engine_know(&gdb->engine))
		return false;
	*state = gdb->engine.state;
	return vcpu_read(&gdb->engine.cpu->vcpu, state, STATE_FPU | STATE_ALL_MSRS) &&
	       state->msrs_known >> STATE_KERNEL_GS_BASE & 1;
}

static bool registers_write(struct gdb *gdb, const struct vcpu_state *old,
                            const struct vcpu_state *new)
{
	const struct vcpu *vcpu = &gdb->engine.cpu->vcpu;
	const uint64_t gs = new->msrs[STATE_KERNEL_GS_BASE];

	if (memcmp(&old->fpu, &new->fpu, sizeof(old->fpu)) != 0 &&
	    !vcpu_write(vcpu, new, STATE_FPU))
		return false;
	if (old->msrs[STATE_KERNEL_GS_BASE] != gs && !vcpu_write_msr(vcpu, MSR_KERNEL_GS_BASE, gs))
		return false;
	if (memcmp(&old->sregs, &new->sregs, sizeof(old->sregs)) != 0 &&
	    !vcpu_write(vcpu, new, STATE_SREGS))
		return false;
	gdb->engine.state = *new;
	gdb->engine.changed = true;
	gdb_changed(gdb);
	return true;
}

static void do_read_registers(struct gdb *gdb, const char *packet)
{
	struct vcpu_state registers;
	uint8_t value[16];

	(void)packet;
	if (!registers_read(gdb, &registers)) {
		gdb_answer_ok(gdb, false);
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
		gdb_answer_ok(gdb, false);
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
		gdb_answer_ok(gdb, false);
		return;
	}
	new = old;
	for (unsigned i = 0; ok && i < gdb_register_count(); i++)
		ok = set_register(&new, i, &packet);
	gdb_answer_ok(gdb, ok && !*packet && registers_write(gdb, &old, &new));
}

static void do_write_register(struct gdb *gdb, const char *packet)
{
	struct vcpu_state old, new;
	uint64_t number;

	if (gdb->dead || !gdb_parse_number(&packet, &number) || !gdb_parse_text(&packet, "=") ||
	    number >= gdb_register_count() || !registers_read(gdb, &old)) {
		gdb_answer_ok(gdb, false);
		return;
	}
	new = old;
	gdb_answer_ok(gdb, set_register(&new, (unsigned)number, &packet) && !*packet &&
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

	if (!parse_range(&packet, &address, &size) || *packet || !engine_know(&gdb->engine)) {
		gdb_answer_ok(gdb, false);
		return;
	}
	count = size < sizeof(buffer) ? (size_t)size : sizeof(buffer);
	count = engine_read(&gdb->engine, address, buffer, count);
	if (!count && size)
		gdb_answer(gdb, "E0e"); /* EFAULT */
	gdb_reply_hex(&gdb->reply, buffer, count);
}

static void write_memory(struct gdb *gdb, uint64_t address, const void *bytes, size_t size)
{
	gdb_answer_ok(gdb, engine_know(&gdb->engine) &&
	                       engine_write(&gdb->engine, address, bytes, size) == size);
	gdb_changed(gdb);
}

static void do_write_memory(struct gdb *gdb, const char *packet)
{
	static uint8_t buffer[GDB_PACKET_MAX / 2];
	uint64_t address, size;

	if (!parse_range(&packet, &address, &size) || !gdb_parse_text(&packet, ":") ||
	    size > sizeof(buffer) || !gdb_parse_bytes(&packet, buffer, (size_t)size) || *packet)
		gdb_answer_ok(gdb, false);
	else
		write_memory(gdb, address, buffer, (size_t)size);
}

static void do_write_binary(struct gdb *gdb, const char *packet)
{
	uint64_t address, size;

	if (!parse_range(&packet, &address, &size) || !gdb_parse_text(&packet, ":") ||
	    size != gdb->packet.size - (size_t)(packet - gdb->packet.data))
		gdb_answer_ok(gdb, false);
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
	if (gdb->plant_count == PLANTS_MAX || engine_add_point(&gdb->engine, va) != ENGINE_OK)
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
	return engine_remove_point(&gdb->engine, va) == ENGINE_OK;
}

/* Watchpoints on reading would need an instruction's operands; gdb then says that it cannot. */
static void do_point(struct gdb *gdb, const char *packet)
{
	const bool insert = gdb->packet.data[0] == 'Z';
	uint64_t type, address, size;

	if (!gdb_parse_number(&packet, &type) || !gdb_parse_text(&packet, ",") ||
	    !parse_range(&packet, &address, &size) || *packet || !engine_know(&gdb->engine)) {
		gdb_answer_ok(gdb, false);
		return;
	}
	switch (type) {
	case TYPE_SOFTWARE:
	case TYPE_HARDWARE:
		gdb_answer_ok(gdb, insert ? insert_point(gdb, address, type == TYPE_HARDWARE)
		                          : remove_point(gdb, address));
		break;
	case TYPE_WRITE:
		gdb_answer_ok(gdb, (insert ? engine_add_watch(&gdb->engine, address, (size_t)size)
		                           : engine_remove_watch(&gdb->engine, address,
		                                                 (size_t)size)) == ENGINE_OK);
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
	                 "vContSupported+;ReverseStep+;ReverseContinue+",
	                 GDB_PACKET_MAX);
}

static void do_features(struct gdb *gdb, const char *packet)
{
	uint64_t offset, size, length = gdb->xml ? strlen(gdb->xml) : 0;

	if (!gdb->xml || !parse_range(&packet, &offset, &size) || *packet) {
		gdb_answer_ok(gdb, false);
		return;
	}
	if (offset >= length) {
		gdb_answer(gdb, "l");
		return;
	}
	if (size > GDB_REPLY_MAX / 2 - 8)
		size = GDB_REPLY_MAX / 2 - 8;
	gdb_answer(gdb, length - offset > size ? "m" : "l");
	gdb_reply_binary(&gdb->reply, gdb->xml + offset,
	                 (size_t)(length - offset > size ? size : length - offset));
}

void gdb_tell(struct gdb *gdb, const char *text)
{
	enum { PIECE = 1024 };
	const size_t total = strlen(text);

	for (size_t at = 0; at < total; at += PIECE) {
		gdb_reply_begin(&gdb->reply);
		gdb_answer(gdb, "O");
		gdb_reply_hex(&gdb->reply, text + at, total - at < PIECE ? total - at : PIECE);
		if (!gdb_send_reply(gdb))
			break;
	}
	gdb_reply_begin(&gdb->reply);
}

static void do_monitor(struct gdb *gdb, const char *packet)
{
	char command[256] = "", *text = NULL;
	size_t size = strlen(packet) / 2, total = 0;
	FILE *out;

	if (size >= sizeof(command) || !gdb_parse_bytes(&packet, command, size) || *packet) {
		gdb_answer_ok(gdb, false);
		return;
	}
	out = open_memstream(&text, &total);
	if (out) {
		gdb_monitor(out, gdb, command);
		fclose(out);
	}
	if (text)
		gdb_tell(gdb, text);
	free(text);
	gdb_answer_ok(gdb, out);
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
		const bool good = physical
		                      ? engine_read_physical(&gdb->engine, address, buffer, part)
		                      : engine_read(&gdb->engine, address, buffer, part) == part;

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

	if (!parse_range(&packet, &address, &size) || *packet || !engine_know(&gdb->engine))
		gdb_answer_ok(gdb, false);
	else if (crc_of(gdb, address, size, &crc))
		gdb_reply_format(&gdb->reply, "C%" PRIx32, crc);
	else
		gdb_answer(gdb, "E0e"); /* EFAULT */
}

/* Hg: the thread that registers and memory are asked of.  Hc, for c and s, which gdb does not use
 * where there is vCont. */
static void do_select(struct gdb *gdb, const char *packet)
{
	uint64_t thread = 0;
	struct cpu *cpu = gdb->engine.cpu;
	const bool general = *packet == 'g';
	bool good = gdb_parse_text(&packet, "g") || gdb_parse_text(&packet, "c");

	good = good && (gdb_parse_text(&packet, "-1") || gdb_parse_number(&packet, &thread)) &&
	       !*packet;
	if (thread)
		cpu = gdb_cpu_of(gdb, thread);
	gdb_answer_ok(gdb, good && cpu && (!general || engine_select(&gdb->engine, cpu)));
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
	gdb_reply_format(&gdb->reply, "QC%x", gdb_thread_of(gdb->engine.cpu));
}

static void do_thread_info(struct gdb *gdb, const char *packet)
{
	struct cpu *selected = gdb->engine.cpu, *cpu;
	uint64_t thread;
	char text[80];

	cpu = gdb_parse_number(&packet, &thread) && !*packet ? gdb_cpu_of(gdb, thread) : NULL;
	if (!cpu || !engine_select(&gdb->engine, cpu) || !engine_know(&gdb->engine)) {
		gdb_answer_ok(gdb, false);
		return;
	}
	snprintf(text, sizeof(text), "vCPU %u, ring %u, CR3 0x%llx%s", cpu->number,
	         engine_cpl(&gdb->engine), gdb->engine.state.sregs.cr3,
	         cpu->halted || vcpu_is_halted(&cpu->vcpu) ? ", halted" : "");
	gdb_reply_hex(&gdb->reply, text, strlen(text));
	engine_select(&gdb->engine, selected);
}

static void do_no_ack(struct gdb *gdb, const char *packet)
{
	(void)packet;
	gdb_answer_ok(gdb, true);
	gdb->no_ack = true;
}

static void do_thread_alive(struct gdb *gdb, const char *packet)
{
	uint64_t thread;

	gdb_answer_ok(gdb,
	              gdb_parse_number(&packet, &thread) && !*packet && gdb_cpu_of(gdb, thread));
}

static void do_why(struct gdb *gdb, const char *packet)
{
	(void)packet;
	gdb_answer(gdb, gdb->stopped);
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
		gdb_answer_ok(gdb, false);
		return;
	}
	gdb_answer_ok(gdb, true);
	gdb->finished = gdb->leave = true;
}

static void do_kill(struct gdb *gdb, const char *packet)
{
	if (!is_process(packet)) {
		gdb_answer_ok(gdb, false);
		return;
	}
	if (gdb->packet.data[0] == 'v')
		gdb_answer_ok(gdb, true);
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
    {"vCont", GDB_SEMICOLON, gdb_do_vcont, NULL},
    {"vKill", GDB_SEMICOLON, do_kill, NULL},
    {"?", GDB_WHOLE, do_why, NULL},
    {"g", GDB_WHOLE, do_read_registers, NULL},
    {"G", GDB_LETTER, do_write_registers, NULL},
    {"p", GDB_LETTER, do_read_register, NULL},
    {"P", GDB_LETTER, do_write_register, NULL},
    {"m", GDB_LETTER, do_read_memory, NULL},
    {"M", GDB_LETTER, do_write_memory, NULL},
    {"X", GDB_LETTER, do_write_binary, NULL},
    {"c", GDB_LETTER, gdb_do_resume, NULL},
    {"C", GDB_LETTER, gdb_do_resume, NULL},
    {"s", GDB_LETTER, gdb_do_resume, NULL},
    {"S", GDB_LETTER, gdb_do_resume, NULL},
    {"bs", GDB_WHOLE, gdb_do_back, NULL},
    {"bc", GDB_WHOLE, gdb_do_back, NULL},
    {"Z", GDB_LETTER, do_point, NULL},
    {"z", GDB_LETTER, do_point, NULL},
    {"H", GDB_LETTER, do_select, NULL},
    {"T", GDB_LETTER, do_thread_alive, NULL},
    {"D", GDB_SEMICOLON, do_detach, NULL},
    {"k", GDB_WHOLE, do_kill, NULL},
};

/* What is not in the table gets the empty reply: not supported.  A NUL, which only X has, would
 * hide the end of a packet. */
void gdb_serve_packet(struct gdb *gdb)
{
	const char *packet = gdb->packet.data;

	gdb_reply_begin(&gdb->reply);
	if (*packet != 'X' && strlen(packet) != gdb->packet.size) {
		gdb_answer_ok(gdb, false);
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];
		const char *rest = gdb_packet_rest(packet, command->name, command->ends);

		if (!rest)
			continue;
		if (command->reply)
			gdb_answer(gdb, command->reply);
		else
			command->run(gdb, rest);
		break;
	}
}
