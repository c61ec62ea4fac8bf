/*
 * The state of one vCPU at one moment, as a value: what kvm/vcpu.h reads and writes, and what the
 * engine, a core, a report of a death and every instrument look at.  Stands alone: no KVM call.
 */
#ifndef VMM_BASE_STATE_H
#define VMM_BASE_STATE_H

#include <stdint.h>

#include <linux/kvm.h>

/* The MSRs of the boundary that struct kvm_sregs does not have, in the order of vcpu_state.msrs. */
enum state_msr {
	STATE_STAR,
	STATE_LSTAR,
	STATE_CSTAR,
	STATE_FMASK,
	STATE_KERNEL_GS_BASE,
	STATE_SYSENTER_CS,
	STATE_SYSENTER_ESP,
	STATE_SYSENTER_EIP,
	STATE_PAT,
	STATE_MSRS,
};
/* Of each its number and its name in the manuals (SDM volume 4, APM volume 2, appendix A); behind
 * them those that kvm_sregs has too: EFER, FS_BASE, GS_BASE. */
struct msr_row {
	uint32_t index;
	const char *name;
};
enum { MSR_ROWS = STATE_MSRS + 3 };
extern const struct msr_row msr_table[MSR_ROWS];
/* "LSTAR"; NULL for one that is not in the table. */
const char *msr_name(uint32_t index);

/* Parts of the state. */
enum {
	STATE_REGS = 1,
	STATE_SREGS = 2,
	STATE_EVENTS = 4,
	STATE_FPU = 8,
	STATE_DEBUG = 16,
	STATE_ALL_MSRS = 32,
	/* What decides what the guest does next. */
	STATE_BASIC = STATE_REGS | STATE_SREGS | STATE_EVENTS,
};

struct vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_fpu fpu;
	struct kvm_debugregs debugregs;
	uint64_t msrs[STATE_MSRS];
	uint32_t msrs_known; /* bit per MSR: KVM has it; the others are 0 */
};

/* The ring, 0 to 3 (SDM volume 3, 5.5: SS.DPL). */
static inline unsigned state_cpl(const struct vcpu_state *state)
{
	return state->sregs.ss.dpl & 3;
}

#endif
