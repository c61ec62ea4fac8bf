/*
 * --torture: makes an event happen at every instruction of the guest's entry and exit paths, one in
 * each round of a crossing, in every KPTI mode, and sees that nothing but the event's own counts
 * tells of it afterwards.
 *
 * The guest's program (shared/abi.h, RS_CALL_TORTURE) goes the same way across the boundary round
 * after round, with every register filled, and compares them all behind it.  The VMM
 *
 * - follows one undisturbed round from plant to plant (vmm/engine/engine.h): its path;
 * - in each further round stops at one step of the path, makes the event happen there, sees it
 *   arrive at its stub with the right frame, and lets the round run out;
 * - compares, from outside, control registers, segments, MSRs, SSE state, kernel stack, entry
 * words, GDT and TSS with those of the undisturbed round, and the counts with what they must be.
 *
 * In each context that a path has (GS, CR3, stack, interrupts) an NMI, a #DB and, where it can
 * come, an interrupt are followed themselves, and the event of the run comes at every instruction
 * of their handling too.
 *
 * The machine must not have KVM's own local APIC: interrupts come by KVM_INTERRUPT.
 */
#ifndef VMM_INSTRUMENTS_TORTURE_TORTURE_H
#define VMM_INSTRUMENTS_TORTURE_TORTURE_H

#include "vmm/instruments/instrument.h"
#include "vmm/instruments/torture/torture_request.h"

/* The guest's own status is 1 when something did not survive or was not hit. */
extern const struct instrument torture_instrument;

#endif
