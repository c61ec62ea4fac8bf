/* The vCPU's first state: registers and MSRs for what vmm/boot.h has put into RAM. */
#ifndef VMM_START_H
#define VMM_START_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot.h"
#include "vmm/kvm.h"
#include "vmm/loader.h"
#include "vmm/options.h"
#include "vmm/vcpu.h"

/* Sets control and segment registers, MSRs (each read back), and general registers as
 * shared/abi.h says.  What KVM refuses of the CR4 bits that its CPUID table offers is left out
 * and taken from kvm->host.features; --pti and --no-pcid then decide *pti_mode (RS_PTI_*).
 * *state: what was set, without events.  False after a message. */
bool start_vcpu(const struct vcpu *vcpu, struct kvm *kvm, const struct boot *boot,
                const struct image *image, const struct options *options, uint32_t *pti_mode,
                struct vcpu_state *state);

#endif
