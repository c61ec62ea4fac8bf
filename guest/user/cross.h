/*
 * Crossings one at a time and many times, in assembly: nothing may happen between the marks, or in
 * the timed loop, but the crossing.
 */
#ifndef GUEST_USER_CROSS_H
#define GUEST_USER_CROSS_H

/* Slots of the marks that frame a crossing. */
#define MARK_BEFORE 0
#define MARK_INSIDE 1
#define MARK_AFTER  2

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Ring 3 marks in `slot`, by OUT to a port that the TSS's I/O bitmap opens to this process. */
void mark(uint64_t slot);

/* One crossing between two marks.  The kernel marks inside. */
void mark_syscall(void);
void mark_int80(void);

/* `turns` system calls (getpid) of each kind. */
void loop_syscall(uint64_t turns);
void loop_int80(uint64_t turns);
void loop_yield(uint64_t turns);
void loop_nothing(uint64_t turns); /* two instructions a turn */

/* Instructions that fault; `address` is what fault_pf reads. */
typedef void fault_fn(void);
extern fault_fn fault_pf, fault_ud, fault_gp;
/* One fault between two marks; mark_fault_resume must be this process's fault handler. */
void mark_fault(fault_fn *insn, uint64_t address);
extern const char mark_fault_resume[];
/* `turns` faults; loop_fault_resume must be the fault handler. */
void loop_fault(fault_fn *insn, uint64_t address, uint64_t turns);
extern const char loop_fault_resume[];

/* All general registers, in the order of their numbers in instructions. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, REGISTERS };
#endif
#endif
