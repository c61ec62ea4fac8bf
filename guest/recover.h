/*
 * A call in ring 0 that may fault: the fault ends the call, not the kernel.  For attempts whose
 * point is the fault; user copies have their own, cheaper way (usercopy.h).
 */
#ifndef GUEST_RECOVER_H
#define GUEST_RECOVER_H

#include <stdbool.h>

#include "guest/uapi.h"

/* Calls act(arg).  True: it faulted, and *fault says how; what it was doing is abandoned, with the
 * registers of this caller intact.  Not to be nested. */
bool recover_call(void (*act)(uint64_t arg), uint64_t arg, struct rs_fault *fault);

/* For the fault handler, with a fault of ring 0: true: it was such a call's, and regs go on behind
 * it. */
bool recover_fault(struct rs_regs *regs, uint64_t vector, uint64_t cr2);

#endif
