/*
 * The questions of --probe that are more than one guest and one end: rows of the table in
 * probe_tests.c, each by its file.
 */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_QUESTIONS_H
#define VMM_INSTRUMENTS_PROBE_PROBE_QUESTIONS_H

#include "vmm/instruments/probe/probe_asking.h"

/* probe_walls.c */
void probe_ask_syscall(struct asking *asking);
void probe_ask_sysenter(struct asking *asking);
void probe_ask_io_bitmap(struct asking *asking);
void probe_ask_wp(struct asking *asking);
void probe_ask_pcid(struct asking *asking);
void probe_ask_fsgsbase(struct asking *asking);
void probe_ask_tables_changed(struct asking *asking);

/* probe_stops.c; a step is one in the row's ring. */
void probe_ask_lapic_timer(struct asking *asking);
void probe_ask_nmi(struct asking *asking);
void probe_ask_step(struct asking *asking);
void probe_ask_breakpoint(struct asking *asking);
void probe_ask_shutdown(struct asking *asking);

/* probe_measures.c */
void probe_ask_tsc(struct asking *asking);
void probe_ask_ring_speed(struct asking *asking);
void probe_ask_exit0(struct asking *asking);
void probe_ask_exit3(struct asking *asking);

#endif
