/*
 * The VMM's end of the trace ring (shared/abi.h, struct rs_trace): guest memory, so whatever lies
 * there is copied once, checked, and believed in nothing.
 */
#ifndef VMM_INSTRUMENTS_TRACE_TRACE_RING_H
#define VMM_INSTRUMENTS_TRACE_TRACE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

struct trace_ring {
	volatile struct rs_trace *shared; /* in guest RAM; NULL: none */
	uint64_t capacity, tail,
	    lost; /* the VMM's own copies: the shared ones may be overwritten */
};

/* Bytes of guest RAM for each CPU's ring in a guest with this much: whole pages; 4 MiB of records,
 * 65,536 of them, but not more than 1/16 of RAM, and for all CPUs not more than 1/4. */
uint64_t trace_ring_size(uint64_t ram_size, unsigned cpus);
/* Takes `size` bytes of guest RAM, all zero, for a ring and prepares them for the guest. */
void trace_ring_init(struct trace_ring *ring, void *memory, uint64_t size);

/* When the oldest and the latest new record ended, by the guest's clock.  False: there is none. */
bool trace_ring_ends(const struct trace_ring *ring, uint64_t *first, uint64_t *last);
/* Hands each new record, a copy, to `each`, the oldest first.  Returns how many were lost since the
 * last time: those for which the guest found the ring full, and all of them when head says what
 * cannot be. */
uint64_t trace_ring_drain(struct trace_ring *ring,
                          void (*each)(void *ctx, const struct rs_trace_record *record), void *ctx);

#endif
