/*
 * What the host offers: KVM's capabilities and its CPUID table, as plain values.  Filled by kvm.c,
 * read by boot and by the report.
 */
#ifndef VMM_KVM_HOST_H
#define VMM_KVM_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct host {
	char kernel[65]; /* release, as uname gives it */
	char vendor[13]; /* CPUID leaf 0: "GenuineIntel", "AuthenticAMD", ...; "" unknown */
	char brand[49]; /* the host CPU's own, leaves 80000002H to 80000004H, trimmed; "" unknown */
	uint32_t family, model, stepping; /* with the extended fields added in */
	int kvm_api;                      /* KVM_GET_API_VERSION: 12 */
	bool sync_regs;                   /* KVM_CAP_SYNC_REGS has regs, sregs and events */
	uint64_t cpuid_features;          /* RS_FEATURE_* that KVM's CPUID table offers ... */
	uint64_t features;   /* ... and that KVM accepted when tried: what the guest is told */
	uint32_t maxphyaddr; /* physical address width, bits */
	uint64_t tsc_khz;    /* 0: unknown */
	uint64_t apic_khz;   /* of the local APICs' timers; 0: the VM has none */
	bool rdcl_no_known;  /* pti=auto asked ... */
	bool rdcl_no;        /* ... and the CPU does not need KPTI (Meltdown) */
};

/* Fills kernel and brand, which only a report needs: reading the brand costs three CPUIDs, each of
 * them a trap where the host is itself a virtual machine. */
void host_describe(struct host *host);

#endif
