#include "vmm/boot/start.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "shared/desc.h"
#include "vmm/base/message.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum { APIC_BASE_X2APIC = 1 << 10, APIC_BASE_ENABLE = 1 << 11 }; /* IA32_APIC_BASE, SDM 11.12.1 */

/* ---- Segments and control registers -------------------------------------------------------- */

struct kvm_segment start_flat_segment(uint16_t selector, uint8_t type, bool code64)
{
	return (struct kvm_segment){
	    .limit = 0xffffffff,
	    .selector = selector,
	    .type = type,
	    .present = 1,
	    .s = 1,
	    .l = code64,
	    .db = !code64,
	    .g = 1,
	};
}

static void set_segments(struct kvm_sregs *sregs, unsigned cpu, bool noted)
{
	struct kvm_segment data = start_flat_segment(RS_SEL_KERNEL_DATA, DESC_DATA_RW, false);

	sregs->cs = start_flat_segment(RS_SEL_KERNEL_CODE, DESC_CODE_RX, true);
	sregs->ss = sregs->ds = sregs->es = sregs->fs = sregs->gs = data;
	sregs->gs.base = RS_ENTRY_CPU(cpu);
	sregs->ldt = (struct kvm_segment){.unusable = 1};
	sregs->tr = (struct kvm_segment){
	    .base = RS_ENTRY_CPU(cpu) + RS_ENTRY_TSS,
	    .limit = RS_TSS_LIMIT,
	    .selector = RS_SEL_TSS,
	    .type = DESC_TSS_BUSY,
	    .present = 1,
	};
	sregs->gdt = (struct kvm_dtable){
	    .base = RS_ENTRY_CPU(cpu) + RS_ENTRY_GDT,
	    .limit = RS_GDT_ENTRIES * 8 - 1,
	};
	/* Without a note nobody handles exceptions: the first one is a triple fault. */
	sregs->idt = (struct kvm_dtable){
	    .base = noted ? RS_ENTRY_IDT : 0,
	    .limit = noted ? PAGE_SIZE - 1 : 0,
	};
}

static uint64_t efer_value(const struct image *image)
{
	uint64_t efer = EFER_LME | EFER_LMA | EFER_NXE;

	return image->noted && image->note.syscall_entry ? efer | EFER_SCE : efer;
}

/* ---- CR4 and the features behind it -------------------------------------------------------- */

static const struct {
	uint64_t feature, cr4;
} cr4_features[] = {
    {RS_FEATURE_PCID, CR4_PCIDE}, {RS_FEATURE_SMEP, CR4_SMEP},         {RS_FEATURE_SMAP, CR4_SMAP},
    {RS_FEATURE_UMIP, CR4_UMIP},  {RS_FEATURE_FSGSBASE, CR4_FSGSBASE},
};

static uint64_t cr4_of_features(uint64_t features)
{
	uint64_t cr4 = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		if (features & cr4_features[i].feature)
			cr4 |= cr4_features[i].cr4;
	}
	return cr4;
}

static uint32_t choose_pti(struct kvm *kvm, const struct plan *plan, uint64_t features)
{
	if (plan->pti == PTI_OFF || (plan->pti == PTI_AUTO && kvm_rdcl_no(kvm)))
		return RS_PTI_OFF;
	return (features & RS_FEATURE_PCID) ? RS_PTI_PCID : RS_PTI_NOPCID;
}

/* What the guest starts with, of the features it may use. */
static uint64_t start_cr4(uint64_t base, uint64_t features, uint32_t pti_mode, bool noted)
{
	uint64_t cr4 = base | cr4_of_features(features);

	/* The kernel half is mapped global, which is right with one root only: with two, global
	 * pages would stay reachable for ring 3 in the TLB.  PGE off makes the bit mean nothing. */
	if (pti_mode == RS_PTI_OFF)
		cr4 |= CR4_PGE;
	if (pti_mode != RS_PTI_PCID)
		cr4 &= ~CR4_PCIDE;
	/* A guest without a note may be linked low and knows nothing of either. */
	if (!noted)
		cr4 &= ~(CR4_SMEP | CR4_SMAP);
	return cr4;
}

static bool try_cr4(const struct vcpu *vcpu, struct kvm_sregs *sregs, uint64_t cr4)
{
	sregs->cr4 = cr4;
	return kvm_try(vcpu->fd, KVM_SET_SREGS, sregs) == 0;
}

