/*
 * This CPU's local APIC in x2APIC mode (SDM volume 3, chapter 11): its timer, and interrupts to
 * other CPUs.  Only where boot->features has RS_FEATURE_APIC.
 */
#ifndef GUEST_APIC_H
#define GUEST_APIC_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

/* Vectors of external interrupts.  High ones: the priority is the vector's upper half. */
#define VECTOR_TIMER    0xec
#define VECTOR_CALL     0xed /* another CPU asks for something: guest/smp.h */
#define VECTOR_WAKE     0xee /* something became ready while this CPU was idle */
#define VECTOR_SPURIOUS 0xff

/* Whether this machine has local APICs. */
bool apic_present(void);
/* Switches this CPU's on, with its timer stopped.  boot->cpus of them, or none. */
void apic_init(const struct rs_boot *boot);
/* Before anything else in a handler of the vectors above but VECTOR_SPURIOUS. */
void apic_end_of_interrupt(void);
/* One VECTOR_TIMER in `ns` nanoseconds, 1 at least, in place of one that was asked for before. */
void apic_timer(uint64_t ns);
/* An interrupt to one other CPU. */
void apic_send(uint32_t cpu, uint32_t vector);

#endif
