/* A vCPU's first state, told to a KVM that keeps it, and to some that take less than they offer. */
#include <errno.h>
#include <string.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/boot/start.h"

#define ALL_CR4 (CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_FSGSBASE)
#define ALWAYS  (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define ALL                                                                                        \
	(RS_FEATURE_PCID | RS_FEATURE_INVPCID | RS_FEATURE_SMEP | RS_FEATURE_SMAP |                \
	 RS_FEATURE_UMIP | RS_FEATURE_FSGSBASE | RS_FEATURE_NX)
#define ENTRY       (RS_IMAGE_BASE + 0x1000)
#define PAT_INITIAL UINT64_C(0x0007040600070406)

static struct live_machine *live;
static struct machine *machine;
static struct fake_vcpu *vcpu;
static struct start from;

static void setup(void)
{
	live = live_machine_make();
	machine = &live->machine;
	vcpu = &fake_kvm.vcpus[0];
	fake_kvm.tsc_khz = 2600000;
	machine->kvm.host.cpuid_features = ALL;
	machine->boot.kernel =
	    (struct pt){.root = 0x5000, .geo = {.levels = 4, .maxphyaddr = 40, .nx = true}};
	machine->image.entry = ENTRY;
	machine->image.noted = true;
	machine->image.note = (struct rs_note){
	    .syscall_entry = ENTRY + 1,
	    .compat_entry = ENTRY + 2,
	    .sysenter_entry = ENTRY + 3,
	    .syscall_mask = 0x47700,
	    .cpu_entry = ENTRY + 4,
	};
	live->plan.pti = PTI_ON;
	from = (struct start){.plan = &live->plan,
	                      .image = &machine->image,
	                      .boot = &machine->boot,
	                      .kvm = &machine->kvm};
	/* What is nobody's to set stays. */
	vcpu->sregs.cr8 = 7;
	vcpu->sregs.apic_base = 0xfee00000;
}

static bool try_start(unsigned number)
{
	struct cpu *cpu = &machine->cpus[number];
	bool good = start_cpu(&from, &cpu->vcpu, number, &cpu->last);

	machine->pti_mode = from.pti_mode;
	return good;
}

static void start(unsigned number)
{
	ck_assert(try_start(number));
}

/* ---- Registers ------------------------------------------------------------------------------- */

static void is_flat(const struct kvm_segment *segment, uint16_t selector, uint8_t type, bool code)
{
	ck_assert_uint_eq(segment->selector, selector);
	ck_assert_uint_eq(segment->type, type);
	ck_assert_uint_eq(segment->limit, 0xffffffff);
	ck_assert_uint_eq(segment->l, code);
	ck_assert_uint_eq(segment->db, !code);
	ck_assert_uint_eq(segment->dpl, 0);
	ck_assert(segment->present && segment->s && segment->g && !segment->unusable);
}

START_TEST(segments)
{
	const struct kvm_sregs *sregs = &vcpu->sregs;

	start(0);
	is_flat(&sregs->cs, 0x08, 0xb, true);
	is_flat(&sregs->ss, 0x10, 0x3, false);
	is_flat(&sregs->ds, 0x10, 0x3, false);
	is_flat(&sregs->es, 0x10, 0x3, false);
	is_flat(&sregs->fs, 0x10, 0x3, false);
	is_flat(&sregs->gs, 0x10, 0x3, false);
	ck_assert_uint_eq(sregs->gs.base, RS_ENTRY_CPU(0));
	ck_assert_uint_eq(sregs->fs.base | sregs->ds.base, 0);
	ck_assert(sregs->ldt.unusable);
	ck_assert_uint_eq(sregs->tr.base, RS_ENTRY_CPU(0) + RS_ENTRY_TSS);
	ck_assert_uint_eq(sregs->tr.limit, 104 + 0x600 / 8);
	ck_assert_uint_eq(sregs->tr.selector, 0x40);
	ck_assert_uint_eq(sregs->tr.type, 11);
	ck_assert(sregs->tr.present && !sregs->tr.s && !sregs->tr.g);
	ck_assert_uint_eq(sregs->gdt.base, RS_ENTRY_CPU(0) + RS_ENTRY_GDT);
	ck_assert_uint_eq(sregs->gdt.limit, 32 * 8 - 1);
	ck_assert_uint_eq(sregs->idt.base, RS_ENTRY_IDT);
	ck_assert_uint_eq(sregs->idt.limit, 4095);
}
END_TEST

