/* The answers of --probe as a table for a person, and as a JSON object. */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_REPORT_H
#define VMM_INSTRUMENTS_PROBE_PROBE_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/instruments/probe/probe_tests.h"
#include "vmm/kvm/host.h"

/* results: probe_count of them.  elapsed: of all probes, nanoseconds. */
void probe_report_text(FILE *out, const struct host *host, const struct probe_result *results,
                       uint64_t elapsed, bool color);
/* False when there is no memory or `out` has an error. */
bool probe_report_json(FILE *out, const struct host *host, const struct probe_result *results,
                       uint64_t elapsed);

#endif
