#include "vmm/boot/pc_start.h"

#include "shared/desc.h"
#include "vmm/base/message.h"
#include "vmm/boot/pc_map.h"

static void set_segments(struct kvm_sregs *sregs, const struct pc_entry *entry)
{
	enum { TSS_LIMIT = 0x67 };

	sregs->cs = start_flat_segment(entry->code, DESC_CODE_RX, !entry->bits32);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss =
	    start_flat_segment(entry->code + 8, DESC_DATA_RW, false);
	/* Nothing is there; but a processor never runs without some TSS (SDM volume 3, 7.2.4). */
	sregs->tr = (struct kvm_segment){.limit = TSS_LIMIT, .type = DESC_TSS_BUSY, .present = 1};
	sregs->ldt = (struct kvm_segment){.unusable = 1};
	sregs->gdt = (struct kvm_dtable){.base = PC_GDT, .limit = 4 * 8 - 1};
	sregs->idt = (struct kvm_dtable){0};
}

static bool start_first(const struct start *start, const struct vcpu *vcpu,
                        struct vcpu_state *state)
{
	const struct pc_entry *entry = &start->boot->entry;
	struct kvm_sregs *sregs = &state->sregs;

	set_segments(sregs, entry);
	sregs->cr0 = CR0_PE | CR0_ET;
	if (!entry->bits32) {
		sregs->cr0 |= CR0_PG;
		sregs->cr3 = PC_TABLES;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
	state->regs = (struct kvm_regs){
	    .rip = entry->rip,
	    .rsi = entry->rsi,
	    .rax = entry->eax,
	    .rbx = entry->ebx,
	    .rsp = PC_GDT, /* below it the command line's room ends: for who pushes early */
	    .rflags = RFLAGS_FIXED,
	};
	return vcpu_write(vcpu, state, STATE_REGS | STATE_SREGS);
}

bool pc_start_cpu(struct start *start, const struct vcpu *vcpu, unsigned number,
                  struct vcpu_state *state)
{
	struct kvm *kvm = start->kvm;

	if (!kvm->host.apic_khz)
		return message_error("this KVM has no split irqchip (KVM_CAP_SPLIT_IRQCHIP, Linux "
		                     "4.4) with x2APICs, which a PC's kernel needs: try --box amd");
	if (!vcpu_read(vcpu, state, STATE_REGS | STATE_SREGS))
		return false;
	if (number > 0)
		return true;
	kvm->host.features |= RS_FEATURE_APIC;
	start->pti_mode = RS_PTI_OFF; /* what the kernel chooses itself is not known yet */
	return start_first(start, vcpu, state);
}