START_TEST(control_registers)
{
	const struct kvm_sregs *sregs = &vcpu->sregs;

	start(0);
	ck_assert_uint_eq(sregs->cr0, CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
	ck_assert_uint_eq(sregs->cr3, 0x5000);
	ck_assert_uint_eq(sregs->efer, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	ck_assert_uint_eq(sregs->cr8, 7);
	ck_assert_uint_eq(sregs->apic_base, 0xfee00000);
}
END_TEST

START_TEST(general_registers)
{
	start(0);
	ck_assert_uint_eq(vcpu->regs.rip, ENTRY);
	ck_assert_uint_eq(vcpu->regs.rsp, RS_KERNEL_CPU(0) + 0x7000);
	ck_assert_uint_eq(vcpu->regs.rdi, RS_BOOT_PAGE);
	ck_assert_uint_eq(vcpu->regs.rsi, 0);
	ck_assert_uint_eq(vcpu->regs.rflags, 2);
	ck_assert_mem_eq(&machine->cpus[0].last.regs, &vcpu->regs, sizeof(vcpu->regs));
	ck_assert_mem_eq(&machine->cpus[0].last.sregs, &vcpu->sregs, sizeof(vcpu->sregs));
}
END_TEST

/* Where KVM_RUN takes them they cost no ioctl. */
START_TEST(registers_that_wait_for_the_first_run)
{
	const struct kvm_run *run = &live->pages[0].run;

	machine->cpus[0].vcpu.sync_regs = true;
	start(0);
	ck_assert_uint_eq(run->kvm_dirty_regs, KVM_SYNC_X86_REGS);
	ck_assert_uint_eq(run->s.regs.regs.rip, ENTRY);
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_REGS), 0);
}
END_TEST

/* A guest without a note gets no handlers, and CR4 bits that it may not know stay clear. */
START_TEST(a_guest_without_a_note)
{
	const struct kvm_sregs *sregs = &vcpu->sregs;

	machine->image.noted = false;
	start(0);
	ck_assert_uint_eq(sregs->idt.base, 0);
	ck_assert_uint_eq(sregs->idt.limit, 0);
	ck_assert_uint_eq(sregs->efer, EFER_LME | EFER_LMA | EFER_NXE);
	ck_assert_uint_eq(sregs->cr4, ALWAYS | (ALL_CR4 & ~(CR4_SMEP | CR4_SMAP)));
	ck_assert_uint_eq(fake_kvm_msr(0, MSR_LSTAR), 0);
	ck_assert_uint_eq(fake_kvm_msr(0, MSR_SYSENTER_EIP), 0);
}
END_TEST

START_TEST(apics_are_enabled_where_there_are_any)
{
	machine->kvm.host.apic_khz = 1000000;
	start(0);
	ck_assert_uint_eq(vcpu->sregs.apic_base, 0xfee00c00);
	ck_assert_uint_eq(machine->kvm.host.features, ALL | RS_FEATURE_APIC);
}
END_TEST

