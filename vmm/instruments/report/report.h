/*
 * The report at the end of a run: what left the guest and why, how the guest crossed the rings,
 * what was completed for this KVM, and on which host.  One set of facts, two forms: text for a
 * person, one JSON object (report.schema.json) for a program.
 *
 * What the guest counted comes from the guest's memory and may be any value; nothing here trusts
 * it.
 */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_H
#define VMM_INSTRUMENTS_REPORT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/abi.h"
#include "vmm/boot/plan.h"
#include "vmm/instruments/trace_figures.h"
#include "vmm/kvm/host.h"
#include "vmm/run/outcome.h"
#include "vmm/run/stats.h"

/* What is known of one CPU. */
struct report_cpu {
	bool started;
	bool halted;                   /* for ever */
	const struct stats *stats;     /* stopped; only of one that was started */
	const struct rs_stats *counts; /* the guest's; NULL: it has none */
};

/* The facts.  All pointers stay the caller's; those that may be NULL say so. */
struct report_input {
	const struct stats *stats; /* stopped; of several CPUs added up */
	uint64_t elapsed_ns;       /* from the first CPU's start to the last one's end */
	const struct report_cpu *cpus;
	unsigned cpu_count; /* 1: `cpus` may be NULL, it would say what is here anyway */
	const struct outcome *outcome;
	const struct plan *plan;
	bool quiet;                    /* --quiet, to be told again */
	const struct host *host;       /* with host_describe done */
	const struct rs_stats *counts; /* a copy of the guest's counters; NULL: it has none */
	uint64_t features;             /* RS_FEATURE_* as the guest was told */
	uint64_t quirks;               /* RS_QUIRK_* found in this run */
	uint32_t pti_mode;             /* RS_PTI_*: as the guest was started */
	uint32_t levels;               /* 4 or 5 */
	bool noted;                    /* the guest carries the Ringscope note */
	const char *protocol;          /* by which it was booted: its name; NULL: not told ... */
	const char *booted_as; /* ... and in words, of a PC's kernel, of whose address space the
	                        * VMM knows nothing; else NULL */
	const struct rs_record *records; /* what the guest measured, checked (records.h) */
	unsigned record_count;
	const struct rs_escape *escapes; /* its escape gallery, checked (escapes.h) */
	unsigned escape_count;
	struct trace_figures trace;
};

/* For a person.  Escape sequences only with color.  Write errors stay in `out`: see ferror. */
void report_text(FILE *out, const struct report_input *in, bool color);
/* One JSON object and a newline.  False when there is no memory or `out` has an error. */
bool report_json(FILE *out, const struct report_input *in);

#endif
