/*
 * The private machine in which one probe runs: 2 MiB of RAM, one vCPU, long mode with all tables
 * in place, every exception reported, and a time limit, so that no answer can hang the program.
 *
 * All RAM is mapped twice, page by page, with the same leaf entries: at 0 for ring 3 and at
 * PROBE_KERNEL for ring 0.  The tables are written entry by entry and not by shared/pt.h, which
 * refuses just those entries that a probe wants to try.
 *
 * Unlike everywhere else a call that KVM refuses is an answer here and gives no message.
 */
#ifndef VMM_INSTRUMENTS_PROBE_PROBE_VM_H
#define VMM_INSTRUMENTS_PROBE_PROBE_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <linux/kvm.h>

#include "vmm/base/memory.h"
#include "vmm/kvm/kvm.h"

#define PROBE_RAM_SIZE (UINT64_C(2) << 20)
#define PROBE_KERNEL   UINT64_C(0xffffffff80000000)

/* Where things lie in RAM. */
enum {
	PROBE_PML4 = 0x1000,
	PROBE_PDPT = 0x2000,
	PROBE_PD = 0x3000,
	PROBE_PT = 0x4000,
	PROBE_PML5 = 0x5000, /* points to PROBE_PML4; used by a probe only */
	PROBE_GDT = 0x6000,
	PROBE_IDT = 0x7000,
	PROBE_TSS = 0x8000,
	PROBE_TEXT0 = 0x10000,
	PROBE_TEXT3 = 0x20000,
	PROBE_STACK0_TOP = 0x32000,
	PROBE_STACK_IST_TOP = 0x35000,
	PROBE_STACK3_TOP = 0x42000,
	PROBE_USER_DATA = 0x50000,   /* user, writable, no-execute */
	PROBE_KERNEL_DATA = 0x51000, /* supervisor, writable, no-execute */
	PROBE_OTHER_DATA = 0x52000,  /* the same */
};

/* Page-table entry bits that probes play with (SDM volume 3, table 4-20). */
#define PROBE_PTE_P  UINT64_C(1)
#define PROBE_PTE_W  UINT64_C(2)
#define PROBE_PTE_U  UINT64_C(4)
#define PROBE_PTE_PS UINT64_C(0x80)
#define PROBE_PTE_NX (UINT64_C(1) << 63)

enum probe_end {
	PROBE_DONE,    /* ring 0 reached its end */
	PROBE_ENTRY,   /* SYSCALL or SYSENTER arrived in ring 0 */
	PROBE_TICK,    /* OUT to PROBE_PORT_TICK */
	PROBE_TRAP,    /* an exception or interrupt arrived */
	PROBE_EXIT,    /* another exit: exit_reason */
	PROBE_REFUSED, /* KVM refused what the probe needs: error */
	PROBE_TIMEOUT, /* the time was up */
};

/* How a run ended, and the state then. */
struct probe_stop {
	enum probe_end end;
	int error;            /* PROBE_REFUSED: errno; PROBE_EXIT: 0 or KVM_RUN's errno */
	const char *call;     /* PROBE_REFUSED: which */
	uint32_t exit_reason; /* KVM's */
	uint64_t nanoseconds; /* inside KVM_RUN */
	struct kvm_regs regs;
	uint8_t cpl;
	/* PROBE_TRAP: as the processor pushed it */
	uint8_t vector;
	uint64_t code; /* error code; 0 for vectors that have none */
	uint64_t rip, cs, cr2;
};

struct probe_vm {
	struct memory memory;
	int vm, vcpu; /* -1: none */
	struct kvm_run *run;
	size_t run_size;
	timer_t timer;
	bool timed;
	/* What the next run starts with: set by probe_vm_start, then changed as the probe likes. */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	/* MSRs of the entry points; written at each run. */
	uint64_t lstar, sysenter_cs, sysenter_eip;
};

/* A machine that probe_vm_close accepts. */
#define PROBE_VM_CLOSED ((struct probe_vm){.vm = -1, .vcpu = -1})

/* Makes the machine; apic: with the local APIC in the kernel, in x2APIC mode.  False when it cannot
 * be made: stop says why (PROBE_REFUSED); probe_vm_close is due in both cases. */
bool probe_vm_open(struct probe_vm *vm, const struct kvm *kvm, bool apic, struct probe_stop *stop);
void probe_vm_close(struct probe_vm *vm);

/* Readies a guest of probe_guest.S: start, stack and segments of its ring. */
void probe_vm_start0(struct probe_vm *vm, const uint8_t *guest);
void probe_vm_start3(struct probe_vm *vm, const uint8_t *guest);
/* Loads the state; false when KVM refuses it, and stop says what. */
bool probe_vm_load(struct probe_vm *vm, struct probe_stop *stop);
/* Loads the state and runs until something is to be told; limit in nanoseconds. */
void probe_vm_run(struct probe_vm *vm, uint64_t limit, struct probe_stop *stop);
/* Goes on from a stop, with the state as it is. */
void probe_vm_continue(struct probe_vm *vm, uint64_t limit, struct probe_stop *stop);

/* The linear address at which ring 0 (ring 3) sees a guest. */
uint64_t probe_address0(const uint8_t *guest);
uint64_t probe_address3(const uint8_t *guest);
/* The leaf entry of a RAM address, and any 8 bytes of RAM; the address must lie in RAM. */
uint64_t *probe_leaf(struct probe_vm *vm, uint64_t gpa);
uint64_t *probe_word(struct probe_vm *vm, uint64_t gpa);
/* Rewrites the gate of a vector with this DPL. */
void probe_gate(struct probe_vm *vm, unsigned vector, unsigned dpl);

#endif