START_TEST(the_other_cpus)
{
	const struct fake_vcpu *other = &fake_kvm.vcpus[1];

	fake_kvm.cr4_refused = CR4_UMIP;
	start(0);
	start(1);
	ck_assert_uint_eq(other->regs.rip, ENTRY + 4);
	ck_assert_uint_eq(other->regs.rsi, 1);
	ck_assert_uint_eq(other->regs.rsp, RS_KERNEL_CPU(1) + 0x7000);
	ck_assert_uint_eq(other->sregs.gs.base, RS_ENTRY_CPU(1));
	ck_assert_uint_eq(other->sregs.tr.base, RS_ENTRY_CPU(1) + RS_ENTRY_TSS);
	ck_assert_uint_eq(other->sregs.gdt.base, RS_ENTRY_CPU(1) + RS_ENTRY_GDT);
	ck_assert_uint_eq(other->sregs.idt.base, RS_ENTRY_IDT);
	ck_assert_uint_eq(other->sregs.cr4, vcpu->sregs.cr4);
	ck_assert_uint_eq(fake_kvm_msr(1, MSR_GS_BASE), RS_ENTRY_CPU(1));
	ck_assert_uint_eq(fake_kvm_msr(1, MSR_SYSENTER_ESP), RS_ENTRY_CPU(1) + RS_ENTRY_STACK_TOP);
	ck_assert_uint_eq(fake_kvm_count(KVM_GET_TSC_KHZ), 1);
}
END_TEST

START_TEST(a_tsc_of_no_known_frequency)
{
	fake_kvm.tsc_khz = _i ? -1 : 2600000;
	start(0);
	ck_assert_uint_eq(machine->kvm.host.tsc_khz, _i ? 0 : 2600000);
}
END_TEST

/* ---- CR4, KPTI, features --------------------------------------------------------------------- */

/* CR4.PGE only with one root: under KPTI a global page of the kernel would stay in the TLB. */
START_TEST(pti_decides)
{
	static const struct {
		enum pti_choice pti;
		bool rdcl_no, no_pcid;
		uint32_t mode;
		uint64_t cr4;
	} want[] = {
	    {PTI_ON, false, false, RS_PTI_PCID, ALL_CR4},
	    {PTI_ON, true, false, RS_PTI_PCID, ALL_CR4},
	    {PTI_ON, false, true, RS_PTI_NOPCID, ALL_CR4 & ~CR4_PCIDE},
	    {PTI_OFF, false, false, RS_PTI_OFF, (ALL_CR4 & ~CR4_PCIDE) | CR4_PGE},
	    {PTI_OFF, true, true, RS_PTI_OFF, (ALL_CR4 & ~CR4_PCIDE) | CR4_PGE},
	    {PTI_AUTO, true, false, RS_PTI_OFF, (ALL_CR4 & ~CR4_PCIDE) | CR4_PGE},
	    {PTI_AUTO, false, false, RS_PTI_PCID, ALL_CR4},
	    {PTI_AUTO, false, true, RS_PTI_NOPCID, ALL_CR4 & ~CR4_PCIDE},
	};

	live->plan.pti = want[_i].pti;
	live->plan.no_pcid = want[_i].no_pcid;
	machine->kvm.host.rdcl_no_known = true;
	machine->kvm.host.rdcl_no = want[_i].rdcl_no;
	start(0);
	ck_assert_uint_eq(machine->pti_mode, want[_i].mode);
	ck_assert_uint_eq(vcpu->sregs.cr4, ALWAYS | want[_i].cr4);
	ck_assert_uint_eq(machine->cpus[0].last.sregs.cr4, vcpu->sregs.cr4);
	ck_assert_uint_eq(machine->kvm.host.features,
	                  want[_i].no_pcid ? ALL & ~(RS_FEATURE_PCID | RS_FEATURE_INVPCID) : ALL);
}
END_TEST

/* What the CPU says of Meltdown is asked of KVM once, and only where it decides. */
START_TEST(pti_auto_asks)
{
	const bool amd = _i == 2;

	live->plan.pti = PTI_AUTO;
	machine->kvm.host.features = amd ? RS_FEATURE_AMD : 0;
	if (_i == 1) {
		vcpu->msr_count = 1;
		vcpu->msrs[0] = (struct kvm_msr_entry){.index = 0x10a, .data = 1};
	}
	start(0);
	ck_assert_uint_eq(machine->pti_mode, _i ? RS_PTI_OFF : RS_PTI_PCID);
	ck_assert(machine->kvm.host.rdcl_no_known);
}
END_TEST

