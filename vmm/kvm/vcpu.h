/* One virtual CPU: its file descriptor, the page it shares with KVM, and its state. */
#ifndef VMM_KVM_VCPU_H
#define VMM_KVM_VCPU_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/kvm.h>
#include <sys/syscall.h>

#include "vmm/base/state.h"
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

/* Reads the parts of its state that `what` names (STATE_*), an ioctl for each: for rare occasions.
 * MSRs that KVM does not know are no failure.  False after a message. */
bool vcpu_read(const struct vcpu *vcpu, struct vcpu_state *state, uint32_t what);
/* Writes them, system registers before general ones.  False, after a message, when KVM takes one of
 * them not. */
bool vcpu_write(const struct vcpu *vcpu, const struct vcpu_state *state, uint32_t what);
/* KVM says "busy" of AMD's TR whatever it is, and one emulated AMD processor reads the I/O bitmap
 * only with what was there before: to be done to what is read and then written. */
void vcpu_free_tss(const struct kvm *kvm, struct kvm_sregs *sregs);
/* One MSR by its number.  False when KVM does not know it (*value is 0 then), or refuses the value.
 */
bool vcpu_read_msr(const struct vcpu *vcpu, uint32_t index, uint64_t *value);
bool vcpu_write_msr(const struct vcpu *vcpu, uint32_t index, uint64_t value);
/* Whether it waits in KVM for an interrupt (HLT), which only one with a local APIC does. */
bool vcpu_is_halted(const struct vcpu *vcpu);
/* In HLT, or not started: waiting for INIT or SIPI. */
bool vcpu_waits(const struct vcpu *vcpu);

/* Whether registers are those of a processor just reset (SDM volume 3, table 10-1: CS:RIP
 * f000:fff0 in real mode), which is what AMD's KVM leaves after a SHUTDOWN. */
bool vcpu_is_reset(const struct kvm_regs *regs, const struct kvm_sregs *sregs);

#endif
