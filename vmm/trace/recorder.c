#include "vmm/trace/recorder.h"

#include <time.h>

#include "vmm/message.h"
#include "vmm/outcome.h"

static uint64_t monotonic_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* How far this CPU's TSC is ahead of the host's; 0 where KVM does not tell. */
static uint64_t guest_ahead(const struct vcpu *vcpu)
{
	enum { TIME_STAMP_COUNTER = 0x10, TRIES = 5 };
	uint64_t best = UINT64_MAX, ahead = 0;

	/* The shortest of some readings: an interruption in the middle of one spoils only that. */
	for (int i = 0; i < TRIES; i++) {
		struct kvm_msr_entry tsc = {.index = TIME_STAMP_COUNTER};
		const uint64_t before = stats_now();

		if (kvm_msrs(vcpu->fd, KVM_GET_MSRS, &tsc, 1) != 1)
			return 0;

		const uint64_t took = stats_now() - before;

		if (took < best) {
			best = took;
			ahead = tsc.data - (before + took / 2);
		}
	}
	return ahead;
}

/* RAM for the rings, from the end of what is the guest's below RS_HOLE, and the guest is told. */
static void take_rings(struct machine *machine, struct trace_start *start)
{
	struct rs_boot *page = machine->boot.page;
	const uint64_t free = machine->memory.low_end - machine->boot.next_frame;

	start->ring_size = trace_ring_size(machine->memory.size, start->cpus);
	if (start->ring_size * start->cpus > free / 2)
		return;
	for (unsigned i = 0; i < start->cpus; i++) {
		page->free_end -= start->ring_size;
		page->trace[i] = page->free_end;
		start->ring[i] = memory_at(&machine->memory, page->free_end, start->ring_size);
	}
}

static void start_trace(struct recorder *recorder)
{
	struct machine *machine = recorder->machine;
	struct trace_start start = {
	    .limit = machine->options->trace_limit,
	    .guest = machine->options->guest,
	    .cpus = machine->boot.cpus,
	};

	for (unsigned i = 0; i < start.cpus; i++)
		start.guest_ahead[i] = guest_ahead(&machine->cpus[i].vcpu);
	if (machine->image.noted)
		take_rings(machine, &start);
	start.nanoseconds = monotonic_now();
	start.ticks = stats_now();
	trace_begin(&recorder->trace, &machine->outputs.trace, &start);
	recorder->tracing = true;
}

/* What the dispatcher noted about this exit; NULL: nothing. */
static const struct exit_record *detail(struct recorder *recorder, const struct cpu *cpu)
{
	const struct exit_ring *ring = &cpu->stats.ring;

	if (ring->count == recorder->exits_seen[cpu->number])
		return NULL;
	recorder->exits_seen[cpu->number] = ring->count;
	return &ring->records[(ring->count - 1) % EXIT_RING_SIZE];
}

static void see_exit(struct observer *observer, struct cpu *cpu, uint64_t entered)
{
	struct recorder *recorder = (struct recorder *)observer;
	const struct machine *machine = cpu->machine;
	const struct stats *stats = &cpu->stats;
	struct rs_stats counts;

	timeline_add(&recorder->timeline, stats->last, stats_serving(stats));
	if (!recorder->tracing)
		return;
	if (machine->image.noted)
		counts = boot_counts(&machine->boot);
	trace_exit(&recorder->trace, &(struct trace_exit){
	                                 .cpu = cpu->number,
	                                 .entered = entered,
	                                 .left = stats->last,
	                                 .nanoseconds = monotonic_now(),
	                                 .ticks = stats_now(),
	                                 .reason = stats_serving(stats),
	                                 .detail = detail(recorder, cpu),
	                                 .counts = machine->image.noted ? &counts : NULL,
	                             });
}

static bool see_mark(struct observer *observer, struct cpu *cpu, unsigned slot,
                     const struct rs_mark *mark)
{
	struct recorder *recorder = (struct recorder *)observer;

	if (recorder->tracing)
		trace_mark(&recorder->trace, cpu->number, slot, mark);
	return true;
}

void recorder_start(struct recorder *recorder, struct machine *machine)
{
	if (!machine->options->trace_file && !machine->options->report_file)
		return;
	recorder->machine = machine;
	recorder->observer = (struct observer){.served = see_exit, .marked = see_mark};
	timeline_start(&recorder->timeline, stats_now());
	if (machine->options->trace_file)
		start_trace(recorder);
	machine_observe(machine, &recorder->observer);
}

bool recorder_finish(struct recorder *recorder)
{
	const struct machine *machine = recorder->machine;

	if (!machine)
		return true;
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		if (machine->cpus[i].started)
			timeline_reach(&recorder->timeline, machine->cpus[i].stats.last);
	}
	return !recorder->tracing ||
	       trace_end(&recorder->trace, outcome_name(machine->outcome.reason));
}
