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

/* All in the unit of the samples. */
struct spread {
	uint64_t samples;  /* that the figures are made of */
	uint64_t outliers; /* counted apart ... */
	uint64_t worst;    /* ... the largest of them; 0: none */
	uint64_t min, median, p90, p99, max;
};

/* Takes `base` off each sample (never below 0) and sorts them.  All zero when n is 0. */
struct spread spread_of(uint64_t *samples, size_t n, uint64_t base);

#endif
