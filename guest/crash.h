/*
 * Fatal mistakes on purpose: what the VMM says when a kernel dies must be seen to be believed.
 */
#ifndef GUEST_CRASH_H
#define GUEST_CRASH_H

#include <stdbool.h>
#include <stdint.h>

/* kind: RS_CRASH_* (guest/uapi.h).  False: there is no such kind; else it does not return. */
bool crash(uint32_t kind);

#endif
