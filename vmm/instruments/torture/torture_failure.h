/* What is not as it should be in a round of a torture run, noted and put into words. */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_FAILURE_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_FAILURE_H

#include "vmm/instruments/torture/torture_internal.h"

/* The step at which event n of the plan comes; NULL: in ring 3. */
const struct torture_step *torture_step_of(const struct torture *t, const struct torture_plan *plan,
                                           unsigned n);
/* What was to happen, and where, without what is wrong. */
void torture_write_down(const struct torture *t, const struct torture_plan *plan,
                        struct torture_failure *f);
/* One more failure: the caller says what. */
struct torture_failure *torture_note(struct torture *t, const struct torture_plan *plan);
/* The same in words; always false. */
bool torture_fail(struct torture *t, const struct torture_plan *plan, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The guest cannot go on: why.  Always false. */
bool torture_lost(struct torture *t, const struct torture_plan *plan);
/* " <name+0x12>" behind an address, until the next call. */
const char *torture_symbol(const struct torture *t, uint64_t va);

#endif
