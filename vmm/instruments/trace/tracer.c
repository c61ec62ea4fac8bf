#include "vmm/instruments/trace/tracer.h"

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/run/outcome.h"

/* How far this CPU's TSC is ahead of the host's; 0 where KVM does not tell. */
static uint64_t guest_ahead(const struct vcpu *vcpu)
{
	enum { TRIES = 5 };
	uint64_t best = UINT64_MAX, ahead = 0;

	/* The shortest of some readings: an interruption in the middle of one spoils only that. */
	for (int i = 0; i < TRIES; i++) {
		const uint64_t before = stats_now();
		uint64_t tsc;

		if (!vcpu_read_msr(vcpu, MSR_TSC, &tsc))
			return 0;

		const uint64_t took = stats_now() - before;

		if (took < best) {
			best = took;
			ahead = tsc - (before + took / 2);
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

/* What the dispatcher noted about this exit; NULL: nothing. */
static const struct exit_record *detail(struct tracer *tracer, const struct cpu *cpu)
{
	const struct exit_ring *ring = &cpu->stats.ring;

	if (ring->count == tracer->exits_seen[cpu->number])
		return NULL;
	tracer->exits_seen[cpu->number] = ring->count;
	return &ring->records[(ring->count - 1) % EXIT_RING_SIZE];
}

/* Exits that a debugger made since the last time. */
static uint64_t stops(struct tracer *tracer, const struct cpu *cpu)
{
	const uint64_t all = cpu->stats.reasons[STATS_DEBUGGER].count;
	const uint64_t seen = tracer->stops_seen[cpu->number];

	/* A return without an exit becomes a debugger's when it has been served. */
	tracer->stops_seen[cpu->number] = all + (stats_serving(&cpu->stats) == STATS_EINTR);
	return all > seen ? all - seen : 0;
}

static void see_exit(struct observer *observer, struct cpu *cpu, uint64_t entered)
{
	struct tracer *tracer = (struct tracer *)observer;
	const struct machine *machine = cpu->machine;
	const struct stats *stats = &cpu->stats;
	struct rs_stats counts = {0};

	if (machine->image.noted)
		counts = boot_counts(&machine->boot);
	trace_exit(&tracer->trace, &(struct trace_exit){
	                               .cpu = cpu->number,
	                               .entered = entered,
	                               .left = stats->last,
	                               .nanoseconds = clock_ns(),
	                               .ticks = stats_now(),
	                               .reason = stats_serving(stats),
	                               .stops = stops(tracer, cpu),
	                               .detail = detail(tracer, cpu),
	                               .counts = machine->image.noted ? &counts : NULL,
	                           });
}

static bool see_mark(struct observer *observer, struct cpu *cpu, unsigned slot,
                     const struct rs_mark *mark)
{
	struct tracer *tracer = (struct tracer *)observer;

	trace_mark(&tracer->trace, cpu->number, slot, mark);
	return true;
}

static void see_crossing(struct observer *observer, struct cpu *cpu,
                         const struct seen_crossing *crossing)
{
	(void)cpu;
	trace_crossing(&((struct tracer *)observer)->trace, crossing);
}

static bool begin(void *mine, struct machine *machine, struct manner *manner)
{
	struct tracer *tracer = mine;
	struct trace_start start = {
	    .limit = tracer->limit,
	    .guest = machine->plan->guest,
	    .cpus = machine->boot.cpus,
	};

	(void)manner;
	for (unsigned i = 0; i < start.cpus; i++)
		start.guest_ahead[i] = guest_ahead(&machine->cpus[i].vcpu);
	if (machine->image.noted)
		take_rings(machine, &start);
	start.nanoseconds = clock_ns();
	start.ticks = stats_now();
	trace_begin(&tracer->trace, &tracer->file, &start);
	tracer->observer =
	    (struct observer){.served = see_exit, .marked = see_mark, .crossed = see_crossing};
	machine_observe(machine, &tracer->observer);
	return true;
}

static bool wanted(const void *mine)
{
	return ((const struct tracer *)mine)->file.path;
}

static enum instrument_result end(void *mine, struct machine *machine, struct manner *manner)
{
	struct tracer *tracer = mine;

	const bool good = trace_end(&tracer->trace, outcome_name(machine->outcome.reason));

	(void)manner;
	tracer->figures = (struct trace_figures){.file = tracer->file.path,
	                                         .events = tracer->trace.file.events,
	                                         .dropped = tracer->trace.file.dropped,
	                                         .lost = tracer->trace.lost};
	return good ? INSTRUMENT_DONE : INSTRUMENT_LOST;
}

const struct instrument trace_instrument = {
    .option = "trace", .wanted = wanted, .begin = begin, .end = end};
