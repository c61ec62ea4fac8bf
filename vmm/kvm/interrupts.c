#include "vmm/kvm/interrupts.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/message.h"

bool kvm_set_routes(const struct kvm *kvm, const struct kvm_route *routes, unsigned count)
{
	union {
		struct kvm_irq_routing table;
		uint8_t room[sizeof(struct kvm_irq_routing) +
		             KVM_ROUTES_MAX * sizeof(struct kvm_irq_routing_entry)];
	} all;

	memset(&all, 0, sizeof(all));
	for (unsigned i = 0; i < count && i < KVM_ROUTES_MAX; i++) {
		struct kvm_irq_routing_entry *entry = &all.table.entries[all.table.nr++];

		entry->gsi = routes[i].line;
		entry->type = KVM_IRQ_ROUTING_MSI;
		entry->u.msi.address_lo = (uint32_t)routes[i].address;
		entry->u.msi.address_hi = (uint32_t)(routes[i].address >> 32);
		entry->u.msi.data = routes[i].data;
	}
	return KVM_IOCTL(kvm->vm, KVM_SET_GSI_ROUTING, &all.table) == 0;
}

void kvm_send_message(const struct kvm *kvm, uint64_t address, uint32_t data)
{
	struct kvm_msi message = {
	    .address_lo = (uint32_t)address,
	    .address_hi = (uint32_t)(address >> 32),
	    .data = data,
	};

	kvm_try(kvm->vm, KVM_SIGNAL_MSI, &message);
}

bool vcpu_interrupt(const struct vcpu *vcpu, unsigned vector)
{
	struct kvm_interrupt interrupt = {.irq = vector};

	/* EEXIST: the one before has not been taken yet. */
	return kvm_try(vcpu->fd, KVM_INTERRUPT, &interrupt) == 0 ||
	       message_error("KVM: ioctl KVM_INTERRUPT: %s", strerror(errno));
}
