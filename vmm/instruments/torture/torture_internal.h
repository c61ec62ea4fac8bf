/* What the parts of the torture run share: see vmm/instruments/torture/torture.h. */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_INTERNAL_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_INTERNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "vmm/base/manner.h"
#include "vmm/engine/code.h"
#include "vmm/engine/engine.h"
#include "vmm/instruments/torture/torture_path.h"
#include "vmm/instruments/torture/torture_request.h"
#include "vmm/instruments/torture/torture_state.h"
#include "vmm/instruments/torture/torture_text.h"
#include "vmm/run/machine.h"

/* ---- Events ---------------------------------------------------------------------------------- */

enum torture_kind_of_event {
	TORTURE_NMI,  /* KVM_NMI */
	TORTURE_IRQ,  /* an external interrupt: KVM_INTERRUPT as soon as it may come */
	TORTURE_STEP, /* #DB with RFLAGS.TF set, as if ring 3 had smuggled that in */
	TORTURE_HAND, /* delivered by the VMM as the processor would: what no instruction raises */
};
enum {
	TORTURE_VECTOR = 0xa0, /* of the external interrupt; nobody's in particular */
	TORTURE_DEPTH = 3,     /* events in a round, each in the handling of the one before */
};

struct torture_event {
	enum torture_kind_of_event kind;
	unsigned vector;
};

/* What happens in a round: event n comes at step at[n] of path n, which is that of the round for
 * the first one, and that of event n - 1's own handling for the others. */
struct torture_plan {
	unsigned events;
	struct torture_event event[TORTURE_DEPTH];
	size_t at[TORTURE_DEPTH];
	bool stand;   /* the first one comes in ring 3, where it stands */
	bool nmi_too; /* an NMI is made pending once the last one has arrived */
	bool learn;   /* the guest takes the outcome for what later rounds must have */
	bool measure; /* so does the VMM: state, and counts that cannot be told before */
	/* The way behind the last event's arrival, or of all, into path[events]. */
	enum { TORTURE_RECORD_NOTHING, TORTURE_RECORD_STUB, TORTURE_RECORD_ALL } record;
};

/* ---- What is found --------------------------------------------------------------------------- */

struct torture_failure {
	char crossing[sizeof(((struct rs_torture_crossing *)0)->name)];
	uint32_t mode;
	char event[320];   /* in words, with where those before it came */
	char where[64];    /* "paranoid+0x12"; "" for ring 3 */
	uint64_t va;       /* of the instruction */
	char insn[64];     /* disassembled */
	char problem[160]; /* "" when the differences say it */
	struct torture_differences differences;
};
enum { TORTURE_WATCH = 10 }; /* seconds that a round may take */
enum { TORTURE_FAILURES = 20, TORTURE_LACKS = 64, TORTURE_ROWS = 192, TORTURE_CONTEXTS = 512 };

/* One crossing in one mode. */
struct torture_row {
	char crossing[sizeof(((struct rs_torture_crossing *)0)->name)];
	uint32_t mode;
	size_t steps;    /* of its path, that were hit one by one */
	uint64_t single; /* rounds with one event */
	uint64_t nested; /* ... with an event while another is handled */
	uint64_t failed;
};

/* ---- All ------------------------------------------------------------------------------------- */

struct torture_call {
	bool due; /* the guest waits for an answer */
	uint32_t what;
	size_t size;
	uint8_t data[sizeof(((struct rs_call *)0)->data)];
	uint64_t text, text_end;
};

struct torture {
	struct observer observer;
	const struct torture_request *request;
	struct machine *machine;
	struct manner *manner;
	struct engine engine;
	struct symbols symbols;
	struct engine_code *code;
	struct torture_text text;
	enum torture_kind_of_event event; /* the one asked for */

	timer_t watch;           /* for a guest that does not come back: now and then ... */
	uint64_t watched_rounds; /* ... it looks whether there were any since */
	volatile sig_atomic_t hung;

	struct torture_call call;
	struct torture_differences told; /* by the guest, in this round */

	struct rs_torture_crossing crossing; /* the one under way; its texts are printable */
	struct torture_path path[TORTURE_DEPTH];
	struct torture_state start, end, reference; /* of rounds: at the calls around them */
	struct torture_counts counts;               /* of a round in which nothing happens */
	/* Where events came already that others came in, with as many roots as there are in this
	 * mode; the first mode that has so many. */
	uint32_t contexts[TORTURE_CONTEXTS];
	size_t context_count;
	uint32_t first_mode;

	struct torture_row rows[TORTURE_ROWS];
	size_t row_count;
	struct torture_lack lacks[TORTURE_LACKS];
	size_t lack_count;
	struct torture_failure failures[TORTURE_FAILURES];
	uint64_t failure_count;
	volatile uint64_t rounds;
	volatile bool in_round;
	uint64_t late;  /* events that waited, and came later than the manuals say */
	uint64_t early; /* interrupts that STI should have held back for an instruction */
	struct torture_failure late_one; /* the first of them; not counted as a failure */
	bool over;                       /* the guest cannot go on */
	bool complete;                   /* it came to its end */
	bool terminal;                   /* standard error is one */
	uint64_t began, progress;        /* by clock_ns */
	double seconds;
};

/* ---- torture_crossing.c ---------------------------------------------------------------------- */

/* All rounds of the crossing under way, with the guest's call for the first of them due. */
void torture_crossing(struct torture *t);

/* ---- torture_report.c ------------------------------------------------------------------------ */

/* Where the run is, on a terminal. */
void torture_progress(struct torture *t, bool last);
const char *torture_event_name(const struct torture_event *event);
/* Whether everything survived, and everything that can be was hit. */
bool torture_passed(const struct torture *t);
/* What came of it, as the options say.  False after a message. */
bool torture_report(const struct torture *t);

#endif
