/*
 * What many samples of one thing say: order statistics, with interrupted samples told apart.
 */
#ifndef GUEST_USER_SPREAD_H
#define GUEST_USER_SPREAD_H

#include <stddef.h>
#include <stdint.h>

/* A sample above so many medians (of all samples) was interrupted (an exit to the VMM, another
 * program on the host's CPU) and says nothing of the crossing: counted apart, and in none of the
 * figures. */
#define OUTLIER_MEDIANS 8

enum { SPREAD_MIN, SPREAD_MEDIAN, SPREAD_P90, SPREAD_P99, SPREAD_MAX, SPREAD_VALUES };

struct spread {
	uint64_t samples;              /* that the values are made of */
	uint64_t outliers;             /* counted apart */
	uint64_t value[SPREAD_VALUES]; /* in the unit of the samples */
};

/* Takes `base` off each sample (never below 0) and sorts them.  n > 0. */
void spread_of(struct spread *spread, uint64_t *samples, size_t n, uint64_t base);

#endif
