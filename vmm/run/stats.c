/*
 * The side of the statistics that is not in a hurry: memory, clocks, and turning ticks and
 * buckets into what a person asks for.
 */
#include "vmm/run/stats.h"

#include "vmm/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sys/mman.h>

static const char *const reason_names[STATS_REASONS] = {
    [0] = "UNKNOWN",
    [1] = "EXCEPTION",
    [2] = "IO",
    [3] = "HYPERCALL",
    [4] = "DEBUG",
    [5] = "HLT",
    [6] = "MMIO",
    [7] = "IRQ_WINDOW_OPEN",
    [8] = "SHUTDOWN",
    [9] = "FAIL_ENTRY",
    [10] = "INTR",
    [11] = "SET_TPR",
    [12] = "TPR_ACCESS",
    [13] = "S390_SIEIC",
    [14] = "S390_RESET",
    [15] = "DCR",
    [16] = "NMI",
    [17] = "INTERNAL_ERROR",
    [18] = "OSI",
    [19] = "PAPR_HCALL",
    [20] = "S390_UCONTROL",
    [21] = "WATCHDOG",
    [22] = "S390_TSCH",
    [23] = "EPR",
    [24] = "SYSTEM_EVENT",
    [25] = "S390_STSI",
    [26] = "IOAPIC_EOI",
    [27] = "HYPERV",
    [28] = "ARM_NISV",
    [29] = "X86_RDMSR",
    [30] = "X86_WRMSR",
    [31] = "DIRTY_RING_FULL",
    [32] = "AP_RESET_HOLD",
    [33] = "X86_BUS_LOCK",
    [34] = "XEN",
    [35] = "RISCV_SBI",
    [36] = "RISCV_CSR",
    [37] = "NOTIFY",
    [38] = "LOONGARCH_IOCSR",
    [39] = "MEMORY_FAULT",
    [40] = "TDX",
    [41] = "REASON_41",
    [42] = "REASON_42",
    [43] = "REASON_43",
    [44] = "REASON_44",
    [45] = "REASON_45",
    [46] = "REASON_46",
    [47] = "REASON_47",
    [STATS_EINTR] = "EINTR",
    [STATS_EAGAIN] = "EAGAIN",
    [STATS_ERROR] = "ERROR",
    [STATS_DEBUGGER] = "DEBUGGER",
    [STATS_OTHER] = "OTHER",
};

const char *stats_reason_name(uint32_t reason)
{
	return reason_names[reason < STATS_REASONS ? reason : STATS_OTHER];
}

const struct exit_record *exit_ring_get(const struct exit_ring *ring, size_t i)
{
	uint64_t kept = ring->count < EXIT_RING_SIZE ? ring->count : EXIT_RING_SIZE;

	if (i >= kept)
		return NULL;
	return &ring->records[(ring->count - kept + i) % EXIT_RING_SIZE];
}

/* ---- Start and stop ---------------------------------------------------------------------- */

static const size_t histograms_size = (STATS_REASONS + 1) * STATS_BUCKETS * sizeof(uint64_t);

