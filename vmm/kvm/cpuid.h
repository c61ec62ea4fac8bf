/*
 * Tables for CPUID, as KVM_SET_CPUID2 takes them (SDM volume 2, CPUID; APM volume 3, appendix E).
 */
#ifndef VMM_KVM_CPUID_H
#define VMM_KVM_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* A table with room for so many entries (its nent), all zero; the caller frees it.  NULL: no
 * memory. */
struct kvm_cpuid2 *cpuid_new(uint32_t entries);

/*
 * What needs no KVM to support it, from the CPUID instruction itself: who made the processor, its
 * family, the width of its addresses, and those features of every 64-bit one that ring 3 simply has
 * (up to SSE4.2, POPCNT, AES) or that paging rests on (PAE, PGE, PAT, NX).  Leaves 0, 1, 80000000H,
 * 80000001H and 80000008H; the caller frees it.  NULL: no memory.
 */
struct kvm_cpuid2 *cpuid_basic(void);

/* The entry of a table for a leaf and subleaf; NULL when it has none. */
const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *table, uint32_t leaf,
                                          uint32_t subleaf);
/* A register of the leaf's subleaf 0; 0 when there is none. */
uint32_t cpuid_value(const struct kvm_cpuid2 *table, uint32_t leaf, enum cpuid_register reg);

/* Makes KVM's table that of a PC's processor: a hypervisor is said to be there, one package has
 * `cpus` cores, and the local APICs' timers know a TSC deadline if `deadline`. */
void cpuid_set_pc(struct kvm_cpuid2 *table, uint32_t cpus, bool deadline);
/* Takes a feature bit out of a leaf's subleaf 0. */
void cpuid_clear(struct kvm_cpuid2 *table, uint32_t leaf, enum cpuid_register reg, uint32_t bit);

/* Sets the initial APIC id wherever the table has it. */
void cpuid_set_apic_id(struct kvm_cpuid2 *table, uint32_t id);

#endif
