/*
 * The dispatchers of guest/syscall.h, noting when they were called and when they returned: a call
 * that does not return (exit) is not seen here.
 */
#ifndef GUEST_TRACED_H
#define GUEST_TRACED_H

#include <stdint.h>

#include "shared/abi.h"

int64_t traced_syscall64(const struct rs_regs *regs, uint64_t number);
int64_t traced_compat(const struct rs_regs *regs, uint32_t number);
int64_t traced_int80(const struct rs_regs *regs, uint32_t number);

/* Once, behind trace_init: where trace_rings is set, the three CALLs of entry.S that lead to the
 * dispatchers are rewritten, so that they lead to the traced ones. */
void traced_init(void);

#endif