/* KVM refused `base` with all the features: finds those it takes.  False: not even `base`. */
static bool find_features(const struct vcpu *vcpu, struct kvm_sregs *sregs, uint64_t base,
                          uint64_t *features)
{
	uint64_t cr4 = base;

	if (errno != EINVAL || !try_cr4(vcpu, sregs, base))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		if (!(*features & cr4_features[i].feature))
			continue;
		if (try_cr4(vcpu, sregs, cr4 | cr4_features[i].cr4))
			cr4 |= cr4_features[i].cr4;
		else
			*features &= ~cr4_features[i].feature;
	}
	return true;
}

static bool refuse_sregs(const struct plan *plan)
{
	if (errno == EINVAL && plan->la57)
		return message_error(
		    "KVM: KVM_SET_SREGS refuses CR4.LA57 although CPUID offers it: leave "
		    "out --la57");
	return message_error("KVM: ioctl KVM_SET_SREGS: %s; the long-mode state was refused",
	                     strerror(errno));
}

/* Trying is the truth: KVMs offer in CPUID what they refuse in CR4. */
static bool set_sregs(const struct vcpu *vcpu, struct kvm *kvm, struct kvm_sregs *sregs, bool noted,
                      const struct plan *plan, uint32_t *pti_mode)
{
	uint64_t base = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (plan->la57 ? CR4_LA57 : 0);
	uint64_t features = kvm->host.cpuid_features;

	if (!plan->la57)
		features &= ~RS_FEATURE_LA57;
	if (plan->no_pcid)
		features &= ~RS_FEATURE_PCID;

	/* Everything at once first: it is what nearly every KVM takes, and often what the guest
	 * starts with. */
	uint64_t pge = choose_pti(kvm, plan, features) == RS_PTI_OFF ? CR4_PGE : 0;

	if (!try_cr4(vcpu, sregs, base | pge | cr4_of_features(features)) &&
	    !find_features(vcpu, sregs, base, &features))
		return refuse_sregs(plan);
	if (!(features & RS_FEATURE_PCID))
		features &= ~RS_FEATURE_INVPCID;
	kvm->host.features = features | (kvm->host.apic_khz ? RS_FEATURE_APIC : 0);
	*pti_mode = choose_pti(kvm, plan, features);

	uint64_t cr4 = start_cr4(base, features, *pti_mode, noted);

	return cr4 == sregs->cr4 || try_cr4(vcpu, sregs, cr4) || refuse_sregs(plan);
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

static void collect_msrs(struct kvm_msr_entry msrs[MSR_ROWS], unsigned cpu,
                         const struct image *image, bool amd)
{
	const struct rs_note none = {0};
	const struct rs_note *note = image->noted ? &image->note : &none;
	/* AMD's processors have no SYSENTER in long mode and keep 32 bits of its MSRs (APM volume
	 * 3, SYSENTER): they stay zero there. */
	uint64_t sysenter = amd ? 0 : note->sysenter_entry;
	const struct kvm_msr_entry list[MSR_ROWS] = {
	    {.index = MSR_EFER, .data = efer_value(image)},
	    {.index = MSR_STAR, .data = desc_star(RS_SEL_KERNEL_CODE, RS_SEL_USER_CODE32)},
	    {.index = MSR_LSTAR, .data = note->syscall_entry},
	    {.index = MSR_CSTAR, .data = note->compat_entry},
	    {.index = MSR_FMASK, .data = note->syscall_mask},
	    {.index = MSR_SYSENTER_CS, .data = sysenter ? RS_SEL_KERNEL_CODE : 0},
	    {.index = MSR_SYSENTER_ESP,
	     .data = sysenter ? RS_ENTRY_CPU(cpu) + RS_ENTRY_STACK_TOP : 0},
	    {.index = MSR_SYSENTER_EIP, .data = sysenter},
	    {.index = MSR_FS_BASE, .data = 0},
	    {.index = MSR_GS_BASE, .data = RS_ENTRY_CPU(cpu)},
	    {.index = MSR_KERNEL_GS_BASE, .data = 0},
	    {.index = MSR_PAT, .data = (uint64_t)PAT_RESET_HIGH << 32 | PAT_RESET_LOW},
	};

	memcpy(msrs, list, sizeof(list));
}

static bool set_msrs(const struct vcpu *vcpu, unsigned cpu, const struct image *image, bool amd)
{
	struct kvm_msr_entry msrs[MSR_ROWS], back[MSR_ROWS];
	int done;

	collect_msrs(msrs, cpu, image, amd);
	memcpy(back, msrs, sizeof(back));
	done = kvm_msrs(vcpu->fd, KVM_SET_MSRS, back, MSR_ROWS);
	if (done < 0)
		return message_error("KVM: ioctl KVM_SET_MSRS: %s", strerror(errno));
	if (done < MSR_ROWS)
		return message_error("KVM: KVM_SET_MSRS refuses %s (MSR 0x%" PRIx32 ") = 0x%llx",
		                     msr_name(msrs[done].index), msrs[done].index, msrs[done].data);
	done = kvm_msrs(vcpu->fd, KVM_GET_MSRS, back, MSR_ROWS);
	if (done < 0)
		return message_error("KVM: ioctl KVM_GET_MSRS: %s", strerror(errno));
	if (done < MSR_ROWS)
		return message_error("KVM: KVM_GET_MSRS cannot read %s (MSR 0x%" PRIx32 ") back",
		                     msr_name(msrs[done].index), msrs[done].index);
	for (size_t i = 0; i < MSR_ROWS; i++) {
		if (back[i].data != msrs[i].data)
			return message_error("KVM: %s (MSR 0x%" PRIx32 ") was set to 0x%llx"
			                     " and reads back as 0x%llx",
			                     msr_name(msrs[i].index), msrs[i].index, msrs[i].data,
			                     back[i].data);
	}
	return true;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static bool set_regs(const struct vcpu *vcpu, const struct vcpu_state *state)
{
	if (!vcpu->sync_regs)
		return vcpu_write(vcpu, state, STATE_REGS);
	/* Taken over by the first KVM_RUN: an ioctl less. */
	vcpu->run->s.regs.regs = state->regs;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	return true;
}

static void set_control(struct kvm_sregs *sregs, const struct start *start)
{
	sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs->cr3 = pt_cr3(&start->boot->kernel, 0, false);
	sregs->efer = efer_value(start->image);
	if (start->kvm->host.apic_khz)
		sregs->apic_base |= APIC_BASE_ENABLE | APIC_BASE_X2APIC;
}

/* CR4 of CPU 0 is found by trying; of the others it is known. */
static bool start_sregs(struct start *start, const struct vcpu *vcpu, unsigned number,
                        struct kvm_sregs *sregs)
{
	/* What is not set below (CR8, the rest of the APIC base) stays as KVM made it. */
	if (KVM_IOCTL(vcpu->fd, KVM_GET_SREGS, sregs) < 0)
		return false;
	set_segments(sregs, number, start->image->noted);
	set_control(sregs, start);
	if (number > 0)
		return try_cr4(vcpu, sregs, start->cr4) || refuse_sregs(start->plan);
	if (!set_sregs(vcpu, start->kvm, sregs, start->image->noted, start->plan, &start->pti_mode))
		return false;
	start->cr4 = sregs->cr4;
	return true;
}

static struct kvm_regs start_regs(const struct image *image, unsigned number)
{
	return (struct kvm_regs){
	    .rip = number == 0 ? image->entry : image->note.cpu_entry,
	    .rsp = RS_KERNEL_CPU(number) + RS_KERNEL_BOOT_STACK_TOP,
	    .rdi = RS_BOOT_PAGE,
	    .rsi = number,
	    .rflags = RFLAGS_FIXED,
	};
}

/* Without a known frequency the guest is told 0, and shows cycles only. */
static void know_tsc(struct host *host, const struct vcpu *vcpu)
{
	int khz = kvm_try(vcpu->fd, KVM_GET_TSC_KHZ, NULL);

	host->tsc_khz = khz > 0 ? (uint64_t)khz : 0;
}

bool start_cpu(struct start *start, const struct vcpu *vcpu, unsigned number,
               struct vcpu_state *state)
{
	struct host *host = &start->kvm->host;

	state->regs = start_regs(start->image, number);
	if (!start_sregs(start, vcpu, number, &state->sregs) ||
	    !set_msrs(vcpu, number, start->image, host->features & RS_FEATURE_AMD) ||
	    !set_regs(vcpu, state))
		return false;
	if (number == 0)
		know_tsc(host, vcpu);
	return true;
}
