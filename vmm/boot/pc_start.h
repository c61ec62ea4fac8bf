/* A vCPU's first state in a PC: CPU 0 at a kernel's entry, with flat segments, in long mode on an
 * identity map, or in 32-bit protected mode without paging; the others wait for INIT and SIPI. */
#ifndef VMM_BOOT_PC_START_H
#define VMM_BOOT_PC_START_H

#include <stdbool.h>

#include "vmm/boot/start.h"

/* As start_cpu, from start->boot->entry. */
bool pc_start_cpu(struct start *start, const struct vcpu *vcpu, unsigned number,
                  struct vcpu_state *state);

#endif
