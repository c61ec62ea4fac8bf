/*
 * A KVM for tests: it keeps what it is given, gives it back, remembers who asked for what, and
 * refuses what a test tells it to.  Nothing runs in it but what a test puts in KVM_RUN's place.
 *
 * The VMM's ioctls come here because unit_vmm is linked with --wrap=ioctl, and all but KVM_RUN go
 * through one function (vmm/kvm/kvm.h); so does opening /dev/kvm.  KVM_RUN is a system call of its
 * own (vmm/kvm/vcpu.h) and stays one: a seccomp filter turns it into SIGSYS, whose handler is this
 * KVM.  So the code that is tested is the code that runs.
 */
#ifndef TESTS_UNIT_VMM_FAKE_KVM_H
#define TESTS_UNIT_VMM_FAKE_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

enum {
	FAKE_DEVICE = 900, /* the file descriptors: nobody's but ours */
	FAKE_VM,
	FAKE_VCPU, /* + number */
	FAKE_VCPUS = 8,
	FAKE_MSRS = 32,
	FAKE_CALLS = 512,
	FAKE_CAPS = 512,
	FAKE_MESSAGES = 32,
	FAKE_ROUTES = 24,
	FAKE_DIRTY = 1024,
};

struct fake_vcpu {
	int fd;
	struct kvm_run *run; /* for who is KVM_RUN; the test's */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_fpu fpu;
	struct kvm_debugregs debugregs;
	struct kvm_mp_state mp_state;
	struct kvm_guest_debug guest_debug;
	struct kvm_msr_entry msrs[FAKE_MSRS];
	size_t msr_count;
	const struct kvm_cpuid2 *cpuid; /* the caller's */
	unsigned nmis;
	uint32_t interrupt; /* the last of KVM_INTERRUPT */
};

struct fake_call {
	int fd;
	unsigned long request;
	uint64_t arg; /* by value where it is one, of CR4 in KVM_SET_SREGS; else 0 */
};

struct fake_kvm {
	struct fake_vcpu vcpus[FAKE_VCPUS];
	struct fake_call calls[FAKE_CALLS];
	size_t call_count; /* those beyond FAKE_CALLS are counted only */
	struct kvm_userspace_memory_region slots[16];
	size_t slot_count;
	/* Of KVM_SIGNAL_MSI, the last ones; and KVM_SET_GSI_ROUTING, in place of all before. */
	struct kvm_msi messages[FAKE_MESSAGES]; /* n % FAKE_MESSAGES */
	size_t message_count;
	struct kvm_irq_routing_entry routes[FAKE_ROUTES];
	size_t route_count;

	/* Pages below FAKE_DIRTY that the guest has written since the log was asked for. */
	uint64_t dirty[FAKE_DIRTY / 64];

	/* What it is like. */
	bool present;                       /* /dev/kvm can be opened */
	const struct kvm_cpuid2 *supported; /* KVM_GET_SUPPORTED_CPUID */
	int run_size;                       /* KVM_GET_VCPU_MMAP_SIZE; 0: three pages */
	unsigned interrupted;               /* so many ioctls fail with EINTR first */
	int offers[FAKE_CAPS];              /* KVM_CHECK_EXTENSION */
	int tsc_khz;
	uint64_t cr4_refused;    /* KVM_SET_SREGS with any of these bits: EINVAL */
	uint32_t msr_refused;    /* KVM_SET_MSRS stops before this one; 0: at none */
	uint32_t msr_unreadable; /* likewise KVM_GET_MSRS */
	uint32_t msr_forgets;    /* reads back with bit 0 turned over */
	unsigned long fails; /* this request fails with `error`, after `fails_after` that go well */
	unsigned fails_after;
	int error;

	/* KVM_RUN on vcpus[n]: 0, or a negative errno value. */
	int (*run)(unsigned n);
};
extern struct fake_kvm fake_kvm;

/* As new: nothing set, nothing offered, nothing refused. */
void fake_kvm_reset(void);
/* Makes KVM_RUN of this process come to fake_kvm.run.  There is no way back, and none is needed. */
void fake_kvm_catch_runs(void);
/* How often something was asked. */
size_t fake_kvm_count(unsigned long request);
/* The value of an MSR that was set; UINT64_MAX: it was not. */
uint64_t fake_kvm_msr(unsigned n, uint32_t index);

#endif
