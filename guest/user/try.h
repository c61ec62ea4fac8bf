/*
 * One attempt with its fault caught, and what came of it.
 */
#ifndef GUEST_USER_TRY_H
#define GUEST_USER_TRY_H

#include <stdint.h>

#include "guest/uapi.h"

/* In outcome.vector, beside the vectors 0 to 255. */
#define ALLOWED   RS_OUTCOME_ALLOWED
#define ENDED     RS_OUTCOME_ENDED
#define WRONG     RS_OUTCOME_WRONG
#define NOT_TRIED RS_OUTCOME_NOT_TRIED /* in departures: too harmful there */

/* What an attempt met.  Two words: it is passed in registers. */
struct outcome {
	uint16_t vector;
	uint32_t error;  /* of a fault that has an error code */
	uint64_t detail; /* #PF: the address; WRONG: what is wrong, in the row's own terms */
};

static inline struct outcome outcome_wrong(uint64_t what)
{
	return (struct outcome){WRONG, 0, what};
}

/* ALLOWED, or WRONG when something is. */
static inline struct outcome outcome_of(uint64_t what_is_wrong)
{
	return (struct outcome){what_is_wrong ? WRONG : ALLOWED, 0, what_is_wrong};
}
struct outcome outcome_of_fault(const struct rs_fault *fault);

/* Calls act(arg).  Returns what it met; RSP, callee-saved registers and flags are as before. */
struct outcome try(void (*act)(uint64_t arg), uint64_t arg);
extern struct rs_fault try_fault; /* the last fault that try caught */
extern uint64_t try_rax;          /* ... and RAX at it */
/* The same in a process of its own that has no fault handler: ENDED, or WRONG if it was not. */
struct outcome try_fate(void (*act)(uint64_t arg), uint64_t arg);
/* Makes faults arrive in try again, after something else was the fault handler. */
void try_handle(void);

#endif
