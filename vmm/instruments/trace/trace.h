/*
 * --trace: a run as a picture of time, in a file for Perfetto or chrome://tracing.
 *
 *     group 1, the machine
 *         vCPU N           spans: in the guest; the exit being served by the VMM; where it takes
 *                          long, the writing of the trace
 *         running on it    spans: which guest process has the vCPU
 *         counters         system calls, faults, CR3 writes and exits so far
 *     group 2, the guest's processes
 *         process N        spans: system calls; instants: faults, the end, a change of KPTI mode
 *     group 3, address spaces, of any kernel, as somebody has seen them from outside (--calls)
 *         CR3 N            spans: system calls; instants: faults, interrupts
 *
 * Exits are seen here.  What happens without one comes from the CPU's ring of shared/abi.h, in the
 * guest's clock.  How far that is ahead of the host's KVM can tell, but one emulated CPU does not
 * keep to it; so the difference is corrected by what must be true: what is noted between KVM_RUN
 * and an exit happened between them.
 *
 * Memory does not grow with the run.  The file appears in its place when the run has ended, however
 * it ended short of SIGKILL.
 */
#ifndef VMM_INSTRUMENTS_TRACE_TRACE_H
#define VMM_INSTRUMENTS_TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "vmm/base/outfile.h"
#include "vmm/instruments/trace/trace_clock.h"
#include "vmm/instruments/trace/trace_crossings.h"
#include "vmm/instruments/trace/trace_file.h"
#include "vmm/instruments/trace/trace_ring.h"
#include "vmm/run/stats.h"

#define TRACE_LIMIT_DEFAULT (UINT64_C(64) << 20)
#define TRACE_LIMIT_MAX     (UINT64_C(64) << 30)

enum { TRACE_NAMED = 4096 }; /* processes whose tracks get a name */

struct trace_cpu {
	struct trace *trace;
	unsigned number;
	struct trace_ring ring;
	uint64_t guest_ahead; /* guest's TSC minus the host's, modulo 2^64 ... */
	bool ahead_bounded;   /* ... and what it cannot be below and above */
	uint64_t ahead_low, ahead_high;

	uint64_t entered, left; /* the guest ran between them, host ticks: the exit in hand */
	uint64_t served;        /* ... and when the one before it was, 0: none was */
	uint64_t reached;       /* what is written of this CPU ends here, nanoseconds */
	bool running_known;     /* something was noted */
	uint32_t running;       /* pid; 0: nobody, the CPU is idle */
	uint64_t running_since; /* nanoseconds */
	bool mark_pending;
	unsigned mark_slot;
	struct rs_mark mark;
};

struct trace {
	struct outfile *out; /* the caller's */
	struct trace_file file;
	struct trace_clock clock;
	unsigned cpu_count;
	struct trace_cpu cpus[RS_MAX_CPUS];
	uint64_t lost; /* records that did not get into a ring */
	uint64_t bad;  /* records that said what cannot be */

	uint64_t counters_ns; /* when counters were last written */
	uint64_t exits;
	uint8_t named[TRACE_NAMED / 8]; /* bitmap by pid */
	uint64_t call_end[TRACE_NAMED]; /* by pid: when its last system call ended, nanoseconds */
	struct trace_crossings crossings;
};

struct trace_start {
	uint64_t limit;          /* bytes, TRACE_LIMIT_MIN at least */
	const char *guest;       /* its file, for a title */
	unsigned cpus;           /* 1 to RS_MAX_CPUS; of each: */
	void *ring[RS_MAX_CPUS]; /* guest RAM, zero, for a ring; NULL: the guest fills none */
	uint64_t ring_size;
	uint64_t guest_ahead[RS_MAX_CPUS];
	uint64_t ticks, nanoseconds; /* both clocks, now */
};

/* One return from KVM_RUN, served. */
struct trace_exit {
	unsigned cpu;
	uint64_t entered, left;           /* ticks before and after KVM_RUN */
	uint64_t ticks, nanoseconds;      /* both clocks, now that it is served */
	uint32_t reason;                  /* as in stats */
	uint64_t stops;                   /* of a debugger's, since the exit before */
	const struct exit_record *detail; /* NULL: none */
	const struct rs_stats *counts;    /* the guest's counters, of all CPUs; NULL: it has none */
};

/* Into a file that is open.  A pipe's reader that is slower than the guest slows it down, and loses
 * nothing. */
void trace_begin(struct trace *trace, struct outfile *out, const struct trace_start *start);
/* A mark was stored while that CPU's exit in hand was served. */
void trace_mark(struct trace *trace, unsigned cpu, unsigned slot, const struct rs_mark *mark);
void trace_exit(struct trace *trace, const struct trace_exit *exit);
void trace_crossing(struct trace *trace, const struct seen_crossing *crossing);
/* Writes the end and puts the file in its place; says so on standard error when events are missing.
 * False after a message when it could not be written. */
bool trace_end(struct trace *trace, const char *end);

#endif
