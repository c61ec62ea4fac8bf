/* The guest's counters (struct rs_stats) by name: one table, so that all reports have all of them
 * and call them the same.  The 256 vectors are not in it: vmm/base/names.h names those. */
#ifndef VMM_DEVICES_COUNTERS_H
#define VMM_DEVICES_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"

enum counter_group {
	COUNTERS_ENTRIES,    /* ways into the kernel that are no vectors */
	COUNTERS_EVENTS,     /* what happened there */
	COUNTERS_SCHEDULING, /* time slices, waiting, other CPUs */
	COUNTERS_CR3,        /* writes of CR3, and what else concerns the TLB */
};

struct counter {
	enum counter_group group;
	const char *key;  /* for JSON */
	const char *text; /* what is counted, to be read behind the number */
	size_t offset;    /* in struct rs_stats */
};

/* Ends with a key that is NULL. */
extern const struct counter counters[];

uint64_t counter_value(const struct counter *counter, const struct rs_stats *stats);

#endif
