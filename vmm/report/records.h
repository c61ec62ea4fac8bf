/* Figures the guest measured and handed over (shared/abi.h, RS_CALL_RECORD), checked and kept for
 * the reports. */
#ifndef VMM_RECORDS_H
#define VMM_RECORDS_H

#include <stdint.h>

#include "shared/abi.h"

struct records {
	unsigned count;
	struct rs_record *list; /* RS_MAX_RECORDS of them once the first came; owned */
};

/* Takes up to `count` records out of guest memory, the first wrong one being the end.  Returns how
 * many were taken; -EINVAL, -ENOSPC, -ENOMEM when not even the first was (vmm/report/handed.h). */
int64_t records_take(struct records *records, const volatile struct rs_record *from,
                     uint64_t count);
/* Harmless on a struct that is all zero. */
void records_free(struct records *records);

#endif
