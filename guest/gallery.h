/*
 * What the programs that try the walls (guest/user/walls.c, hostile.c, crossings.c) need done for
 * them in ring 0: descriptors to stumble over, states that no process has by itself, attempts of
 * ring 0 and of the rings between.  Every call is checked: none gives ring 3 more than the row of a
 * table that it serves.
 */
#ifndef GUEST_GALLERY_H
#define GUEST_GALLERY_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/uapi.h"

/* RS_STATE_SILENT, for who would say so. */
extern bool gallery_silent;
/* The test descriptors are in GDT and IDT: INT RS_VECTOR_TRAP is ring 3's. */
extern bool gallery_is_open;

/* Puts the test descriptors into this CPU's GDT and the IDT, or takes them out and undoes every
 * state.  Saved and live selectors that name what is taken out become null.  Idempotent. */
void gallery_open(bool open);

/* One attempt in ring 0.  0: went through; 1: faulted, *fault says how; -EINVAL, -EPERM. */
int64_t gallery_ring0(uint32_t kind, uint64_t address, struct rs_fault *fault);

/* Sets a state (RS_STATE_*).  Returns the value before, -EINVAL for what this CPU does not know,
 * -EPERM for an address that is not the caller's. */
int64_t gallery_state(uint32_t state, uint64_t value);

/* Makes the current process go on elsewhere when this system call returns; the selectors are for
 * IRETQ to judge, except that CS with RPL 0 is -EPERM. */
int64_t gallery_return(uint16_t cs, uint16_t ss, uint64_t rip, uint64_t rsp);
/* ... in ring 1 or 2, at an attempt (RS_RING_*) of rings.S with `address` in RSI. */
int64_t gallery_ring(uint32_t ring, uint32_t attempt, uint64_t address);

#endif
