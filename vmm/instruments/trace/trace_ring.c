#include "vmm/instruments/trace/trace_ring.h"

#include <string.h>

uint64_t trace_ring_size(uint64_t ram_size, unsigned cpus)
{
	uint64_t records = UINT64_C(4) << 20;

	while (records > ram_size / 16 || records * cpus > ram_size / 4)
		records /= 2;
	return PAGE_SIZE + records;
}

void trace_ring_init(struct trace_ring *ring, void *memory, uint64_t size)
{
	uint64_t room = (size - sizeof(struct rs_trace)) / sizeof(struct rs_trace_record);
	uint64_t capacity = 1;

	while (capacity * 2 <= room)
		capacity *= 2;
	*ring = (struct trace_ring){.shared = memory, .capacity = capacity};
	ring->shared->capacity = capacity;
}

bool trace_ring_ends(const struct trace_ring *ring, uint64_t *first, uint64_t *last)
{
	const uint64_t head = ring->shared->head, mask = ring->capacity - 1;

	if (head == ring->tail || head - ring->tail > ring->capacity)
		return false;
	*first = ring->shared->records[ring->tail & mask].end;
	*last = ring->shared->records[(head - 1) & mask].end;
	return true;
}

/* A copy that the compiler may not repeat. */
static struct rs_trace_record copy_record(const volatile struct rs_trace_record *from)
{
	struct rs_trace_record record;

	memcpy(&record, (const void *)(uintptr_t)from, sizeof(record));
	__asm__ volatile("" : : : "memory");
	return record;
}

uint64_t trace_ring_drain(struct trace_ring *ring,
                          void (*each)(void *ctx, const struct rs_trace_record *record), void *ctx)
{
	const uint64_t head = ring->shared->head, lost = ring->shared->lost;
	uint64_t missing = lost - ring->lost;

	ring->lost = lost;
	if (head - ring->tail > ring->capacity) {
		/* Nothing says which of the records are any good. */
		missing += head - ring->tail;
		ring->tail = head;
	}
	while (ring->tail != head) {
		const struct rs_trace_record record =
		    copy_record(&ring->shared->records[ring->tail++ & (ring->capacity - 1)]);

		each(ctx, &record);
	}
	ring->shared->tail = ring->tail;
	return missing;
}
