/*
 * What every return from KVM_RUN cost, counted for next to nothing.
 *
 * The run loop calls one inline function on each side of KVM_RUN:
 *
 *     stats_start(&stats);
 *     do {
 *             stats_enter(&stats);
 *             ret = ioctl(vcpu, KVM_RUN, 0);
 *             stats_leave(&stats, ret < 0 ? stats_errno_reason(errno) : run->exit_reason);
 *             ... serve the exit ...
 *     } while (...);
 *     stats_stop(&stats);
 *
 * Each takes one time stamp with RDTSC.  It costs 10 ns where clock_gettime costs 25 (measured on
 * the software KVM of shared/kvm-hosts.md, whose exit takes 7,000), and the unit does not matter
 * while counting: stats_stop reads CLOCK_MONOTONIC once more, and the ratio of the two
 * clocks over the run turns ticks into nanoseconds when somebody asks.
 *
 * The run is what lies between the first stats_enter and stats_stop.  Every tick of it belongs to
 * exactly one place: the guest (inside KVM_RUN, before the exit it ended with) or the VMM (from
 * KVM_RUN's return to the next stats_enter or stats_stop, serving that exit).  So
 *
 *     run = guest + vmm,   guest = sum of summary.guest_ns,   vmm = sum of summary.total_ns
 *
 * hold in ticks by construction, and in nanoseconds because the rounding is carried on.
 *
 * Percentiles come from a histogram of constant size whose buckets are 1/32 of their value wide:
 * what is reported is at most 1/32 above the exact value, and never below it.
 *
 * The functions ending in _at take the time stamp, and are all a unit test needs.
 */
#ifndef VMM_RUN_STATS_H
#define VMM_RUN_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Reasons ----------------------------------------------------------------------------- */

/* KVM_EXIT_* below STATS_KVM_REASONS, and the returns that are no exit of the guest's. */
enum {
	STATS_KVM_REASONS = 48,
	STATS_EINTR = STATS_KVM_REASONS, /* KVM_RUN failed with EINTR: a signal or immediate_exit */
	STATS_EAGAIN,                    /* ... with EAGAIN: a vCPU that has just been started */
	STATS_ERROR,                     /* ... with another errno */
	STATS_DEBUGGER,                  /* what the guest would not have made by itself */
	STATS_OTHER,                     /* an exit reason beyond the table */
	STATS_REASONS
};

/* The pseudo reason for a KVM_RUN that failed with this errno. */
static inline uint32_t stats_errno_reason(int error)
{
	enum { ERROR_INTR = 4, ERROR_AGAIN = 11 };

	return error == ERROR_INTR    ? STATS_EINTR
	       : error == ERROR_AGAIN ? STATS_EAGAIN
	                              : STATS_ERROR;
}

/* "IO", "MMIO", "EINTR": KVM's name without KVM_EXIT_.  Never NULL; a number that has no name is
 * "REASON_41", and from STATS_REASONS on "OTHER". */
const char *stats_reason_name(uint32_t reason);

/* ---- The last exits ---------------------------------------------------------------------- */

enum { EXIT_RING_SIZE = 16 };

/* One exit as the run loop saw it. */
struct exit_record {
	uint32_t reason;  /* as given to stats_leave */
	uint8_t size;     /* bytes of the access; 0: not an access */
	bool write;       /* the guest wrote: OUT, a store, WRMSR */
	uint64_t address; /* port, GPA or MSR; else what the reason has to tell */
	uint64_t value;   /* what was written, little-endian, if write */
	uint64_t time;    /* time stamp of the return from KVM_RUN */
};

/* The last EXIT_RING_SIZE of them.  All zero is empty. */
struct exit_ring {
	uint64_t count; /* ever added */
	struct exit_record records[EXIT_RING_SIZE];
};

/* The place of the next one, to be filled whole: what is there is the oldest. */
static inline struct exit_record *exit_ring_next(struct exit_ring *ring)
{
	return &ring->records[ring->count++ % EXIT_RING_SIZE];
}

/* The i-th of those still kept, 0 the oldest; NULL beyond the end. */
const struct exit_record *exit_ring_get(const struct exit_ring *ring, size_t i);

/* ---- Counting ---------------------------------------------------------------------------- */

/* Bucket b < 32 holds the value b.  Above, each power of two is cut into 32 buckets; what is
 * larger than 2^STATS_MAX_BITS ticks (30 hours at 2.6 GHz) is counted in the last one. */
enum {
	STATS_SUB_BITS = 5,
	STATS_SUB = 1 << STATS_SUB_BITS,
	STATS_MAX_BITS = 48,
	STATS_BUCKETS = (STATS_MAX_BITS - STATS_SUB_BITS + 1) * STATS_SUB
};

struct stats_reason {
	uint64_t count; /* returns from KVM_RUN */
	uint64_t total; /* ticks the VMM took to serve them */
	uint64_t min;   /* ... the shortest; UINT64_MAX: none */
	uint64_t max;   /* ... the longest */
	uint64_t guest; /* ticks inside KVM_RUN before them */
	/* Of the ticks that serving took, STATS_BUCKETS of them, touched only where one was
	 * counted: 11 KiB for each reason are not to be looked through for what is all zero. */
	uint64_t *histogram;
};

