/* Questions of --probe about what stops a guest: interrupts, KVM's debugging, a triple fault. */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_STOPS_H
#define VMM_INSTRUMENTS_PROBE_PROBE_STOPS_H

#include "vmm/instruments/probe/probe_asking.h"

void probe_ask_lapic_timer(struct asking *asking);
void probe_ask_nmi(struct asking *asking);
/* In the row's ring. */
void probe_ask_step(struct asking *asking);
void probe_ask_breakpoint(struct asking *asking);
void probe_ask_shutdown(struct asking *asking);

#endif
