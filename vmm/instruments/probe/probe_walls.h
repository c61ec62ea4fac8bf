/* Questions of --probe that take more than one guest and one end: entries, ports, paging. */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_WALLS_H
#define VMM_INSTRUMENTS_PROBE_PROBE_WALLS_H

#include "vmm/instruments/probe/probe_asking.h"

void probe_ask_syscall(struct asking *asking);
void probe_ask_sysenter(struct asking *asking);
void probe_ask_io_bitmap(struct asking *asking);
void probe_ask_wp(struct asking *asking);
void probe_ask_pcid(struct asking *asking);
void probe_ask_fsgsbase(struct asking *asking);
void probe_ask_tables_changed(struct asking *asking);

#endif
