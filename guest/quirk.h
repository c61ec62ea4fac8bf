/*
 * What some KVM leaves undone, completed: the only place that knows.  Each is recognised by its
 * exact symptom, never by the host's name, and counted in struct rs_stats.
 */
#ifndef GUEST_QUIRK_H
#define GUEST_QUIRK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

/* SYSCALL that loaded RIP from LSTAR but left CPL at 3: the fetch of a supervisor page faults.
 * True: it was one, and the system call is done. */
bool quirk_syscall(struct rs_regs *regs, uint64_t cr2);
/* #UD of ring 3: when it stands for an INT n, *regs becomes what the processor should have pushed,
 * judged by the gate's DPL as the manual says.  Returns the vector that should have been delivered:
 * n, #GP, #NP, or #UD when it was no INT n. */
uint64_t quirk_intn(struct rs_regs *regs);

#endif
