/* One round of a torture run: the guest goes its way, and at one instruction of it something comes.
 */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_ROUND_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_ROUND_H

#include "vmm/instruments/torture/torture_internal.h"

/* One round by the plan, from a call for it to the next one.  What is not as it should be has been
 * noted as a failure then, and t->over says whether the guest can go on. */
void torture_round(struct torture *t, const struct torture_plan *plan);

#endif
