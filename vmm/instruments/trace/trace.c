#include "vmm/instruments/trace/trace.h"

#include <inttypes.h>
#include <stdio.h>

#include "vmm/base/message.h"
#include "vmm/base/names.h"
#include "vmm/base/units.h"

enum group { GROUP_MACHINE = 1, GROUP_PROCESSES, GROUP_SPACES };

/* The two tracks of a CPU in the machine's group; 0 is the group's own. */
static uint32_t vcpu_track(unsigned cpu)
{
	return 1 + 2 * cpu;
}
static uint32_t running_track(unsigned cpu)
{
	return 2 + 2 * cpu;
}

/* Counters are sampled, not streamed: a point a millisecond is more than a screen shows. */
#define COUNTERS_EVERY_NS UINT64_C(1000000)

#define OWN_TIME_SHOWN_NS UINT64_C(10000)

/* ---- Names ----------------------------------------------------------------------------------- */

/* Number 0 is no process: what runs on a CPU that has nothing to do. */
static void process_name(char *buf, size_t size, uint64_t pid)
{
	if (pid)
		snprintf(buf, size, "process %" PRIu64, pid);
	else
		snprintf(buf, size, "idle");
}

static void name_process(struct trace *trace, uint32_t pid)
{
	char name[32];

	if (pid >= TRACE_NAMED || (trace->named[pid / 8] & 1 << pid % 8))
		return;
	trace->named[pid / 8] |= (uint8_t)(1 << pid % 8);
	process_name(name, sizeof(name), pid);
	trace_file_name(&trace->file, "thread_name", GROUP_PROCESSES, pid, name);
}

/* Linux's, as far as guest/syscall.c has them; other numbers are shown as numbers. */
static const struct {
	uint32_t number64, number32;
	const char *name;
} calls[] = {
    {0, 3, "read"},           {1, 4, "write"},          {9, 90, "mmap"},
    {10, 125, "mprotect"},    {11, 91, "munmap"},       {12, 45, "brk"},
    {24, 158, "sched_yield"}, {35, 162, "nanosleep"},   {39, 20, "getpid"},
    {57, 2, "fork"},          {60, 1, "exit"},          {61, 114, "wait4"},
    {110, 64, "getppid"},     {231, 252, "exit_group"}, {UINT32_MAX, 192, "mmap2"},
};

static void call_name(char *buf, size_t size, uint64_t number, uint64_t way)
{
	static const char *const ways[] = {
	    [RS_TRACE_BY_SYSCALL] = "SYSCALL",
	    [RS_TRACE_BY_INT80] = "INT 0x80",
	    [RS_TRACE_BY_COMPAT] = "SYSCALL (32-bit)",
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (number ==
		    (way == RS_TRACE_BY_SYSCALL ? calls[i].number64 : calls[i].number32)) {
			snprintf(buf, size, "%s %s", ways[way], calls[i].name);
			return;
		}
	}
	snprintf(buf, size, "%s %" PRIu64, ways[way], number);
}

static const char *exit_name(uint32_t reason, const struct exit_record *detail)
{
	static const struct {
		uint16_t port;
		const char *name;
	} ports[] = {
	    {RS_PORT_PUTC, "IO putc"}, {RS_PORT_EXIT, "IO exit"}, {RS_PORT_CALL, "IO call"},
	    {RS_PORT_MARK, "IO mark"}, {RS_PORT_NOP, "IO nop"},
	};
	enum { EXIT_IO = 2 };

	if (reason != EXIT_IO || !detail || !detail->write)
		return stats_reason_name(reason);
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		if (detail->address == ports[i].port)
			return ports[i].name;
	}
	return "IO";
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* The difference of the two clocks lies between two bounds that each exit may bring closer: what
 * was noted between KVM_RUN and the exit happened between them.  What KVM said is believed while it
 * lies between the bounds, then the middle of them. */
