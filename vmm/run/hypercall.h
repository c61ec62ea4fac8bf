/*
 * The guest's ports and calls (shared/abi.h).  Everything in a call page is the guest's to lie
 * about and to change while it is being read: arguments are copied out once, then checked, then
 * used.
 */
#ifndef VMM_RUN_HYPERCALL_H
#define VMM_RUN_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/devices/bus.h"
#include "vmm/run/machine.h"

/* RS_PORT_*.  A port, or a size, that means nothing is only counted. */
extern const struct device hypercall_device;

/* The state that an earlier OUT to RS_PORT_MARK asked for, after KVM_RUN has completed that OUT
 * without entering the guest.  False after a message. */
bool hypercall_store_mark(struct cpu *cpu);

#endif
