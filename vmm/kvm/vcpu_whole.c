#include "vmm/kvm/vcpu_whole.h"

#include <string.h>

#include "shared/x86.h"
#include "vmm/base/message.h"

enum { PARTS = STATE_REGS | STATE_SREGS | STATE_EVENTS | STATE_FPU | STATE_DEBUG };

/* ---- MSRs ------------------------------------------------------------------------------------ */

/* Those that go on by themselves, or that something else has: the TSC and what is set by it (SDM
 * volume 4, table 2-2), KVM's clocks, Hyper-V's (Linux, arch/x86/include/uapi/asm/kvm_para.h);
 * EFER, which is one of the system registers. */
static bool goes_on(uint32_t index)
{
	enum { TSC = 0x10, OLD_WALL_CLOCK = 0x11, OLD_CLOCK = 0x12, TSC_ADJUST = 0x3b };

	return index == TSC || index == OLD_WALL_CLOCK || index == OLD_CLOCK ||
	       index == TSC_ADJUST || (index >= 0x40000000 && index < 0x40000200) ||
	       (index >= 0x4b564d00 && index < 0x4b564e00) || index == MSR_EFER;
}

/* KVM's list into `entries`.  False after a message. */
static bool list_msrs(const struct kvm *kvm, struct kvm_msr_entry entries[WHOLE_MSRS],
                      unsigned *count)
{
	union {
		struct kvm_msr_list list;
		uint32_t room[1 + WHOLE_MSRS];
	} all = {.list.nmsrs = WHOLE_MSRS};

	*count = 0;
	if (KVM_IOCTL(kvm->fd, KVM_GET_MSR_INDEX_LIST, &all) < 0)
		return false;
	for (unsigned i = 0; i < all.list.nmsrs; i++) {
		const uint32_t index = all.list.indices[i];

		if (!goes_on(index))
			entries[(*count)++] = (struct kvm_msr_entry){.index = index};
	}
	return true;
}

/* Those of `entries` that can be read, with their values; how many. */
static unsigned read_msrs(const struct vcpu *vcpu, struct kvm_msr_entry *entries, unsigned count)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count;) {
		const unsigned left = count - i;
		const int got = kvm_msrs(vcpu->fd, KVM_GET_MSRS, &entries[i],
		                         left < KVM_MSRS_MAX ? left : KVM_MSRS_MAX);
		const unsigned done = got > 0 ? (unsigned)got : 0;

		memmove(&entries[kept], &entries[i], done * sizeof(entries[0]));
		kept += done;
		/* The first that is refused ends a request. */
		i += done < KVM_MSRS_MAX && done < left ? done + 1 : done;
	}
	return kept;
}

/* Only what is another: a write may have effects of its own. */
static bool write_msrs(const struct vcpu *vcpu, const struct vcpu_whole *whole)
{
	struct kvm_msr_entry now[WHOLE_MSRS];
	unsigned count, at = 0;

	memcpy(now, whole->msrs, sizeof(now));
	count = read_msrs(vcpu, now, whole->msr_count);
	for (unsigned i = 0; i < whole->msr_count; i++) {
		const struct kvm_msr_entry *was = &whole->msrs[i];

		if (at < count && now[at].index == was->index && now[at++].data == was->data)
			continue;
		if (!vcpu_write_msr(vcpu, was->index, was->data))
			return message_error("KVM: KVM_SET_MSRS refuses what MSR 0x%x was: 0x%llx",
			                     was->index, (unsigned long long)was->data);
	}
	return true;
}

/* ---- All ------------------------------------------------------------------------------------- */

bool vcpu_read_whole(const struct kvm *kvm, const struct vcpu *vcpu, struct vcpu_whole *whole)
{
	const int fd = vcpu->fd;
	unsigned listed;

	if (!list_msrs(kvm, whole->msrs, &listed))
		return false;
	whole->msr_count = read_msrs(vcpu, whole->msrs, listed);
	whole->has_xsave = kvm_offers(kvm->vm, KVM_CAP_XSAVE) > 0;
	whole->has_xcrs = kvm_offers(kvm->vm, KVM_CAP_XCRS) > 0;
	whole->has_apic = kvm->host.apic_khz;
	return vcpu_read(vcpu, &whole->state, PARTS) &&
	       (!whole->has_xsave || KVM_IOCTL(fd, KVM_GET_XSAVE, whole->xsave) == 0) &&
	       (!whole->has_xcrs || KVM_IOCTL(fd, KVM_GET_XCRS, &whole->xcrs) == 0) &&
	       (!whole->has_apic || KVM_IOCTL(fd, KVM_GET_LAPIC, &whole->apic) == 0) &&
	       KVM_IOCTL(fd, KVM_GET_MP_STATE, &whole->mp) == 0;
}

bool vcpu_write_whole(const struct kvm *kvm, const struct vcpu *vcpu,
                      const struct vcpu_whole *whole)
{
	const uint32_t fpu = whole->has_xsave ? 0 : STATE_FPU;
	/* What ioctl takes is never written to. */
	struct vcpu_whole *from = (struct vcpu_whole *)(uintptr_t)whole;
	struct vcpu_state state = whole->state;
	const int fd = vcpu->fd;

	vcpu_free_tss(kvm, &state.sregs);
	/* The APIC base is in sregs, and decides where the APIC's registers are; events last, since
	 * what sets registers forgets an exception that is to come. */
	return vcpu_write(vcpu, &state, STATE_SREGS) &&
	       (!whole->has_xcrs || KVM_IOCTL(fd, KVM_SET_XCRS, &from->xcrs) == 0) &&
	       (!whole->has_xsave || KVM_IOCTL(fd, KVM_SET_XSAVE, from->xsave) == 0) &&
	       vcpu_write(vcpu, &state, STATE_REGS | fpu | STATE_DEBUG) &&
	       (!whole->has_apic || KVM_IOCTL(fd, KVM_SET_LAPIC, &from->apic) == 0) &&
	       write_msrs(vcpu, whole) && KVM_IOCTL(fd, KVM_SET_MP_STATE, &from->mp) == 0 &&
	       vcpu_write(vcpu, &state, STATE_EVENTS);
}