static void compare_clocks(struct trace_cpu *cpu)
{
	uint64_t first, last;

	if (!trace_ring_ends(&cpu->ring, &first, &last))
		return;

	const uint64_t low = last - cpu->left, high = first - cpu->entered;

	if (!cpu->ahead_bounded || (int64_t)(low - cpu->ahead_low) > 0)
		cpu->ahead_low = low;
	if (!cpu->ahead_bounded || (int64_t)(high - cpu->ahead_high) < 0)
		cpu->ahead_high = high;
	cpu->ahead_bounded = true;
	/* Clocks that drift apart, or a guest that lies: only the latest is worth anything. */
	if ((int64_t)(cpu->ahead_high - cpu->ahead_low) < 0) {
		cpu->ahead_low = low;
		cpu->ahead_high = (int64_t)(high - low) < 0 ? low : high;
	}
	if ((int64_t)(cpu->guest_ahead - cpu->ahead_low) < 0 ||
	    (int64_t)(cpu->ahead_high - cpu->guest_ahead) < 0)
		cpu->guest_ahead = cpu->ahead_low + (cpu->ahead_high - cpu->ahead_low) / 2;
}

/* A record's times on the host's clock, kept to what is possible. */
static void record_times(const struct trace_cpu *cpu, const struct rs_trace_record *record,
                         uint64_t *begin_ns, uint64_t *end_ns)
{
	uint64_t begin = record->begin - cpu->guest_ahead;
	uint64_t end = record->end - cpu->guest_ahead;

	/* Signed: a guest that lies may name any time. */
	if ((int64_t)(end - cpu->entered) < 0)
		end = cpu->entered;
	else if ((int64_t)(end - cpu->left) > 0)
		end = cpu->left;
	if ((int64_t)(end - begin) < 0 || record->begin == record->end)
		begin = end;

	*begin_ns = trace_clock_at(&cpu->trace->clock, (int64_t)begin < 0 ? 0 : begin);
	*end_ns = trace_clock_at(&cpu->trace->clock, end);
}

/* ---- What the guest noted -------------------------------------------------------------------- */

static void close_running(struct trace_cpu *cpu, uint64_t ns)
{
	char name[32];

	if (!cpu->running)
		return;
	if (ns < cpu->running_since)
		ns = cpu->running_since;
	process_name(name, sizeof(name), cpu->running);
	trace_file_event(&cpu->trace->file, &(struct trace_event){
	                                        .phase = TRACE_SPAN,
	                                        .pid = GROUP_MACHINE,
	                                        .tid = running_track(cpu->number),
	                                        .ns = cpu->running_since,
	                                        .duration = ns - cpu->running_since,
	                                        .name = name,
	                                        .category = "process",
	                                    });
}

/* Fills in what only this kind has; false: there is no such kind, or no such value. */
static bool describe(const struct rs_trace_record *record, struct trace_event *event, char *name,
                     size_t size)
{
	const uint64_t *arg = record->arg;
	char to[32];

	event->phase = TRACE_INSTANT;
	switch (record->kind) {
	case RS_TRACE_SYSCALL:
		if (arg[2] > RS_TRACE_BY_COMPAT)
			return false;
		event->phase = TRACE_SPAN;
		event->category = "system call";
		call_name(name, size, arg[0], arg[2]);
		event->args[0] = (struct trace_arg)TRACE_NUMBER("number", arg[0]);
		event->args[1] = (struct trace_arg)TRACE_SIGNED("result", arg[1]);
		return true;
	case RS_TRACE_FAULT:
		if (arg[0] > 255 || arg[4] > 3)
			return false;
		event->category = arg[0] < 32 ? "fault" : "interrupt";
		snprintf(name, size, "%s in ring %u", vector_name((unsigned)arg[0]),
		         (unsigned)arg[4]);
		event->args[0] =
		    (struct trace_arg)TRACE_TEXT("what", vector_text((unsigned)arg[0]));
		event->args[1] = (struct trace_arg)TRACE_ADDRESS("error code", arg[1]);
		event->args[2] = (struct trace_arg)TRACE_ADDRESS("rip", arg[2]);
		if (arg[0] == VECTOR_PF || arg[0] == VECTOR_DF)
			event->args[3] = (struct trace_arg)TRACE_ADDRESS("cr2", arg[3]);
		return true;
	case RS_TRACE_SWITCH:
		if (arg[0] > UINT32_MAX)
			return false;
		event->category = "context switch";
		process_name(to, sizeof(to), arg[0]);
		snprintf(name, size, "switch to %s", to);
		event->args[0] = (struct trace_arg)TRACE_ADDRESS("kernel cr3", arg[1]);
		event->args[1] = (struct trace_arg)TRACE_ADDRESS("user cr3", arg[2]);
		return true;
	case RS_TRACE_END:
		event->category = "process";
		snprintf(name, size, "ends");
		event->args[0] = (struct trace_arg)TRACE_NUMBER("exit status", arg[0] >> 8 & 0xff);
		event->args[1] = (struct trace_arg)TRACE_NUMBER("signal", arg[0] & 0x7f);
		return true;
	case RS_TRACE_MODE:
		event->category = "mode";
		snprintf(name, size, "KPTI mode: %s", pti_name((uint32_t)arg[0]));
		return arg[0] <= RS_PTI_NOPCID;
	default:
		return false;
	}
}

