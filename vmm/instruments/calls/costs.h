/*
 * --costs: what crossings of ring 3 take in ring 0, by what they are for, and what the programs
 * take in ring 3: added up from what passes between planted exits.
 *
 * Between two stops the guest was in one ring, but for where nothing could be planted.  What passed
 * is the TSC's ticks inside of KVM_RUN, without those of an entry into the guest and an exit from
 * it with nothing between, measured in the same run.  On a host whose TSC counts instructions they
 * are instructions, but for what the host's kernel does meanwhile: an interrupt of its own, a page
 * that it gives the guest.  So medians are told, and sums beside them.
 */
#ifndef VMM_INSTRUMENTS_CALLS_COSTS_H
#define VMM_INSTRUMENTS_CALLS_COSTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/run/observer.h"

enum {
	COSTS_ROWS = 512,
	COSTS_SPACES = 128,
	COSTS_SAMPLES = 256,
	COSTS_EMPTY = 16,
	COSTS_KINDS = 4
};

/* Ticks: all of them, and the first ones for a median. */
struct costs_sum {
	int64_t sum;
	unsigned count;
	int64_t sample[COSTS_SAMPLES]; /* count of them, COSTS_SAMPLES at most */
};

struct costs {
	bool instructions; /* the TSC counts them */
	/* An entry and an exit with nothing between, measured behind each kind of crossing, since
	 * KVM has more or less to do by how its first instruction was stepped. */
	struct costs_sum empty[COSTS_KINDS];
	int64_t taken_off[COSTS_KINDS]; /* the least of that: whatever else happens adds to it */

	unsigned row_count;
	struct costs_row {
		uint64_t root, number;
		unsigned kind; /* of struct seen_crossing */
		char name[32];
		uint64_t times;
		int64_t sum;           /* in ring 0 ... */
		struct costs_sum each; /* ... and of those that came back without an exit between */
	} rows[COSTS_ROWS];
	unsigned space_count;
	struct costs_space {
		uint64_t root;
		int64_t ring3;
	} spaces[COSTS_SPACES];
	int64_t mixed;    /* of both rings: nothing could be planted where it went back */
	uint64_t missing; /* crossings for which there was no row */

	/* Now: */
	enum { COSTS_BEFORE, COSTS_RING3, COSTS_RING0, COSTS_MIXED } where;
	unsigned kind;             /* of what was entered last */
	struct costs_row *row;     /* COSTS_RING0: this one's; NULL: there is none for it ... */
	int64_t passed;            /* ... so far ... */
	unsigned runs;             /* ... in so many entries of KVM_RUN */
	struct costs_space *space; /* COSTS_RING3 */
};

/* What has passed since the last stop. */
struct costs_passed {
	uint64_t ticks; /* in KVM_RUN ... */
	unsigned runs;  /* ... which was entered so often */
	unsigned steps; /* instructions besides */
};

/* Whether this host's TSC counts instructions: by a loop of a known number. */
bool costs_tsc_counts(void);
/* Whether an empty entry should be measured now, behind what was entered last. */
bool costs_wants_calibration(const struct costs *costs);
/* It took so many ticks. */
void costs_calibrate(struct costs *costs, uint64_t ticks);
/* At a stop.  int3: it came through #BP's gate, which is an instruction more. */
void costs_pass(struct costs *costs, const struct costs_passed *passed, bool int3);
/* Ring 3 has crossed; of `crossing`: kind, root, number, name.  back: where it goes back is
 * planted. */
void costs_enter(struct costs *costs, const struct seen_crossing *crossing, bool back);
/* Ring 3 goes on.  back: what has come back to it, as it was entered; NULL: something else. */
void costs_leave(struct costs *costs, uint64_t root, const struct seen_crossing *back);
/* The table.  Sorts samples. */
void costs_print(struct costs *costs, FILE *out);
/* The same for programs, one line: {"costs": {"unit", "taken_off", "spaces": [{"cr3", "ring0",
 * "ring3", "crossings": [{"crossing", "times", "each", "sum"}]}], "mixed", "missing"}}.  What has
 * no median has null.  False after a message. */
bool costs_print_json(struct costs *costs, FILE *out);

#endif