struct stats {
	/* STATS_REASONS of them, and one more that takes the time before the first stats_enter. */
	struct stats_reason reasons[STATS_REASONS + 1];
	uint64_t last;                /* the latest time stamp */
	uint64_t inside;              /* ticks of the latest KVM_RUN */
	struct stats_reason *serving; /* of the exit being served, among `reasons` */
	uint64_t tick0;               /* both clocks at stats_start ... */
	uint64_t nanosecond0;
	uint64_t ticks; /* ... and what passed on them until stats_stop */
	uint64_t nanoseconds;

	/* Counters of others, here so that one report has them all. */
	uint64_t unknown_io;        /* port accesses that nothing answers */
	uint64_t unknown_mmio;      /* memory accesses outside RAM */
	uint64_t hypercalls;        /* OUT to RS_PORT_CALL */
	uint64_t bad_hypercalls;    /* of those, answered with an error */
	uint64_t console_bytes;     /* written by the guest */
	uint64_t input_bytes;       /* of standard input, read by the guest */
	uint64_t quirk_stac;        /* STAC and CLAC skipped for a KVM that cannot run them */
	uint64_t quirk_ud_injected; /* #UD given to ring 3 where KVM stopped instead */

	struct exit_ring ring;
};

/* Gets memory, lazily zeroed, and reads both clocks.  False (errno set) when there is no memory;
 * then nothing may be counted. */
bool stats_start(struct stats *stats);
/* Ends the run and reads both clocks again. */
void stats_stop(struct stats *stats);
/* Gives the memory back.  Harmless on a struct that is all zero or was freed before. */
void stats_free(struct stats *stats);

/* The bucket that counts a value. */
static inline unsigned stats_bucket(uint64_t ticks)
{
	if (ticks < STATS_SUB)
		return (unsigned)ticks;
	if (ticks >> STATS_MAX_BITS)
		return STATS_BUCKETS - 1;

	unsigned shift = 63U - (unsigned)__builtin_clzll(ticks) - STATS_SUB_BITS;

	return shift * STATS_SUB + (unsigned)(ticks >> shift);
}

/* Gives the ticks since the last time stamp to the exit being served.  A time stamp that lies
 * before the last one (two CPUs whose clocks differ) counts as no time. */
static inline void stats_enter_at(struct stats *stats, uint64_t now)
{
	struct stats_reason *reason = stats->serving;
	uint64_t ticks = now > stats->last ? now - stats->last : 0;

	reason->total += ticks;
	if (ticks < reason->min)
		reason->min = ticks;
	if (ticks > reason->max)
		reason->max = ticks;
	reason->histogram[stats_bucket(ticks)]++;
	stats->last += ticks;
}

/* reason: KVM_EXIT_* or a pseudo reason; any value. */
static inline void stats_leave_at(struct stats *stats, uint32_t reason, uint64_t now)
{
	uint64_t ticks = now > stats->last ? now - stats->last : 0;
	struct stats_reason *counted =
	    &stats->reasons[reason < STATS_REASONS ? reason : STATS_OTHER];

	counted->count++;
	counted->guest += ticks;
	stats->inside = ticks;
	stats->last += ticks;
	stats->serving = counted;
}

/* The reason of the exit being served; STATS_REASONS: none. */
static inline uint32_t stats_serving(const struct stats *stats)
{
	return (uint32_t)(stats->serving - stats->reasons);
}

/* The exit being served turns out to have another reason. */
static inline void stats_reassign(struct stats *stats, uint32_t reason)
{
	struct stats_reason *from = stats->serving;
	struct stats_reason *to = &stats->reasons[reason];

	from->count--;
	from->guest -= stats->inside;
	to->count++;
	to->guest += stats->inside;
	stats->serving = to;
}

static inline uint64_t stats_now(void)
{
	return __builtin_ia32_rdtsc();
}

/* Just before KVM_RUN. */
static inline void stats_enter(struct stats *stats)
{
	stats_enter_at(stats, stats_now());
}

/* Just after it. */
static inline void stats_leave(struct stats *stats, uint32_t exit_reason)
{
	stats_leave_at(stats, exit_reason, stats_now());
}

/* stats_start and stats_stop with both clocks given (ticks; nanoseconds of CLOCK_MONOTONIC). */
bool stats_start_at(struct stats *stats, uint64_t ticks, uint64_t nanoseconds);
void stats_stop_at(struct stats *stats, uint64_t ticks, uint64_t nanoseconds);

/* ---- Adding up ---------------------------------------------------------------------------- */

/* Adds the statistics of one CPU, stopped, to a sum, which is all zero at first and then has to be
 * freed.  Its times are those of all CPUs, added; its last exits are left out.  False (errno set)
 * when there is no memory. */
bool stats_add(struct stats *sum, const struct stats *stats);

/* ---- Asking, after stats_stop ------------------------------------------------------------ */

/* One reason in nanoseconds: the VMM's time to serve an exit, and the guest's before it. */
struct stats_summary {
	uint64_t count;
	uint64_t total_ns;
	uint64_t min_ns, p50_ns, p99_ns, max_ns;
	uint64_t guest_ns;
};

struct stats_times {
	uint64_t exits; /* returns from KVM_RUN: the sum of all counts */
	uint64_t run_ns, guest_ns, vmm_ns;
};

void stats_times(const struct stats *stats, struct stats_times *times);
/* All of them at once, because rounding is carried from one to the next. */
void stats_summarize(const struct stats *stats, struct stats_summary summary[STATS_REASONS]);
/* Ticks of this run in nanoseconds, rounded down; 0 when no time has passed. */
uint64_t stats_nanoseconds(const struct stats *stats, uint64_t ticks);

#endif
