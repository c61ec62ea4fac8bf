/*
 * The core file: what an ELF core (gABI chapter 4, and Linux's notes) has for a debugger, and
 * behind it all that was known of the machine.
 *
 *     ELF header       ET_CORE, EM_X86_64
 *     program headers  one PT_NOTE; PT_LOADs by guest-virtual address
 *     notes            "CORE": NT_PRPSINFO, then NT_PRSTATUS and NT_FPREGSET for each vCPU
 *                      "Ringscope": CORE_NOTE_MACHINE, CORE_NOTE_VCPU for each vCPU
 *                      vCPUs: those that were started, the one that ended the run first
 *     RAM              from a page boundary to the end of the file, guest-physical 0 first; what
 *                      was never touched or is zero is a hole, and so is what is no RAM below 4 GiB
 *
 * Each page of RAM is in the file once, whatever is mapped how often: the PT_LOADs overlap there.
 * p_paddr is the guest-physical address, p_flags what the leaves allow.  The kernel half is the
 * kernel root's, the user half the user root's.
 *
 * Whatever reads a core takes it for hostile: sizes and offsets are checked before they are used,
 * and what is inside RAM is as trustworthy as a guest.
 */
#ifndef VMM_INSTRUMENTS_LOOK_CORE_FORMAT_H
#define VMM_INSTRUMENTS_LOOK_CORE_FORMAT_H

#include <stdint.h>

#include <linux/kvm.h>

#include "shared/abi.h"

#define CORE_NOTE_MACHINE 0x101
#define CORE_NOTE_VCPU    0x102
/* 2: RAM has the hole of shared/abi.h, RS_HOLE to RS_HIGH_RAM - 1.  Where RAM ends below it, which
 * is all that version 1 tells apart, the version stays 1. */
#define CORE_VERSION_FLAT 1
#define CORE_VERSION      2

#define CORE_FLAG_NOTED     (1u << 0) /* the guest has a Ringscope note */
#define CORE_FLAG_GIB_PAGES (1u << 1) /* the CPU has pages of 1 GiB */
#define CORE_FLAG_STALE     (1u << 2) /* the registers are of an earlier moment than RAM */
#define CORE_FLAG_FOREIGN   (1u << 3) /* nothing of shared/abi.h's address space is there */

struct core_machine {
	uint32_t version; /* CORE_VERSION or CORE_VERSION_FLAT */
	uint32_t size;    /* of this structure */
	uint64_t ram_offset,
	    ram_size; /* where RAM is in the file, its hole included; whole pages */
	uint64_t boot_root, free_start, kernel_cr3, user_cr3; /* as in struct look_moment */
	uint32_t flags;
	uint32_t maxphyaddr;
	uint32_t cpus;
	uint32_t end_reason;   /* enum end_reason ... */
	uint32_t exit_reason;  /* KVM's last */
	uint32_t guest_status; /* RS_PORT_EXIT's, if it came to that */
	int32_t signal;        /* that stopped the VMM; 0: none */
	uint32_t segment_count;
	struct rs_segment segments[RS_MAX_SEGMENTS];
	char when[48];   /* of which moment the registers are: "at the end" */
	char guest[256]; /* the guest's file, as it was given, cut */
};
_Static_assert(sizeof(struct core_machine) == 88 + RS_MAX_SEGMENTS * 32 + 48 + 256,
               "the layout has no holes");

#define CORE_MSRS 16
struct core_msr {
	uint32_t index, pad;
	uint64_t value;
};

/* KVM's own structures of x86-64, which are ABI of Linux. */
struct core_vcpu {
	uint32_t number;
	uint32_t msr_count; /* those that KVM could read */
	/* 1: `saved` are the registers that the guest had saved when it panicked, and NT_PRSTATUS
	 * has them too; `regs` are the vCPU's. */
	uint32_t has_saved;
	uint32_t pad;
	struct rs_regs saved;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct core_msr msrs[CORE_MSRS];
};
_Static_assert(sizeof(struct kvm_regs) == 144 && sizeof(struct kvm_sregs) == 312,
               "KVM's structures as of Linux 2.6.20 on x86-64");
_Static_assert(sizeof(struct core_vcpu) == 16 + 168 + 144 + 312 + CORE_MSRS * 16,
               "the layout has no holes");

#endif
