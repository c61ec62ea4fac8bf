/*
 * Who has which PCID on one CPU (SDM volume 3, 4.10.1).
 *
 * There are more address spaces than PCIDs worth having: what a TLB still knows of the one before
 * the last sixteen is not worth much.  So each CPU has a few, given like the lines of a
 * direct-mapped cache: a space's id says which one it may have, and one that changes its owner is
 * flushed.
 *
 * A space says of what age its tables are: it grows its generation with every change that a TLB
 * must not outlive.  A PCID remembers the generation it was last flushed for, so a CPU that did not
 * run the space meanwhile needs no interrupt: it finds out when it loads the space again.
 *
 * Pure code: values in, values out, so that a model of a TLB can be held against it on the host.
 * Inline, because it is part of every context switch.
 */
#ifndef SHARED_PCID_H
#define SHARED_PCID_H

#include <stdbool.h>
#include <stdint.h>

#define PCID_COUNT 16    /* PCIDs 1 to PCID_COUNT are given; 0 is what the machine boots with */
#define PCID_USER  0x800 /* set in the user root's PCID, next to the kernel root's without it */

/* One CPU's.  All zero: nobody has any. */
struct pcid_pool {
	struct pcid_owner {
		uint64_t space;      /* its id; 0: nobody */
		uint64_t generation; /* what the TLB may know is of this age at most */
	} owner[PCID_COUNT];
};

/* Everywhere below: space is an id, not 0 and never given to another space later; generation that
 * of its tables now. */

/* The PCID that the space runs under, 1 to PCID_COUNT. */
static inline uint16_t pcid_of(uint64_t space)
{
	return (uint16_t)(space % PCID_COUNT + 1);
}

static inline struct pcid_owner *pcid_owner(struct pcid_pool *pool, uint64_t space)
{
	return &pool->owner[space % PCID_COUNT];
}

/* Whether all that this CPU's TLB may hold under the space's PCIDs is true of it.  False: pcid_take
 * is due, and a flush of pcid_of(space) and of the same with PCID_USER. */
static inline bool pcid_is_good(struct pcid_pool *pool, uint64_t space, uint64_t generation)
{
	const struct pcid_owner *owner = pcid_owner(pool, space);

	return owner->space == space && owner->generation == generation;
}

/* The PCID is the space's from now on.  True: another one had it. */
static inline bool pcid_take(struct pcid_pool *pool, uint64_t space, uint64_t generation)
{
	struct pcid_owner *owner = pcid_owner(pool, space);
	const bool reused = owner->space && owner->space != space;

	*owner = (struct pcid_owner){space, generation};
	return reused;
}

/* This CPU, which runs `space`, has dropped what changed: what it knows is of this generation. */
static inline void pcid_flushed(struct pcid_pool *pool, uint64_t space, uint64_t generation)
{
	struct pcid_owner *owner = pcid_owner(pool, space);

	if (owner->space == space)
		owner->generation = generation;
}

#endif
