/* All of a vCPU that decides what it does next, as far as KVM tells and takes it; but for time: the
 * TSC and KVM's clock go on (Linux, Documentation/virt/kvm/api.rst). */
#ifndef VMM_KVM_VCPU_WHOLE_H
#define VMM_KVM_VCPU_WHOLE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/state.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"

enum { WHOLE_MSRS = 512 };

struct vcpu_whole {
	struct vcpu_state state; /* but for its MSRs */
	bool has_xsave, has_xcrs, has_apic;
	/* A struct kvm_xsave, whose last member has no size; else state.fpu is all there is. */
	uint32_t xsave[sizeof(struct kvm_xsave) / sizeof(uint32_t)];
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state apic;
	struct kvm_mp_state mp;
	unsigned msr_count;
	struct kvm_msr_entry msrs[WHOLE_MSRS]; /* of KVM's own list those that can be read */
};

/* The vCPU is not in KVM_RUN, and no instruction of it waits to be completed.  False after a
 * message. */
bool vcpu_read_whole(const struct kvm *kvm, const struct vcpu *vcpu, struct vcpu_whole *whole);
/* Makes it so again.  A local APIC's timer goes on from where it was.  False after a message: KVM
 * does not take something; it has a part of it all. */
bool vcpu_write_whole(const struct kvm *kvm, const struct vcpu *vcpu,
                      const struct vcpu_whole *whole);

#endif
