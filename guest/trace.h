/*
 * What happens at the boundary, noted in the ring of shared/abi.h when the VMM asked for that.
 *
 * Nothing is paid for while it did not: the slow paths look at one word, and system calls are noted
 * by dispatchers of their own (guest/traced.h).
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

/* Notes a system call: when it was called, by rdtsc(), and now it returns.  Likewise. */
void trace_call(uint64_t begin, uint64_t number, int64_t result, enum rs_trace_way way);

/* Notes an exception, before anything is done about it.  Not an NMI, which may have come in the
 * middle of a note, and not INT 0x80, which is a system call. */
static inline void trace_fault(uint64_t vector, const struct rs_regs *regs, uint64_t cr2)
{
	if (trace_rings && vector != VECTOR_NMI && vector != 0x80)
		trace_note(RS_TRACE_FAULT, vector, regs->error, regs->rip, cr2, regs->cs & 3);
}

#endif
