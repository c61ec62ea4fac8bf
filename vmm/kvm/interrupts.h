/* Interrupts that a VMM with the lines of an I/O APIC and a pair of PICs gives to a VM whose local
 * APICs are KVM's (api.rst: KVM_CAP_SPLIT_IRQCHIP, KVM_SIGNAL_MSI, KVM_INTERRUPT). */
#ifndef VMM_KVM_INTERRUPTS_H
#define VMM_KVM_INTERRUPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vcpu.h"

/* A line of the I/O APIC that is not masked, as the message that it sends: KVM tells of an EOI of
 * these alone, and only if they are level-triggered. */
struct kvm_route {
	uint32_t line;
	uint64_t address;
	uint32_t data;
};
enum { KVM_ROUTES_MAX = 24 };
/* In place of all before.  False after a message. */
bool kvm_set_routes(const struct kvm *kvm, const struct kvm_route *routes, unsigned count);

/* To the local APIC that the address names.  One that no APIC takes is lost, as on a real bus. */
void kvm_send_message(const struct kvm *kvm, uint64_t address, uint32_t data);

/* The PICs' vector, in answer to INTA: only if vcpu->run->ready_for_interrupt_injection. */
bool vcpu_interrupt(const struct vcpu *vcpu, unsigned vector);

#endif
