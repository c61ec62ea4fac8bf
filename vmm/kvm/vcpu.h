/* One virtual CPU: its file descriptor, the page it shares with KVM, and its state. */
#ifndef VMM_KVM_VCPU_H
#define VMM_KVM_VCPU_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/kvm.h>
#include <sys/syscall.h>

#include "vmm/kvm/kvm.h"

struct vcpu {
	int fd;              /* -1: none */
	struct kvm_run *run; /* shared with KVM; NULL: none */
	size_t run_size;
	bool sync_regs; /* KVM_RUN can bring registers in *run and take them from there */
};

/* A struct vcpu that vcpu_destroy accepts. */
#define VCPU_NONE ((struct vcpu){.fd = -1})

/* Makes vCPU `number` of the VM with the CPUID table of *kvm, but for the APIC id in it, which
 * becomes `number`; it can run, also without having been sent INIT and SIPI.  False after a
 * message; vcpu_destroy is due in both cases. */
bool vcpu_create(struct vcpu *vcpu, struct kvm *kvm, unsigned number);
void vcpu_destroy(struct vcpu *vcpu);

/* KVM_RUN, once: 0, or the errno.  The only system call of an ordinary exit, and made without the
 * library: its ioctl is 30 instructions, a tenth of what else an exit takes outside the kernel. */
static inline int vcpu_run(const struct vcpu *vcpu)
{
	long result = SYS_ioctl;

	__asm__ volatile("syscall"
	                 : "+a"(result)
	                 : "D"((long)vcpu->fd), "S"((long)KVM_RUN), "d"(0L)
	                 : "rcx", "r11", "memory");
	return result < 0 ? (int)-result : 0;
}

/* The state that decides what the guest does next. */
struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
};

/* Reads or writes all of it, three ioctls: for rare occasions.  False after a message. */
bool vcpu_get_state(const struct vcpu *vcpu, struct vcpu_state *state);
/* Whether it waits in KVM for an interrupt (HLT), which only one with a local APIC does. */
bool vcpu_is_halted(const struct vcpu *vcpu);
bool vcpu_set_regs(const struct vcpu *vcpu, const struct kvm_regs *regs);
bool vcpu_set_events(const struct vcpu *vcpu, const struct kvm_vcpu_events *events);

/* Whether registers are those of a processor just reset (SDM volume 3, table 10-1: CS:RIP
 * f000:fff0 in real mode), which is what AMD's KVM leaves after a SHUTDOWN. */
bool vcpu_is_reset(const struct kvm_regs *regs, const struct kvm_sregs *sregs);

#endif
