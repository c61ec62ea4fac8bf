/* Questions of --probe that are answered by a number. */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_MEASURES_H
#define VMM_INSTRUMENTS_PROBE_PROBE_MEASURES_H

#include "vmm/instruments/probe/probe_asking.h"

void probe_ask_tsc(struct asking *asking);
void probe_ask_ring_speed(struct asking *asking);
void probe_ask_exit0(struct asking *asking);
void probe_ask_exit3(struct asking *asking);

#endif
