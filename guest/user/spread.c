#include "guest/user/spread.h"

static void sift_down(uint64_t *heap, size_t at, size_t n)
{
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		uint64_t value = heap[at];

		if (child + 1 < n && heap[child + 1] > heap[child])
			child++;
		if (heap[child] <= value)
			return;
		heap[at] = heap[child];
		heap[child] = value;
	}
}

/* Heap sort: no memory but the samples', and never quadratic. */
static void sort(uint64_t *values, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sift_down(values, i, n);
	for (size_t left = n; left-- > 1;) {
		uint64_t largest = values[0];

		values[0] = values[left];
		values[left] = largest;
		sift_down(values, 0, left);
	}
}

/* The smallest value that so many per cent of the sorted values do not exceed.  n > 0. */
static uint64_t percentile(const uint64_t *sorted, size_t n, size_t percent)
{
	size_t rank = (n * percent + 99) / 100;

	return sorted[rank ? rank - 1 : 0];
}

void spread_of(struct spread *spread, uint64_t *samples, size_t n, uint64_t base)
{
	static const uint8_t percents[SPREAD_VALUES] = {0, 50, 90, 99, 100};
	size_t kept = n;
	uint64_t limit;

	for (size_t i = 0; i < n; i++)
		samples[i] = samples[i] > base ? samples[i] - base : 0;
	sort(samples, n);
	limit = OUTLIER_MEDIANS * percentile(samples, n, 50);
	/* A median of 0 makes nothing an outlier: what is measured is below the clock's resolution.
	 */
	while (limit && samples[kept - 1] > limit)
		kept--;
	spread->samples = kept;
	spread->outliers = n - kept;
	for (int i = 0; i < SPREAD_VALUES; i++)
		spread->value[i] = percentile(samples, kept, percents[i]);
}