/* System calls of one process come one after the other, also where the clocks were corrected
 * between them.  But a process may have gone on to another CPU whose records were written first. */
static void follow_last_call(struct trace *trace, const struct rs_trace_record *record,
                             uint64_t *begin_ns, uint64_t *end_ns)
{
	uint64_t *last;

	if (record->kind != RS_TRACE_SYSCALL || record->process >= TRACE_NAMED)
		return;
	last = &trace->call_end[record->process];
	if (trace->cpu_count > 1 && *end_ns < *last)
		return;
	if (*begin_ns < *last)
		*begin_ns = *last;
	if (*end_ns < *begin_ns)
		*end_ns = *begin_ns;
	*last = *end_ns;
}

static void write_record(void *ctx, const struct rs_trace_record *record)
{
	struct trace_cpu *cpu = ctx;
	struct trace *trace = cpu->trace;
	char name[64];
	struct trace_event event = {.pid = GROUP_PROCESSES, .tid = record->process, .name = name};
	uint64_t end_ns;

	if (!describe(record, &event, name, sizeof(name))) {
		trace->bad++;
		return;
	}
	record_times(cpu, record, &event.ns, &end_ns);
	follow_last_call(trace, record, &event.ns, &end_ns);
	event.duration = end_ns - event.ns;
	name_process(trace, record->process);
	trace_file_event(&trace->file, &event);
	if (!cpu->running_known)
		cpu->running = record->process; /* from the beginning */
	cpu->running_known = true;
	if (record->kind == RS_TRACE_SWITCH) {
		close_running(cpu, event.ns);
		cpu->running = (uint32_t)record->arg[0];
		if (event.ns > cpu->running_since)
			cpu->running_since = event.ns;
	}
}

/* ---- What the VMM sees ----------------------------------------------------------------------- */

/* A time of this CPU's, not before what is written of it: while it ran, others have made the clock
 * more exact. */
static uint64_t cpu_clock_at(const struct trace_cpu *cpu, uint64_t ticks)
{
	const uint64_t ns = trace_clock_at(&cpu->trace->clock, ticks);

	return ns < cpu->reached ? cpu->reached : ns;
}

static void write_spans(struct trace_cpu *cpu, const struct trace_exit *exit, uint64_t left_ns)
{
	struct trace *trace = cpu->trace;
	const uint64_t entered_ns = cpu_clock_at(cpu, exit->entered);
	const uint64_t now_ns = cpu_clock_at(cpu, exit->ticks);
	const struct exit_record *detail = exit->detail;
	struct trace_event event = {
	    .phase = TRACE_SPAN,
	    .pid = GROUP_MACHINE,
	    .tid = vcpu_track(cpu->number),
	    .ns = entered_ns,
	    .duration = left_ns - entered_ns,
	    .name = "guest",
	    .category = "guest",
	};

	trace_file_event(&trace->file, &event);
	event.ns = left_ns;
	event.duration = now_ns - left_ns;
	event.name = exit_name(exit->reason, detail);
	event.category = "exit";
	event.args[0] = (struct trace_arg)TRACE_TEXT("reason", stats_reason_name(exit->reason));
	if (detail) {
		event.args[1] = (struct trace_arg)TRACE_ADDRESS("address", detail->address);
		event.args[2] = (struct trace_arg)TRACE_NUMBER("bytes", detail->size);
		if (detail->write)
			event.args[3] = (struct trace_arg)TRACE_ADDRESS("written", detail->value);
	}
	trace_file_event(&trace->file, &event);
	cpu->reached = now_ns;
}

