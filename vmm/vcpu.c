#include "vmm/vcpu.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include "vmm/message.h"

bool vcpu_create(struct vcpu *vcpu, const struct kvm *kvm)
{
	*vcpu = VCPU_NONE;
	vcpu->sync_regs = kvm->host.sync_regs;
	vcpu->fd = KVM_IOCTL(kvm->vm, KVM_CREATE_VCPU, NULL);
	if (vcpu->fd < 0)
		return false;

	void *run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);

	if (run == MAP_FAILED)
		return message_error("KVM: cannot map the vCPU's shared page: %s", strerror(errno));
	vcpu->run = run;
	vcpu->run_size = kvm->run_size;
	return KVM_IOCTL(vcpu->fd, KVM_SET_CPUID2, kvm->cpuid) == 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	*vcpu = VCPU_NONE;
}

bool vcpu_get_state(const struct vcpu *vcpu, struct vcpu_state *state)
{
	return KVM_IOCTL(vcpu->fd, KVM_GET_REGS, &state->regs) == 0 &&
	       KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, &state->sregs) == 0 &&
	       KVM_IOCTL(vcpu->fd, KVM_GET_VCPU_EVENTS, &state->events) == 0;
}

bool vcpu_set_regs(const struct vcpu *vcpu, const struct kvm_regs *regs)
{
	return KVM_IOCTL(vcpu->fd, KVM_SET_REGS, (void *)(uintptr_t)regs) == 0;
}

bool vcpu_set_events(const struct vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	return KVM_IOCTL(vcpu->fd, KVM_SET_VCPU_EVENTS, (void *)(uintptr_t)events) == 0;
}
