/* Letting the guest of a torture run go on, and where it comes to. */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_RUN_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_RUN_H

#include "vmm/instruments/torture/torture_internal.h"

enum torture_where {
	TORTURE_AT_CALL,
	TORTURE_AT_POINT,
	TORTURE_AT_WINDOW, /* interrupts are let in */
	TORTURE_LOST,
};
enum torture_where torture_run_on(struct torture *t);
/* To the end of the round. */
bool torture_run_out(struct torture *t, const struct torture_plan *plan);
/* To an address; `what` says in a failure which. */
bool torture_run_to(struct torture *t, const struct torture_plan *plan, uint64_t va,
                    const char *what);
/* From the beginning of the path, where the guest is, to one of its steps.  The stops on the way
 * are plants only: nothing is single-stepped. */
bool torture_arrive(struct torture *t, const struct torture_plan *plan,
                    const struct torture_path *path, size_t to);

/* Lets the guest run to its next call.  False: it never makes one. */
bool torture_next_call(struct torture *t);
/* Answers the call. */
void torture_answer(struct torture *t, int64_t result);

#endif
