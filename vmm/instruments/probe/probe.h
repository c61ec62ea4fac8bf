/*
 * `vmm --probe`: what this host's KVM really does.  Each answer comes from running a tiny guest
 * (probe_guest.S) and is set beside what the manuals say; nothing is believed because CPUID or a
 * capability claims it.
 */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_H
#define VMM_INSTRUMENTS_PROBE_PROBE_H

#include "vmm/base/manner.h"
#include "vmm/base/outfile.h"
#include "vmm/kvm/kvm.h"

/* Runs all probes (some seconds at most: each has a time limit) and prints the table, or with
 * --stats json one JSON object, to --stats-file or standard output.  Exit status: 0 when the
 * probes ran, whatever they found; STATUS_VMM_FAILED after a message when KVM cannot be used or
 * the report cannot be written. */
int probe_main(enum stats_format form, struct outfile *file, const struct manner *manner,
               const struct kvm_advice *no_kvm);

#endif