/* Where writing the trace took longer than the exit itself would have, it shows: the guest stood
 * still for it.  Where something else drives the machine, by exits that are not the guest's and not
 * shown, the guest ran between those. */
static void write_own_time(struct trace_cpu *cpu, const struct trace_exit *exit)
{
	const uint64_t stops = exit->stops;
	struct trace *trace = cpu->trace;
	const uint64_t served_ns = cpu_clock_at(cpu, cpu->served);
	const uint64_t entered_ns = cpu_clock_at(cpu, exit->entered);

	if (!cpu->served || entered_ns - served_ns < OWN_TIME_SHOWN_NS)
		return;
	trace_file_event(&trace->file,
	                 &(struct trace_event){
	                     .phase = TRACE_SPAN,
	                     .pid = GROUP_MACHINE,
	                     .tid = vcpu_track(cpu->number),
	                     .ns = served_ns,
	                     .duration = entered_ns - served_ns,
	                     .name = stops ? "guest, stopped and watched" : "writing the trace",
	                     .category = stops ? "guest" : "trace",
	                     .args = {{.key = stops ? "stops" : NULL, .number = stops}},
	                 });
}

static void write_mark(struct trace_cpu *cpu, uint64_t ns)
{
	const struct rs_mark *mark = &cpu->mark;
	char name[32];

	snprintf(name, sizeof(name), "mark %u", cpu->mark_slot);
	trace_file_event(
	    &cpu->trace->file,
	    &(struct trace_event){
	        .phase = TRACE_INSTANT,
	        .pid = GROUP_MACHINE,
	        .tid = vcpu_track(cpu->number),
	        .ns = ns,
	        .name = name,
	        .category = "mark",
	        .args = {TRACE_NUMBER("cpl", mark->cpl), TRACE_ADDRESS("rip", mark->rip),
	                 TRACE_ADDRESS("rsp", mark->rsp), TRACE_ADDRESS("cr3", mark->cr3),
	                 TRACE_ADDRESS("cs", mark->cs), TRACE_ADDRESS("ss", mark->ss),
	                 TRACE_ADDRESS("rflags", mark->rflags)},
	    });
}

static void write_counter(struct trace *trace, const char *name, uint64_t ns,
                          struct trace_arg first, struct trace_arg second, struct trace_arg third)
{
	trace_file_event(&trace->file, &(struct trace_event){
	                                   .phase = TRACE_COUNTER,
	                                   .pid = GROUP_MACHINE,
	                                   .ns = ns,
	                                   .name = name,
	                                   .args = {first, second, third},
	                               });
}

static void write_counters(struct trace *trace, uint64_t ns, const struct rs_stats *counts)
{
	const struct trace_arg none = {0};

	trace->counters_ns = ns;
	write_counter(trace, "exits", ns, (struct trace_arg)TRACE_NUMBER("exits", trace->exits),
	              none, none);
	if (!counts)
		return;
	write_counter(trace, "system calls", ns,
	              (struct trace_arg)TRACE_NUMBER("SYSCALL", counts->syscall64),
	              (struct trace_arg)TRACE_NUMBER("INT 0x80", counts->int80), none);
	write_counter(trace, "faults and switches", ns,
	              (struct trace_arg)TRACE_NUMBER("faults of ring 3", counts->user_faults),
	              (struct trace_arg)TRACE_NUMBER("context switches", counts->context_switches),
	              none);
	write_counter(trace, "CR3 writes", ns,
	              (struct trace_arg)TRACE_NUMBER("in", counts->cr3_entry),
	              (struct trace_arg)TRACE_NUMBER("out", counts->cr3_exit),
	              (struct trace_arg)TRACE_NUMBER("switch", counts->cr3_switch));
}

/* ---- Calls
 * ----------------------------------------------------------------------------------------------------
 */

static void name_cpu(struct trace *trace, unsigned cpu)
{
	char name[32];

	snprintf(name, sizeof(name), "vCPU %u", cpu);
	trace_file_name(&trace->file, "thread_name", GROUP_MACHINE, vcpu_track(cpu), name);
	snprintf(name, sizeof(name), "running on vCPU %u", cpu);
	trace_file_name(&trace->file, "thread_name", GROUP_MACHINE, running_track(cpu), name);
}

