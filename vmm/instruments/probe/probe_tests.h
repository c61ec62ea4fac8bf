/*
 * The questions of --probe, each with its guest, what the manuals say to it, and what another
 * answer means for who writes a guest or a VMM.
 */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_TESTS_H
#define VMM_INSTRUMENTS_PROBE_PROBE_TESTS_H

#include <stddef.h>

#include "vmm/instruments/probe/probe_result.h"
#include "vmm/kvm/kvm.h"

extern const size_t probe_count;

/* The n-th question, 0 to probe_count - 1: its name for programs, and its words for people. */
const char *probe_name(size_t n);
const char *probe_question(size_t n);
/* Asks it, in a machine of its own. */
void probe_ask(size_t n, const struct kvm *kvm, struct probe_result *result);

#endif
