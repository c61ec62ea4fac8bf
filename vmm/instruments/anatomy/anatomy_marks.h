/*
 * What a processor does on a crossing, as marks on its way: ring 0 entered, SWAPGS, CR3 written,
 * the stack switched, C called and come back from, ring 3 entered.  Two crossings are put beside
 * each other at the marks that both have, in their order; between two of those each has its own
 * instructions.
 */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_MARKS_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_MARKS_H

#include <stdint.h>

#include "vmm/instruments/anatomy/anatomy_account.h"

enum mark_kind {
	MARK_ENTRY,
	MARK_SWAPGS,
	MARK_CR3,    /* which root: `to` */
	MARK_STACK,  /* which stack: `to` */
	MARK_CALL,   /* the call by which the entry code leaves most of the work to C ... */
	MARK_RETURN, /* ... and the return from it */
	MARK_EXIT,
	MARK_END, /* the last row, which has not run */
};

struct mark {
	enum mark_kind kind;
	const char *to;
	size_t row; /* whose instruction does it */
};

enum { MARKS_MAX = 128 };
struct marks {
	struct mark list[MARKS_MAX];
	size_t count;
};
/* In the order of rows, at most one a row; the last is MARK_END.  Of more than MARKS_MAX those
 * before the last are left out. */
void marks_find(const struct account *account, struct marks *marks);
/* "SWAPGS", "CR3: the user root"; in buf, which is returned. */
const char *mark_text(const struct mark *mark, char *buf, size_t size);

/* The way from one mark to the next, of one of the two. */
struct leg {
	const struct mark *mark; /* that it leads to; NULL: the other one alone has it */
	size_t from;             /* its first row; the last one is mark->row */
	uint64_t instructions;   /* of ring 0 among its rows, and that has run */
};
struct step {
	struct leg leg[2];
};
struct steps {
	struct step list[2 * MARKS_MAX];
	size_t count;
};
/* As many marks as can be are in steps of both.  Marks stay the caller's, for as long as the
 * steps. */
void steps_find(const struct account *const account[2], const struct marks *const marks[2],
                struct steps *steps);

#endif