void trace_begin(struct trace *trace, struct outfile *out, const struct trace_start *start)
{
	*trace = (struct trace){.out = out, .cpu_count = start->cpus};
	trace_clock_start(&trace->clock, start->ticks, start->nanoseconds);
	trace_file_begin(&trace->file, out->stream, start->limit);
	trace_file_name(&trace->file, "process_name", GROUP_MACHINE, 0, start->guest);
	for (unsigned i = 0; i < start->cpus; i++) {
		trace->cpus[i] = (struct trace_cpu){
		    .trace = trace, .number = i, .guest_ahead = start->guest_ahead[i]};
		if (start->ring[i])
			trace_ring_init(&trace->cpus[i].ring, start->ring[i], start->ring_size);
		name_cpu(trace, i);
	}
	trace_file_name(&trace->file, "process_name", GROUP_PROCESSES, 0, "guest processes");
}

void trace_mark(struct trace *trace, unsigned cpu, unsigned slot, const struct rs_mark *mark)
{
	trace->cpus[cpu].mark = *mark;
	trace->cpus[cpu].mark_slot = slot;
	trace->cpus[cpu].mark_pending = true;
}

void trace_exit(struct trace *trace, const struct trace_exit *exit)
{
	struct trace_cpu *cpu = &trace->cpus[exit->cpu];
	uint64_t left_ns;

	trace_clock_read(&trace->clock, exit->ticks, exit->nanoseconds);
	/* Records are from when it ran, also between stops that are not told here. */
	cpu->entered = exit->entered;
	if (exit->stops)
		cpu->entered = cpu->served ? cpu->served : trace->clock.first.ticks;
	cpu->left = exit->left;
	trace->exits++;
	write_own_time(cpu, exit);
	cpu->served = exit->ticks;
	if (cpu->ring.shared) {
		compare_clocks(cpu);
		trace->lost += trace_ring_drain(&cpu->ring, write_record, cpu);
	}
	left_ns = cpu_clock_at(cpu, exit->left);
	write_spans(cpu, exit, left_ns);
	if (cpu->mark_pending)
		write_mark(cpu, left_ns);
	cpu->mark_pending = false;
	if (trace->exits == 1 || left_ns >= trace->counters_ns + COUNTERS_EVERY_NS)
		write_counters(trace, left_ns, exit->counts);
}

void trace_crossing(struct trace *trace, const struct seen_crossing *crossing)
{
	trace_crossings_write(&trace->crossings, &trace->file, GROUP_SPACES,
	                      trace->clock.first.nanoseconds, crossing);
}

/* What is not in the file, on standard error. */
static void say_missing(const struct trace *trace)
{
	const char *path = trace->out->path;
	char dropped[UNITS_SIZE], lost[UNITS_SIZE], limit[UNITS_SIZE];

	if (trace->file.dropped)
		message_error(
		    "trace %s: %s event%s dropped: it reached its limit of %s; a larger one is "
		    "--trace-limit's to give",
		    path, units_count(dropped, trace->file.dropped), units_s(trace->file.dropped),
		    units_bytes(limit, trace->file.limit));
	if (trace->lost)
		message_error(
		    "trace %s: %s event%s lost: between two exits the guest noted more than its "
		    "ring holds",
		    path, units_count(lost, trace->lost), units_s(trace->lost));
	if (trace->bad)
		message_error("trace %s: %s record%s of the guest made no sense and %s left out",
		              path, units_count(lost, trace->bad), units_s(trace->bad),
		              trace->bad == 1 ? "was" : "were");
}

bool trace_end(struct trace *trace, const char *end)
{
	const uint64_t ns = trace_clock_at(&trace->clock, UINT64_MAX);
	const struct trace_facts facts = {
	    .lost = trace->lost,
	    .ns = ns,
	    .args = {TRACE_TEXT("made by", "Ringscope vmm " RS_VERSION), TRACE_TEXT("end", end),
	             TRACE_NUMBER("exits", trace->exits),
	             TRACE_NUMBER("records without sense", trace->bad)},
	};

	for (unsigned i = 0; i < trace->cpu_count; i++)
		close_running(&trace->cpus[i], ns);
	trace_file_end(&trace->file, &facts);
	say_missing(trace);
	return outfile_commit(trace->out);
}
