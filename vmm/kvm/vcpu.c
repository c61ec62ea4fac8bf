#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include "vmm/base/message.h"
#include "vmm/kvm/cpuid.h"

/* With a local APIC in KVM all vCPUs but the first wait for INIT and SIPI. */
static bool let_run(const struct vcpu *vcpu, unsigned number, bool apic)
{
	struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_RUNNABLE};

	return number == 0 || !apic || KVM_IOCTL(vcpu->fd, KVM_SET_MP_STATE, &state) == 0;
}

bool vcpu_create(struct vcpu *vcpu, struct kvm *kvm, unsigned number)
{
	*vcpu = VCPU_NONE;
	vcpu->sync_regs = kvm->host.sync_regs;
	vcpu->fd = KVM_IOCTL(kvm->vm, KVM_CREATE_VCPU, (void *)(uintptr_t)number);
	if (vcpu->fd < 0)
		return false;

	void *run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);

	if (run == MAP_FAILED)
		return message_error("KVM: cannot map the vCPU's shared page: %s", strerror(errno));
	vcpu->run = run;
	vcpu->run_size = kvm->run_size;
	cpuid_set_apic_id(kvm->cpuid, number);
	return KVM_IOCTL(vcpu->fd, KVM_SET_CPUID2, kvm->cpuid) == 0 &&
	       let_run(vcpu, number, kvm->host.apic_khz);
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

bool vcpu_is_halted(const struct vcpu *vcpu)
{
	struct kvm_mp_state state;

	return kvm_try(vcpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
	       state.mp_state == KVM_MP_STATE_HALTED;
}

bool vcpu_set_regs(const struct vcpu *vcpu, const struct kvm_regs *regs)
{
	return KVM_IOCTL(vcpu->fd, KVM_SET_REGS, (void *)(uintptr_t)regs) == 0;
}

bool vcpu_set_events(const struct vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	return KVM_IOCTL(vcpu->fd, KVM_SET_VCPU_EVENTS, (void *)(uintptr_t)events) == 0;
}

bool vcpu_is_reset(const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	return regs->rip == 0xfff0 && sregs->cs.selector == 0xf000 && !(sregs->cr0 & CR0_PE);
}
