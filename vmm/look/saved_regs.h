/* Registers as the guest saved them at an entry, in the form in which KVM gives a vCPU's. */
#ifndef VMM_LOOK_SAVED_REGS_H
#define VMM_LOOK_SAVED_REGS_H

#include <linux/kvm.h>

#include "shared/abi.h"

static inline struct kvm_regs saved_regs(const struct rs_regs *from)
{
	return (struct kvm_regs){
	    .rax = from->rax,
	    .rbx = from->rbx,
	    .rcx = from->rcx,
	    .rdx = from->rdx,
	    .rsi = from->rsi,
	    .rdi = from->rdi,
	    .rsp = from->rsp,
	    .rbp = from->rbp,
	    .r8 = from->r8,
	    .r9 = from->r9,
	    .r10 = from->r10,
	    .r11 = from->r11,
	    .r12 = from->r12,
	    .r13 = from->r13,
	    .r14 = from->r14,
	    .r15 = from->r15,
	    .rip = from->rip,
	    .rflags = from->rflags,
	};
}

#endif
