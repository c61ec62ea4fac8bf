/*
 * The host's side of a virtual machine: /dev/kvm, what it can do, and the VM (Linux,
 * Documentation/virt/kvm/api.rst).  All of the VMM's ioctls but KVM_RUN (vmm/kvm/vcpu.h) go through
 * one door, kvm_try; most by kvm_ioctl, so that a failure names the call, the cause, and what can
 * be done about it.
 */
#ifndef VMM_KVM_KVM_H
#define VMM_KVM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/memory.h"
#include "vmm/kvm/host.h"

struct kvm {
	int fd;                   /* /dev/kvm; -1: closed */
	int vm;                   /* the VM; -1: none */
	bool is_pc;               /* KVM_PC, and it was not refused */
	size_t run_size;          /* bytes of a vCPU's struct kvm_run mapping */
	struct kvm_cpuid2 *cpuid; /* the vCPUs', but for the APIC id; owned */
	struct host host;
};

/* A struct kvm that kvm_close accepts. */
#define KVM_CLOSED ((struct kvm){.fd = -1, .vm = -1})

/* What to do where there is no KVM: words for the end of a message, "; or ...", which the caller
 * frees; NULL: none. */
struct kvm_advice {
	char *(*text)(const void *ctx); /* NULL: nothing to say */
	const void *ctx;
};

/* Whether /dev/kvm is there, is KVM, and makes VMs.  Says nothing. */
bool kvm_is_usable(void);
/* Opens /dev/kvm, checks version and capabilities, and that a VM can have `cpus` vCPUs.  `advice`
 * ends the message that it cannot be opened.  False after a message; kvm_close is due in both
 * cases. */
bool kvm_open(struct kvm *kvm, unsigned cpus, const struct kvm_advice *advice);
/* Takes a CPUID table for the vCPUs and fills kvm->host from it: all that KVM supports, or, if
 * `basic`, what KVM need not be asked for (cpuid_basic).  False after a message. */
bool kvm_describe(struct kvm *kvm, bool basic);
/* Whether KVM is to keep a log of the pages that the guest writes, from now on (api.rst,
 * KVM_SET_USER_MEMORY_REGION).  False after a message. */
bool kvm_log_dirty(const struct kvm *kvm, const struct memory *memory, bool on);
/* Adds to `pages` those that were written since the last time (KVM_GET_DIRTY_LOG); a bit for each
 * page of what the addresses span, as is `room`, which is used up.  Each is logged anew.  False
 * after a message. */
bool kvm_add_dirty(const struct kvm *kvm, const struct memory *memory, uint64_t *pages,
                   uint64_t *room);
/* What of interrupts is KVM's.  Never its PIC, PIT and I/O APIC: ports stay ours. */
enum kvm_interrupts {
	KVM_NO_APICS,
	KVM_APICS, /* a local APIC for each vCPU, which runs at once */
	KVM_PC,    /* the same; all but the first wait for INIT and SIPI, the lines of an I/O APIC
	            * are routed (vmm/kvm/interrupts.h), and real mode can be run */
};
/* Makes the VM, with all of `memory` as its slot 0.  The memory must outlive it.  Where KVM refuses
 * local APICs there are none, and kvm->host.apic_khz stays 0. */
bool kvm_create_vm(struct kvm *kvm, const struct memory *memory, enum kvm_interrupts interrupts);
void kvm_close(struct kvm *kvm);

/* Whether the CPU can do without KPTI (pti=auto): AMD and Hygon, or Intel with RDCL_NO in
 * IA32_ARCH_CAPABILITIES (SDM volume 4, table 2-2).  Asks KVM once; the answer stays in kvm->host.
 */
bool kvm_rdcl_no(struct kvm *kvm);

/* ioctl on one of KVM's file descriptors, once and without a word: its result, or -1 and errno. For
 * who asks whether KVM does it, or says himself what it means that it does not. */
int kvm_try(int fd, unsigned long request, void *arg);
/* What KVM_CHECK_EXTENSION says of a KVM_CAP_*, on /dev/kvm or a VM; 0 or less: it is not there. */
int kvm_offers(int fd, int capability);

/* The same: its result, or -1 after a message that begins with
 * `name`.  An interrupted call is repeated. */
int kvm_ioctl(int fd, unsigned long request, const char *name, void *arg);
#define KVM_IOCTL(fd, request, arg) kvm_ioctl(fd, request, #request, arg)

/* KVM_SET_MSRS or KVM_GET_MSRS for up to KVM_MSRS_MAX entries, on a vCPU, or on /dev/kvm for what
 * the host's CPU offers: how many KVM took before the first that it refuses, or -1 and errno. */
enum { KVM_MSRS_MAX = 16 };
int kvm_msrs(int fd, unsigned long request, struct kvm_msr_entry *entries, unsigned count);

#endif
