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
typedef void sample_fn(uint64_t *ticks, uint64_t n);
extern sample_fn sample_nothing; /* what the time stamps themselves take */
extern sample_fn sample_syscall, sample_int80, sample_sysenter, sample_yield;
extern sample_fn sample_callgate; /* needs RS_SYS_GALLERY */
extern sample_fn sample_fork;     /* fork, exit in the child, wait4 */
/* From 32-bit code, by its own time stamps. */
extern sample_fn sample_nothing_32, sample_int80_32, sample_syscall_32, sample_sysenter_32;

/* Faults: sample_fault_resume must be the process's fault handler (RS_SYS_FAULT_HANDLER).  `insn`
 * is one of cross.h's; `address` is what fault_pf reads. */
void sample_fault(uint64_t *ticks, uint64_t n, void (*insn)(void), uint64_t address);
extern const char sample_fault_resume[];

#endif