START_TEST(what_kvm_refuses_is_left_out)
{
	static const struct {
		uint64_t cr4, features;
	} refused[] = {
	    {CR4_UMIP, RS_FEATURE_UMIP},
	    {CR4_SMEP, RS_FEATURE_SMEP},
	    {CR4_SMAP, RS_FEATURE_SMAP},
	    {CR4_FSGSBASE, RS_FEATURE_FSGSBASE},
	    {CR4_PCIDE, RS_FEATURE_PCID | RS_FEATURE_INVPCID},
	    {CR4_UMIP | CR4_SMAP, RS_FEATURE_UMIP | RS_FEATURE_SMAP},
	    {ALL_CR4, ALL & ~RS_FEATURE_NX},
	};

	fake_kvm.cr4_refused = refused[_i].cr4;
	start(0);
	ck_assert_uint_eq(vcpu->sregs.cr4, ALWAYS | (ALL_CR4 & ~refused[_i].cr4));
	ck_assert_uint_eq(machine->kvm.host.features, ALL & ~refused[_i].features);
	ck_assert_uint_eq(machine->pti_mode,
	                  refused[_i].cr4 & CR4_PCIDE ? RS_PTI_NOPCID : RS_PTI_PCID);
}
END_TEST

START_TEST(what_is_not_offered_is_not_tried)
{
	machine->kvm.host.cpuid_features = RS_FEATURE_NX | RS_FEATURE_SMEP;
	start(0);
	ck_assert_uint_eq(vcpu->sregs.cr4, ALWAYS | CR4_SMEP);
	ck_assert_uint_eq(machine->kvm.host.features, RS_FEATURE_NX | RS_FEATURE_SMEP);
}
END_TEST

/* The ordinary start takes one KVM_SET_SREGS: each costs. */
START_TEST(one_try_is_enough)
{
	start(0);
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_SREGS), 1);
}
END_TEST

START_TEST(five_levels)
{
	machine->kvm.host.cpuid_features |= RS_FEATURE_LA57;
	live->plan.la57 = _i;
	start(0);
	ck_assert_uint_eq(vcpu->sregs.cr4 & CR4_LA57, _i ? CR4_LA57 : 0);
	ck_assert_uint_eq(machine->kvm.host.features & RS_FEATURE_LA57, _i ? RS_FEATURE_LA57 : 0);
}
END_TEST

/* ---- MSRs ------------------------------------------------------------------------------------ */

START_TEST(msrs)
{
	start(0);
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000080), 0xd01);
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000081), UINT64_C(0x001b0008) << 32);
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000082), ENTRY + 1);
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000083), ENTRY + 2);
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000084), 0x47700);
	ck_assert_uint_eq(fake_kvm_msr(0, 0x174), 8);
	ck_assert_uint_eq(fake_kvm_msr(0, 0x175), RS_ENTRY_CPU(0) + RS_ENTRY_STACK_TOP);
	ck_assert_uint_eq(fake_kvm_msr(0, 0x176), ENTRY + 3);
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000100), 0);
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000101), RS_ENTRY_CPU(0));
	ck_assert_uint_eq(fake_kvm_msr(0, 0xc0000102), 0);
	ck_assert_uint_eq(fake_kvm_msr(0, 0x277), PAT_INITIAL);
	ck_assert_uint_eq(vcpu->msr_count, 12);
}
END_TEST

START_TEST(no_sysenter_where_there_is_none)
{
	if (_i)
		machine->image.note.sysenter_entry = 0;
	else
		machine->kvm.host.cpuid_features |= RS_FEATURE_AMD;
	start(0);
	ck_assert_uint_eq(fake_kvm_msr(0, MSR_SYSENTER_CS), 0);
	ck_assert_uint_eq(fake_kvm_msr(0, MSR_SYSENTER_ESP), 0);
	ck_assert_uint_eq(fake_kvm_msr(0, MSR_SYSENTER_EIP), 0);
	ck_assert_uint_eq(fake_kvm_msr(0, MSR_LSTAR), ENTRY + 1);
}
END_TEST

