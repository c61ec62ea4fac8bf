/* A vCPU's first state: registers and MSRs for what vmm/boot.h has put into RAM. */
#ifndef VMM_START_H
#define VMM_START_H

#include <stdbool.h>

#include "vmm/machine.h"

/* Sets control and segment registers, MSRs (each read back), and general registers as
 * shared/abi.h says; cpu->last becomes what was set, without events.  CPU 0 is the first: of the
 * CR4 bits that KVM's CPUID table offers, what KVM refuses is left out and taken from
 * machine->kvm.host.features; --pti and --no-pcid then decide machine->pti_mode.  The others get
 * what CPU 0 has got.  False after a message. */
bool start_cpu(struct cpu *cpu);

#endif
