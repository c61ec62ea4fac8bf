#include "vmm/trace/recorder.h"

#include <stdlib.h>
#include <time.h>

#include "vmm/message.h"
#include "vmm/outcome.h"

static uint64_t monotonic_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* How far the guest's TSC is ahead of this one; 0 where KVM does not tell. */
static uint64_t guest_ahead(const struct machine *machine)
{
	enum { TIME_STAMP_COUNTER = 0x10, TRIES = 5 };
	uint64_t best = UINT64_MAX, ahead = 0;

	/* The shortest of some readings: an interruption in the middle of one spoils only that. */
	for (int i = 0; i < TRIES; i++) {
		struct kvm_msr_entry tsc = {.index = TIME_STAMP_COUNTER};
		const uint64_t before = stats_now();

		if (kvm_msrs(machine->cpus[0].vcpu.fd, KVM_GET_MSRS, &tsc, 1) != 1)
			return 0;

		const uint64_t took = stats_now() - before;

		if (took < best) {
			best = took;
			ahead = tsc.data - (before + took / 2);
		}
	}
	return ahead;
}

/* RAM for the ring, from the end of what is the guest's, and the guest is told. */
static void *take_ring(struct machine *machine, uint64_t *size)
{
	struct rs_boot *page = machine->boot.page;
	const uint64_t free = machine->memory.size - machine->boot.next_frame;

	*size = trace_ring_size(machine->memory.size);
	if (*size > free / 2)
		return NULL;
	page->free_end = machine->memory.size - *size;
	page->trace[0] = page->free_end;
	return memory_at(&machine->memory, page->free_end, *size);
}

static bool start_trace(struct machine *machine)
{
	struct recorder *recorder = machine->recorder;
	struct trace_start start = {
	    .path = machine->options->trace_file,
	    .limit = machine->options->trace_limit,
	    .guest = machine->options->guest,
	    .guest_ahead = guest_ahead(machine),
	};

	if (machine->image.noted)
		start.ring = take_ring(machine, &start.ring_size);
	start.nanoseconds = monotonic_now();
	start.ticks = stats_now();
	recorder->tracing = trace_open(&recorder->trace, &start);
	return recorder->tracing;
}

bool recorder_start(struct machine *machine)
{
	if (!machine->options->trace_file && !machine->options->report_file)
		return true;
	if (machine->options->trace_file && machine->boot.cpus > 1)
		return message_error(
		    "--trace: records a machine with one CPU only: leave out --cpus");
	machine->recorder = calloc(1, sizeof(*machine->recorder));
	if (!machine->recorder)
		return message_error("no memory for the trace");
	timeline_start(&machine->recorder->timeline, stats_now());
	return !machine->options->trace_file || start_trace(machine);
}

/* What the dispatcher noted about this exit; NULL: nothing. */
static const struct exit_record *detail(const struct cpu *cpu)
{
	const struct exit_ring *ring = &cpu->stats.ring;
	struct recorder *recorder = cpu->machine->recorder;

	if (ring->count == recorder->exits_seen)
		return NULL;
	recorder->exits_seen = ring->count;
	return &ring->records[(ring->count - 1) % EXIT_RING_SIZE];
}

void recorder_exit(struct cpu *cpu, uint64_t entered)
{
	const struct machine *machine = cpu->machine;
	struct recorder *recorder = machine->recorder;
	const struct stats *stats = &cpu->stats;

	timeline_add(&recorder->timeline, stats->last, stats->serving);
	if (!recorder->tracing)
		return;
	trace_exit(&recorder->trace,
	           &(struct trace_exit){
	               .entered = entered,
	               .left = stats->last,
	               .nanoseconds = monotonic_now(),
	               .ticks = stats_now(),
	               .reason = stats->serving,
	               .detail = detail(cpu),
	               .counts = machine->image.noted ? machine->boot.stats[0] : NULL,
	           });
}

void recorder_mark(struct cpu *cpu, unsigned slot, const struct rs_mark *mark)
{
	struct recorder *recorder = cpu->machine->recorder;

	if (recorder && recorder->tracing)
		trace_mark(&recorder->trace, slot, mark);
}

bool recorder_finish(struct machine *machine)
{
	struct recorder *recorder = machine->recorder;

	if (!recorder)
		return true;
	timeline_reach(&recorder->timeline, machine->cpus[0].stats.last);
	return !recorder->tracing || trace_close(&recorder->trace, machine->options->trace_file,
	                                         outcome_name(machine->outcome.reason));
}

void recorder_free(struct machine *machine)
{
	free(machine->recorder);
	machine->recorder = NULL;
}
