/* Figures the guest measured and handed over (shared/abi.h, RS_CALL_RECORD), checked and kept for
 * the reports. */
#ifndef VMM_DEVICES_FIGURES_H
#define VMM_DEVICES_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

struct figures {
	unsigned count;
	struct rs_record *list; /* RS_MAX_RECORDS of them once the first came; owned */
};

/* Takes up to `count` records out of guest memory, the first wrong one being the end.  Returns how
 * many were taken; -EINVAL, -ENOSPC, -ENOMEM when not even the first was
 * (vmm/devices/guest_tables.h). */
int64_t figures_take(struct figures *records, const volatile struct rs_record *from,
                     uint64_t count);
/* Harmless on a struct that is all zero. */
/* Units that say what the guest's clock ticks with (guest/user/ticks.h). */
#define RECORD_CYCLES       "cycles"          /* the hardware's */
#define RECORD_INTERPRETED  "interp. cycles"  /* of a KVM that interprets ring 0 */
#define RECORD_EMULATED     "emulated cycles" /* of an emulated CPU */
#define RECORD_INSTRUCTIONS "instructions"    /* the clock counts them: no time */

/* The same record in nanoseconds, for ticks that pass with time.  False: it has none, or the TSC's
 * frequency is not known (0), or they are too many; then *to is undefined. */
bool record_in_ns(struct rs_record *to, const struct rs_record *from, uint64_t tsc_khz);

void figures_free(struct figures *records);

#endif