bool stats_start_at(struct stats *stats, uint64_t ticks, uint64_t nanoseconds)
{
	/* A page of histogram that is never counted in is never touched: 11 KiB a reason would
	 * otherwise be 600 KiB of zeroing before the guest's first instruction. */
	uint64_t *histograms =
	    mmap(NULL, histograms_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (histograms == MAP_FAILED)
		return false;
	*stats = (struct stats){
	    .last = ticks,
	    .serving = &stats->reasons[STATS_REASONS],
	    .tick0 = ticks,
	    .nanosecond0 = nanoseconds,
	};
	for (size_t i = 0; i <= STATS_REASONS; i++) {
		stats->reasons[i].min = UINT64_MAX;
		stats->reasons[i].histogram = histograms + i * STATS_BUCKETS;
	}
	return true;
}

void stats_stop_at(struct stats *stats, uint64_t ticks, uint64_t nanoseconds)
{
	stats_enter_at(stats, ticks);
	stats->ticks = stats->last - stats->tick0;
	stats->nanoseconds =
	    nanoseconds > stats->nanosecond0 ? nanoseconds - stats->nanosecond0 : 0;
}

void stats_free(struct stats *stats)
{
	if (stats->reasons[0].histogram)
		munmap(stats->reasons[0].histogram, histograms_size);
	for (size_t i = 0; i <= STATS_REASONS; i++)
		stats->reasons[i].histogram = NULL;
}

bool stats_start(struct stats *stats)
{
	/* The first call of clock_gettime maps the vDSO's pages: not to be counted. */
	clock_ns();

	uint64_t nanoseconds = clock_ns();

	return stats_start_at(stats, stats_now(), nanoseconds);
}

void stats_stop(struct stats *stats)
{
	uint64_t nanoseconds = clock_ns();

	stats_stop_at(stats, stats_now(), nanoseconds);
}

/* ---- Adding up ---------------------------------------------------------------------------- */

static void add_reason(struct stats_reason *sum, const struct stats_reason *reason)
{
	if (!reason->count)
		return;
	if (reason->min < sum->min)
		sum->min = reason->min;
	if (reason->max > sum->max)
		sum->max = reason->max;
	sum->count += reason->count;
	sum->total += reason->total;
	sum->guest += reason->guest;
	for (size_t b = 0; b < STATS_BUCKETS; b++)
		sum->histogram[b] += reason->histogram[b];
}

bool stats_add(struct stats *sum, const struct stats *stats)
{
	if (!stats->reasons[0].histogram)
		return true; /* never started: there is nothing */
	if (!sum->reasons[0].histogram && !stats_start_at(sum, 0, 0))
		return false;
	for (size_t i = 0; i < STATS_REASONS; i++)
		add_reason(&sum->reasons[i], &stats->reasons[i]);
	sum->ticks += stats->ticks;
	sum->nanoseconds += stats->nanoseconds;
	sum->unknown_io += stats->unknown_io;
	sum->unknown_mmio += stats->unknown_mmio;
	sum->hypercalls += stats->hypercalls;
	sum->bad_hypercalls += stats->bad_hypercalls;
	sum->console_bytes += stats->console_bytes;
	sum->input_bytes += stats->input_bytes;
	sum->quirk_stac += stats->quirk_stac;
	sum->quirk_ud_injected += stats->quirk_ud_injected;
	return true;
}

/* ---- Asking ------------------------------------------------------------------------------ */

__extension__ typedef unsigned __int128 wide;

uint64_t stats_nanoseconds(const struct stats *stats, uint64_t ticks)
{
	if (!stats->ticks)
		return 0;
	return (uint64_t)((wide)ticks * stats->nanoseconds / stats->ticks);
}

static uint64_t nanoseconds_up(const struct stats *stats, uint64_t ticks)
{
	if (!stats->ticks)
		return 0;
	return (uint64_t)(((wide)ticks * stats->nanoseconds + stats->ticks - 1) / stats->ticks);
}

void stats_times(const struct stats *stats, struct stats_times *times)
{
	uint64_t guest = 0, vmm = 0;

	*times = (struct stats_times){0};
	for (size_t i = 0; i < STATS_REASONS; i++) {
		times->exits += stats->reasons[i].count;
		guest += stats->reasons[i].guest;
		vmm += stats->reasons[i].total;
	}
	times->guest_ns = stats_nanoseconds(stats, guest);
	times->vmm_ns = stats_nanoseconds(stats, vmm);
	times->run_ns = times->guest_ns + times->vmm_ns;
}

/* The largest value that bucket b counts: the inverse of stats_bucket. */
static uint64_t bucket_last(unsigned b)
{
	if (b < STATS_SUB)
		return b;

	unsigned shift = b / STATS_SUB - 1;
	uint64_t step = UINT64_C(1) << shift;

	return (b % STATS_SUB + STATS_SUB) * step + step - 1;
}

/* The upper edge of the bucket that holds the value with this rank in order of size, 1 the
 * smallest. */
static uint64_t value_of_rank(const struct stats_reason *reason, uint64_t rank)
{
	uint64_t seen = 0;

	for (unsigned b = 0; b < STATS_BUCKETS; b++) {
		seen += reason->histogram[b];
		if (seen >= rank)
			return b == STATS_BUCKETS - 1 ? reason->max : bucket_last(b);
	}
	return reason->max;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Nearest rank: the smallest value that is not below `percent` of all. */
static uint64_t percentile(const struct stats_reason *reason, unsigned percent)
{
	uint64_t rank = (uint64_t)(((wide)reason->count * percent + 99) / 100);

	return smaller(value_of_rank(reason, rank), reason->max);
}

void stats_summarize(const struct stats *stats, struct stats_summary summary[STATS_REASONS])
{
	uint64_t vmm = 0, guest = 0;

	for (size_t i = 0; i < STATS_REASONS; i++) {
		const struct stats_reason *reason = &stats->reasons[i];
		struct stats_summary *s = &summary[i];

		*s = (struct stats_summary){.count = reason->count};
		if (!reason->count)
			continue;
		/* Differences of rounded sums, not rounded differences: so they add up. */
		s->total_ns =
		    stats_nanoseconds(stats, vmm + reason->total) - stats_nanoseconds(stats, vmm);
		s->guest_ns = stats_nanoseconds(stats, guest + reason->guest) -
		              stats_nanoseconds(stats, guest);
		vmm += reason->total;
		guest += reason->guest;
		/* The same rounding may leave total_ns one below the longest exit. */
		s->max_ns = smaller(nanoseconds_up(stats, reason->max), s->total_ns);
		s->p99_ns = smaller(nanoseconds_up(stats, percentile(reason, 99)), s->max_ns);
		s->p50_ns = smaller(nanoseconds_up(stats, percentile(reason, 50)), s->p99_ns);
		s->min_ns = smaller(stats_nanoseconds(stats, reason->min), s->p50_ns);
	}
}
