/* Events of a torture run: each made to happen where the guest is, and seen to arrive as the
 * manuals say. */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_EVENT_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_EVENT_H

#include "vmm/instruments/torture/torture_internal.h"

/* Event n of the plan, where the guest is stopped.  Afterwards it is stopped at the event's stub.
 * places: where the events up to this one came. */
bool torture_happen(struct torture *t, const struct torture_plan *plan, unsigned n,
                    const struct kvm_regs places[TORTURE_DEPTH], struct engine_frame *frame);
/* An NMI behind the last event, which has arrived. */
bool torture_nmi_too(struct torture *t, const struct torture_plan *plan,
                     const struct kvm_regs places[TORTURE_DEPTH], struct engine_frame *frame);
/* From a CALL, where the guest is, to the first instruction of what it calls; from elsewhere
 * nowhere. */
bool torture_follow_call(struct torture *t, const struct torture_plan *plan,
                         const struct torture_step *step);
/* Whether the vector's gate is an interrupt gate to its stub. */
bool torture_gate_is_usual(struct torture *t, unsigned vector);

#endif