START_TEST(no_syscall_without_an_entry)
{
	machine->image.note.syscall_entry = 0;
	start(0);
	ck_assert_uint_eq(vcpu->sregs.efer & EFER_SCE, 0);
	ck_assert_uint_eq(fake_kvm_msr(0, MSR_EFER) & EFER_SCE, 0);
}
END_TEST

/* ---- KVMs that refuse ------------------------------------------------------------------------ */

START_TEST(a_kvm_that_fails)
{
	static const struct {
		unsigned long request;
		unsigned after;
		int error;
	} fails[] = {
	    {KVM_GET_SREGS, 0, EIO}, {KVM_SET_SREGS, 0, EIO}, {KVM_SET_MSRS, 0, EIO},
	    {KVM_GET_MSRS, 0, EIO},  {KVM_SET_REGS, 0, EIO},
	};

	fake_kvm.fails = fails[_i].request;
	fake_kvm.fails_after = fails[_i].after;
	fake_kvm.error = fails[_i].error;
	ck_assert(!try_start(0));
}
END_TEST

/* An error that is not about the bits is not searched for among them. */
START_TEST(only_einval_is_about_bits)
{
	fake_kvm.fails = KVM_SET_SREGS;
	fake_kvm.error = EIO;
	ck_assert(!try_start(0));
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_SREGS), 1);
}
END_TEST

START_TEST(not_even_the_base)
{
	fake_kvm.cr4_refused = CR4_PAE;
	ck_assert(!try_start(0));
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_SREGS), 2);
}
END_TEST

START_TEST(msrs_that_do_not_stay)
{
	switch (_i) {
	case 0:
		fake_kvm.msr_refused = MSR_CSTAR;
		break;
	case 1:
		fake_kvm.msr_unreadable = MSR_PAT;
		break;
	case 2:
		fake_kvm.msr_forgets = MSR_EFER;
		break;
	default:
		fake_kvm.msr_forgets = MSR_PAT; /* the last one */
		break;
	}
	ck_assert(!try_start(0));
}
END_TEST

Suite *start_suite(void)
{
	Suite *suite = suite_create("start");
	TCase *tests = tcase_create("start");

	tcase_add_checked_fixture(tests, setup, live_machine_free);
	tcase_add_test(tests, segments);
	tcase_add_test(tests, control_registers);
	tcase_add_test(tests, general_registers);
	tcase_add_test(tests, registers_that_wait_for_the_first_run);
	tcase_add_test(tests, a_guest_without_a_note);
	tcase_add_test(tests, apics_are_enabled_where_there_are_any);
	tcase_add_test(tests, the_other_cpus);
	tcase_add_loop_test(tests, a_tsc_of_no_known_frequency, 0, 2);
	tcase_add_loop_test(tests, pti_decides, 0, 8);
	tcase_add_loop_test(tests, pti_auto_asks, 0, 3);
	tcase_add_loop_test(tests, what_kvm_refuses_is_left_out, 0, 7);
	tcase_add_test(tests, what_is_not_offered_is_not_tried);
	tcase_add_test(tests, one_try_is_enough);
	tcase_add_loop_test(tests, five_levels, 0, 2);
	tcase_add_test(tests, msrs);
	tcase_add_loop_test(tests, no_sysenter_where_there_is_none, 0, 2);
	tcase_add_test(tests, no_syscall_without_an_entry);
	tcase_add_loop_test(tests, a_kvm_that_fails, 0, 5);
	tcase_add_test(tests, only_einval_is_about_bits);
	tcase_add_test(tests, not_even_the_base);
	tcase_add_loop_test(tests, msrs_that_do_not_stay, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
