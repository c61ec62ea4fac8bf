/*
 * Crossings to be timed: whole loops of them, and one at a time between two time stamps.  In
 * assembly, so that what has to be taken off is known to the instruction.
 */
#ifndef GUEST_USER_TIMED_H
#define GUEST_USER_TIMED_H

#include <stdint.h>

/* ---- Loops ---------------------------------------------------------------------------------- */

/* Instructions of a turn beside the crossing itself, in the loops of cross.h and of this file. */
#define LOOP_CALL_EXTRA  3  /* loop_syscall, loop_int80, loop_yield: mov, dec, jnz */
#define LOOP_FAULT_EXTRA 3  /* loop_fault: dec, jz, jmp */
#define LOOP_FORK_EXTRA  14 /* loop_fork: 10 in the parent, 4 in the child */

/* `turns` times: fork, exit in the child, wait4 in the parent. */
void loop_fork(uint64_t turns);

/* ---- Samples -------------------------------------------------------------------------------- */

/* `n` crossings, one after the other; ticks[i] is the TSC from before the i-th to after it. */
void sample_nothing(uint64_t *ticks, uint64_t n); /* what the time stamps themselves take */
void sample_syscall(uint64_t *ticks, uint64_t n);
void sample_int80(uint64_t *ticks, uint64_t n);
void sample_yield(uint64_t *ticks, uint64_t n);
void sample_fork(uint64_t *ticks, uint64_t n); /* fork, exit in the child, wait4 */

/* Faults: sample_fault_resume must be the process's fault handler (RS_SYS_FAULT_HANDLER).  `insn`
 * is one of cross.h's; `address` is what fault_pf reads. */
void sample_fault(uint64_t *ticks, uint64_t n, void (*insn)(void), uint64_t address);
extern const char sample_fault_resume[];

#endif
