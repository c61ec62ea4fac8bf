/*
 * The guest's ports and calls (shared/abi.h).  Everything in a call page is the guest's to lie
 * about and to change while it is being read: arguments are copied out once, then checked, then
 * used.
 */
#ifndef VMM_RUN_HYPERCALL_H
#define VMM_RUN_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/run/machine.h"

/* One OUT of `size` bytes; to a port, or of a size, that means nothing here it is only counted.
 * False: the run is over, see machine->outcome. */
bool hypercall_out(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value);

/* The state that an earlier OUT to RS_PORT_MARK asked for, after KVM_RUN has completed that OUT
 * without entering the guest.  False after a message. */
bool hypercall_store_mark(struct cpu *cpu);

#endif
