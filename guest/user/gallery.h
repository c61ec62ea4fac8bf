/*
 * What the programs that try things (walls, hostile, crossings) have in common: rows of what was
 * expected against what came, and the departures of a host from the manuals.
 *
 * A host's departures are declared row by row, with the exact answer and the reason.  Every row
 * also goes to the VMM, for its reports.
 */
#ifndef GUEST_USER_GALLERY_H
#define GUEST_USER_GALLERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/uapi.h"
#include "guest/user/host.h"
#include "guest/user/try.h"

/* ---- Departures ------------------------------------------------------------------------------ */

/* Where a host answers otherwise than the manuals.  name: the row's, or its beginning when it ends
 * in '*'. */
struct departure {
	enum host_kind host;
	const char *name;
	struct outcome got;
	const char *why;
};

extern uint32_t gallery_mode; /* RS_PTI_*, in force */
extern bool gallery_brief;    /* print the totals, and of the rows those that differ only */

/* ---- The run --------------------------------------------------------------------------------- */

/* Fills info and host, opens the kernel's gallery, lets faults arrive in try. */
void gallery_enter(void);
/* Finds out about the host, opens the kernel's gallery, prints the head.  The departures end with a
 * name that is NULL. */
void gallery_begin(const char *program, const struct departure *departures);
/* Prints the totals, closes the gallery.  The exit status: 0 if every difference was declared. */
int gallery_end(void);

/* Calls body in each KPTI mode, or says that this CPU has it not.  The titles of groups tell the
 * mode then. */
void gallery_in_each_mode(void (*body)(void));
void gallery_group(const char *title);
/* True: this host is declared to be harmed by the row, which has been reported. */
bool gallery_harmful(const char *name, struct outcome want);
/* What is wrong when a row has harmed another process (guest/user/neighbour.h). */
#define NEIGHBOUR_HARMED (UINT64_C(1) << 63)
/* One row: gives the neighbour its turn, judges, counts, prints, and tells the VMM for its reports.
 * True: as expected or declared. */
bool gallery_row(const char *name, struct outcome want, struct outcome got);
/* ... of one that is right when two values are the same. */
void gallery_value(const char *name, uint64_t want, uint64_t got);
/* What must come of a few calls together; mostly a count of what was wrong. */
struct gallery_values {
	const char *name;
	uint64_t (*get)(uint64_t arg);
	uint64_t arg, want;
};
void gallery_values(const char *title, const struct gallery_values *rows, size_t count);
void gallery_skip(const char *name, const char *why);

/* ---- Rows as data ---------------------------------------------------------------------------- */

/* One attempt by try, and what the manuals promise. */
struct row {
	const char *name;
	void (*act)(uint64_t arg);
	uint64_t arg;
	uint16_t vector; /* of the outcome; a #PF's address is arg, but with ROW_POINTER */
	uint16_t traits; /* ROW_* */
	uint32_t error;
	uint32_t needs, lacks; /* RS_FEATURE_*: all of the first, none of the second */
	uint32_t state;        /* RS_STATE_* or ROW_STATE_*: what the attempt finds set up ... */
	uint64_t value, after; /* ... to this, and back to that */
};

#define ROW_HIDDEN  1 /* KPTI unmaps it: the error code's P bit is clear then */
#define ROW_FATE    2 /* and once more in a process without a handler, which it ends */
#define ROW_GETPID  4 /* the trap came behind a getpid, which is done: RAX is the pid */
#define ROW_POINTER 8 /* arg points to the address */

#define ROW_STATE_NONE      0
#define ROW_STATE_MARK_PORT 1 /* RS_PORT_MARK is open in the I/O bitmap */
#define ROW_STATE(state)    (2 + (state))

void gallery_run(const char *title, const struct row *rows, size_t count);

/* What an attempt meets: .vector and .error. */
#define GP(code)      .vector = VECTOR_GP, .error = code
#define NP(code)      .vector = VECTOR_NP, .error = code
#define PF(code)      .vector = VECTOR_PF, .error = code
#define SS(code)      .vector = VECTOR_SS, .error = code
#define FAULT(number) .vector = number
#define PASSES        .vector = ALLOWED

/* Rows: name, attempt, argument, what it meets; TRY_IF: if the CPU has these features and not
 * those; TRY_WITH: in a state, and how it was before. */
#define TRY(text, attempt, what, ...)                                                              \
	{                                                                                          \
		.name = text, .act = attempt, .arg = what, __VA_ARGS__                             \
	}
#define TRY_IF(text, attempt, what, meets, with, without)                                          \
	{                                                                                          \
		.name = text, .act = attempt, .arg = what, meets, .needs = with, .lacks = without  \
	}
#define TRY_WITH(text, attempt, what, meets, which, now, before)                                   \
	{                                                                                          \
		.name = text, .act = attempt, .arg = what, meets, .state = ROW_STATE(which),       \
		.value = now, .after = before                                                      \
	}

/* A row's name from two parts, cut to size. */
void join(char *name, size_t size, const char *a, const char *b);
/* RS_SYS_STATE. */
long set_state(long state, uint64_t value);
/* A new page at this address, with rights of PROT_*; the address, or the kernel's -errno. */
long map_page(uint64_t va, long rights);

#endif
