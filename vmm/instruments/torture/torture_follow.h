/* The way that the guest of a torture run goes, instruction by instruction, into a path. */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_FOLLOW_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_FOLLOW_H

#include "vmm/instruments/torture/torture_internal.h"

/* All of it: to the guest's call, or back to `place`, where an event came. */
bool torture_record(struct torture *t, const struct torture_plan *plan, struct torture_path *path,
                    const struct kvm_regs *place);
/* The stub at whose first instruction the guest is: it is straight on. */
bool torture_record_stub(struct torture *t, const struct torture_plan *plan,
                         struct torture_path *path);

#endif
