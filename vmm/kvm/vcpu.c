#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include "shared/desc.h"
#include "vmm/base/message.h"
#include "vmm/kvm/cpuid.h"

/* With a local APIC in KVM all vCPUs but the first wait for INIT and SIPI, as a PC's have to. */
static bool let_run(const struct vcpu *vcpu, unsigned number, bool waits)
{
	struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_RUNNABLE};

	return number == 0 || !waits || KVM_IOCTL(vcpu->fd, KVM_SET_MP_STATE, &state) == 0;
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
	       let_run(vcpu, number, kvm->host.apic_khz && !kvm->is_pc);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	*vcpu = VCPU_NONE;
}

/* KVM stops at the first that it does not know: the rest is asked for again. */
static void read_msrs(const struct vcpu *vcpu, struct vcpu_state *state)
{
	struct kvm_msr_entry entries[STATE_MSRS] = {0};

	for (unsigned i = 0; i < STATE_MSRS; i++)
		entries[i].index = msr_table[i].index;
	state->msrs_known = 0;
	for (unsigned i = 0, done; i < STATE_MSRS; i += done + 1) {
		const int count =
		    kvm_msrs(vcpu->fd, KVM_GET_MSRS, &entries[i], (uint32_t)(STATE_MSRS - i));

		done = count > 0 ? (unsigned)count : 0;
		for (unsigned k = i; k < i + done; k++)
			state->msrs_known |= 1U << k;
	}
	for (unsigned i = 0; i < STATE_MSRS; i++)
		state->msrs[i] = state->msrs_known >> i & 1 ? entries[i].data : 0;
}

bool vcpu_read(const struct vcpu *vcpu, struct vcpu_state *state, uint32_t what)
{
	const int fd = vcpu->fd;

	if (what & STATE_ALL_MSRS)
		read_msrs(vcpu, state);
	return (!(what & STATE_REGS) || KVM_IOCTL(fd, KVM_GET_REGS, &state->regs) == 0) &&
	       (!(what & STATE_SREGS) || KVM_IOCTL(fd, KVM_GET_SREGS, &state->sregs) == 0) &&
	       (!(what & STATE_EVENTS) ||
	        KVM_IOCTL(fd, KVM_GET_VCPU_EVENTS, &state->events) == 0) &&
	       (!(what & STATE_FPU) || KVM_IOCTL(fd, KVM_GET_FPU, &state->fpu) == 0) &&
	       (!(what & STATE_DEBUG) || KVM_IOCTL(fd, KVM_GET_DEBUGREGS, &state->debugregs) == 0);
}

static bool write_msrs(const struct vcpu *vcpu, const struct vcpu_state *state)
{
	for (unsigned i = 0; i < STATE_MSRS; i++) {
		if (state->msrs_known >> i & 1 &&
		    !vcpu_write_msr(vcpu, msr_table[i].index, state->msrs[i]))
			return message_error("KVM: KVM_SET_MSRS refuses %s = 0x%llx",
			                     msr_table[i].name, (unsigned long long)state->msrs[i]);
	}
	return true;
}

bool vcpu_write(const struct vcpu *vcpu, const struct vcpu_state *state, uint32_t what)
{
	/* What ioctl takes is never written to. */
	struct vcpu_state *from = (struct vcpu_state *)(uintptr_t)state;
	const int fd = vcpu->fd;

	return (!(what & STATE_SREGS) || KVM_IOCTL(fd, KVM_SET_SREGS, &from->sregs) == 0) &&
	       (!(what & STATE_REGS) || KVM_IOCTL(fd, KVM_SET_REGS, &from->regs) == 0) &&
	       (!(what & STATE_EVENTS) || KVM_IOCTL(fd, KVM_SET_VCPU_EVENTS, &from->events) == 0) &&
	       (!(what & STATE_FPU) || KVM_IOCTL(fd, KVM_SET_FPU, &from->fpu) == 0) &&
	       (!(what & STATE_DEBUG) || KVM_IOCTL(fd, KVM_SET_DEBUGREGS, &from->debugregs) == 0) &&
	       (!(what & STATE_ALL_MSRS) || write_msrs(vcpu, state));
}

void vcpu_free_tss(const struct kvm *kvm, struct kvm_sregs *sregs)
{
	if (kvm->host.features & RS_FEATURE_AMD && sregs->tr.type == DESC_TSS_BUSY)
		sregs->tr.type = DESC_TSS_AVAILABLE;
}

bool vcpu_read_msr(const struct vcpu *vcpu, uint32_t index, uint64_t *value)
{
	struct kvm_msr_entry entry = {.index = index};
	const bool known = kvm_msrs(vcpu->fd, KVM_GET_MSRS, &entry, 1) == 1;

	*value = known ? entry.data : 0;
	return known;
}

bool vcpu_write_msr(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct kvm_msr_entry entry = {.index = index, .data = value};

	return kvm_msrs(vcpu->fd, KVM_SET_MSRS, &entry, 1) == 1;
}

bool vcpu_is_halted(const struct vcpu *vcpu)
{
	struct kvm_mp_state state;

	return kvm_try(vcpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
	       state.mp_state == KVM_MP_STATE_HALTED;
}

bool vcpu_waits(const struct vcpu *vcpu)
{
	struct kvm_mp_state state;

	return kvm_try(vcpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
	       state.mp_state != KVM_MP_STATE_RUNNABLE;
}

bool vcpu_is_reset(const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	return regs->rip == 0xfff0 && sregs->cs.selector == 0xf000 && !(sregs->cr0 & CR0_PE);
}
