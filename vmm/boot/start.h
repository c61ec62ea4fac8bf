/* A vCPU's first state: registers and MSRs for what vmm/boot/ringscope.h has put into RAM. */
#ifndef VMM_BOOT_START_H
#define VMM_BOOT_START_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"
#include "vmm/boot/ringscope.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"

/* What all CPUs of a machine start from. */
struct start {
	const struct plan *plan;
	const struct image *image;
	const struct boot *boot;
	struct kvm *kvm;
	/* Found out when CPU 0 starts, which is the first: */
	uint64_t cr4;
	uint32_t pti_mode; /* RS_PTI_*: by --pti, --no-pcid and the CPU */
};

/* A flat segment of ring 0 (DESC_CODE_RX, DESC_DATA_RW: shared/desc.h), as loading the selector
 * from a GDT would leave it. */
struct kvm_segment start_flat_segment(uint16_t selector, uint8_t type, bool code64);

/* Sets control and segment registers, MSRs (each read back), and general registers as
 * shared/abi.h says; *state becomes what was set, without events.  Of the CR4 bits that KVM's CPUID
 * table offers, what KVM refuses CPU 0 is left out and taken from start->kvm->host.features; the
 * other CPUs get what it has got.  False after a message. */
bool start_cpu(struct start *start, const struct vcpu *vcpu, unsigned number,
               struct vcpu_state *state);

#endif
