/*
 * What happens at the boundary, noted in the ring of shared/abi.h when the VMM asked for that.
 *
 * Nothing is paid for while it did not: trace_init rewrites the three CALLs of entry.S that lead to
 * the dispatchers, so that they lead to the traced ones, and the slow paths look at one word.
 */
#ifndef GUEST_TRACE_H
#define GUEST_TRACE_H

#include <stdint.h>

#include "shared/abi.h"

struct process;

/* Each CPU's ring; NULL: nobody wants to know. */
extern struct rs_trace *const *trace_rings;

/* Once, before the first process runs. */
void trace_init(const struct rs_boot *boot);

/* Notes a moment; arguments as enum rs_trace_kind says.  Call only with trace_rings set. */
void trace_note(enum rs_trace_kind kind, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                uint64_t e);
/* Notes that `from` gives this CPU to another: its pid (0: nobody, the CPU is idle), its two CR3s.
 * Likewise. */
void trace_switch(const struct process *from, uint64_t pid, uint64_t kernel_cr3, uint64_t user_cr3);

/* Notes an exception, before anything is done about it.  Not an NMI, which may have come in the
 * middle of a note, and not INT 0x80, which is a system call. */
static inline void trace_fault(uint64_t vector, const struct rs_regs *regs, uint64_t cr2)
{
	if (trace_rings && vector != VECTOR_NMI && vector != 0x80)
		trace_note(RS_TRACE_FAULT, vector, regs->error, regs->rip, cr2, regs->cs & 3);
}

/* The dispatchers of guest/syscall.h, noting when they were called and when they returned: a call
 * that does not return (exit) is not seen here. */
int64_t traced_syscall64(const struct rs_regs *regs, uint64_t number);
int64_t traced_compat(const struct rs_regs *regs, uint32_t number);
int64_t traced_int80(const struct rs_regs *regs, uint32_t number);

#endif
