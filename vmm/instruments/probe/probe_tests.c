#include "vmm/instruments/probe/probe_tests.h"

#include "shared/abi.h"
#include "shared/x86.h"
#include "vmm/instruments/probe/probe_asking.h"
#include "vmm/instruments/probe/probe_guest.h"
#include "vmm/instruments/probe/probe_questions.h"

/* ---- What a guest finds set up --------------------------------------------------------------- */

static void prepare_no_sce(struct probe_vm *vm)
{
	vm->sregs.efer &= ~EFER_SCE;
}

static void prepare_closed_int3(struct probe_vm *vm)
{
	probe_gate(vm, VECTOR_BP, 0);
}

static void prepare_smep(struct probe_vm *vm)
{
	vm->sregs.cr4 |= CR4_SMEP;
	vm->regs.rdi = probe_address3(probe_r3_end);
}

static void prepare_smap(struct probe_vm *vm)
{
	vm->sregs.cr4 |= CR4_SMAP;
	vm->regs.rdi = PROBE_USER_DATA;
}

static void prepare_umip(struct probe_vm *vm)
{
	vm->sregs.cr4 |= CR4_UMIP;
	vm->regs.rdi = PROBE_USER_DATA;
}

static void prepare_data(struct probe_vm *vm)
{
	vm->regs.rdi = PROBE_USER_DATA;
}

static void prepare_kernel_read(struct probe_vm *vm)
{
	vm->regs.rdi = PROBE_KERNEL + PROBE_KERNEL_DATA;
}

static void prepare_reserved(struct probe_vm *vm)
{
	/* Bit 51 lies above every physical address width in use but the largest. */
	*probe_leaf(vm, PROBE_USER_DATA) |= X86_BIT(51);
	vm->regs.rdi = PROBE_USER_DATA;
}

static void prepare_invpcid(struct probe_vm *vm)
{
	enum { ALL_CONTEXTS = 2 };

	vm->regs.rax = ALL_CONTEXTS;
	vm->regs.rdi = PROBE_KERNEL + PROBE_KERNEL_DATA;
}

static void prepare_gib(struct probe_vm *vm)
{
	*probe_word(vm, PROBE_PDPT + 8) = PROBE_PTE_P | PROBE_PTE_W | PROBE_PTE_U | PROBE_PTE_PS;
	vm->regs.rdi = (UINT64_C(1) << 30) + PROBE_USER_DATA;
}

static void prepare_la57(struct probe_vm *vm)
{
	vm->sregs.cr4 |= CR4_LA57;
	vm->sregs.cr3 = PROBE_PML5;
}

static void prepare_slot_256(struct probe_vm *vm)
{
	*probe_word(vm, PROBE_PML4 + 256 * 8) = *probe_word(vm, PROBE_PML4);
	vm->regs.rdi = UINT64_C(0xffff800000000000) + PROBE_USER_DATA;
}

/* ---- The questions ----------------------------------------------------------------------- */

#define GP_IDT(vector) ((vector)*8 + 2) /* error code that names a gate, SDM volume 3, 6.13 */

static const struct probe probes[] = {
    {
        .name = "syscall",
        .question = "SYSCALL from ring 3",
        .manual = "ring 0 at LSTAR",
        .meaning = "LSTAR must lie on a supervisor page, and the #PF handler complete the entry "
                   "that arrives as a fault of ring 3 at LSTAR. Never take RIP = LSTAR at CPL 3 "
                   "for the program's own.",
        .ask = probe_ask_syscall,
    },
    {
        .name = "syscall_sce",
        .question = "SYSCALL with EFER.SCE = 0",
        .manual = "#UD",
        .meaning = "EFER.SCE does not forbid SYSCALL here: LSTAR must be safe to arrive at always.",
        .guest = probe_r3_syscall,
        .ring = 3,
        .prepare = prepare_no_sce,
        .end = PROBE_TRAP,
        .vector = VECTOR_UD,
        .yes = "#UD",
    },
    {
        .name = "int_n",
        .question = "INT 80h, gate DPL 3",
        .manual = "vector 80h in ring 0",
        .meaning = "The #UD handler must decode CD nn, apply the gate's rules and go on as the "
                   "interrupt would have.",
        .guest = probe_r3_int80,
        .ring = 3,
        .end = PROBE_TRAP,
        .vector = 0x80,
        .yes = "vector 80h in ring 0",
    },
    {
        .name = "int_n_closed",
        .question = "INT 14, gate DPL 0",
        .manual = "#GP 0x72",
        .meaning = "A closed gate does not answer with the manual's error code: do not rest a "
                   "decision on it.",
        .guest = probe_r3_int14,
        .ring = 3,
        .end = PROBE_TRAP,
        .vector = VECTOR_GP,
        .code = GP_IDT(14),
        .yes = "#GP 0x72",
    },
    {
        .name = "int3",
        .question = "INT3, gate DPL 3",
        .manual = "#BP",
        .meaning = "Ring 3 cannot use INT3: debuggers need another instruction (UD2).",
        .guest = probe_r3_int3,
        .ring = 3,
        .end = PROBE_TRAP,
        .vector = VECTOR_BP,
        .yes = "#BP",
    },
    {
        .name = "int3_closed",
        .question = "INT3, gate DPL 0",
        .manual = "#GP 0x1a",
        .meaning = "The gate's DPL is not honoured as the manuals say: ring 3 may reach the #BP "
                   "handler whatever the gate says, or another error code comes.",
        .guest = probe_r3_int3,
        .ring = 3,
        .prepare = prepare_closed_int3,
        .end = PROBE_TRAP,
        .vector = VECTOR_GP,
        .code = GP_IDT(VECTOR_BP),
        .yes = "#GP 0x1a",
    },
    {
        .name = "int3_ring0",
        .question = "INT3 in ring 0",
        .manual = "#BP",
        .meaning = "A kernel must not use INT3 or INT n: the run ends there. UD2 works.",
        .guest = probe_r0_int3,
        .ring = 0,
        .end = PROBE_TRAP,
        .vector = VECTOR_BP,
        .yes = "#BP",
    },
    {
        .name = "sysenter",
        .question = "SYSENTER from 64-bit code",
        .manual = "",
        .meaning = "SYSENTER is no way in here: leave SYSENTER_CS at 0.",
        .ask = probe_ask_sysenter,
    },
    {
        .name = "io_bitmap",
        .question = "I/O bitmap in ring 3",
        .manual = "only open ports",
        .meaning = "Ports cannot be given to ring 3 one by one.",
        .ask = probe_ask_io_bitmap,
    },
    {
        .name = "user_supervisor",
        .question = "Ring 3 reads a kernel page",
        .manual = "#PF 0x5",
        .meaning = "The wall between the rings does not hold: do not use this host.",
        .guest = probe_r3_read,
        .ring = 3,
        .prepare = prepare_kernel_read,
        .end = PROBE_TRAP,
        .vector = VECTOR_PF,
        .code = PF_P | PF_U,
        .yes = "#PF 0x5",
    },
    {
        .name = "nx",
        .question = "Ring 3 fetches from an NX page",
        .manual = "#PF 0x15",
        .meaning = "No page can be kept from being executed.",
        .guest = probe_r3_jump,
        .ring = 3,
        .prepare = prepare_data,
        .end = PROBE_TRAP,
        .vector = VECTOR_PF,
        .code = PF_P | PF_U | PF_ID,
        .yes = "#PF 0x15",
        .needs = RS_FEATURE_NX,
    },
    {
        .name = "reserved_bits",
        .question = "A reserved bit in an entry",
        .manual = "#PF 0xd",
        .meaning = "A #PF handler must take bit 3 of the error code for a reserved bit whatever "
                   "bit 0 says.",
        .guest = probe_r3_read,
        .ring = 3,
        .prepare = prepare_reserved,
        .end = PROBE_TRAP,
        .vector = VECTOR_PF,
        .code = PF_P | PF_U | PF_RSVD,
        .yes = "#PF 0xd",
    },
    {
        .name = "wp",
        .question = "CR0.WP: ring 0 writes read-only",
        .manual = "#PF 0x3; WP = 0: writes",
        .meaning = "Read-only pages do not hold against ring 0.",
        .ask = probe_ask_wp,
    },
    {
        .name = "smep",
        .question = "SMEP: ring 0 runs a user page",
        .manual = "#PF 0x11",
        .meaning = "Ring 0 is not kept from running a user's code: leave CR4.SMEP off.",
        .guest = probe_r0_jump,
        .ring = 0,
        .prepare = prepare_smep,
        .end = PROBE_TRAP,
        .vector = VECTOR_PF,
        .code = PF_P | PF_ID,
        .yes = "#PF 0x11",
        .needs = RS_FEATURE_SMEP,
    },
    {
        .name = "smap",
        .question = "SMAP: ring 0 reads a user page",
        .manual = "#PF 0x1",
        .meaning = "Ring 0 is not kept from a user's data: leave CR4.SMAP off.",
        .guest = probe_r0_read,
        .ring = 0,
        .prepare = prepare_smap,
        .end = PROBE_TRAP,
        .vector = VECTOR_PF,
        .code = PF_P,
        .yes = "#PF 0x1",
        .needs = RS_FEATURE_SMAP,
    },
    {
        .name = "stac",
        .question = "STAC: ring 0 reads it with AC",
        .manual = "reads",
        .meaning =
            "STAC and CLAC cannot run in ring 0: leave SMAP off, set RFLAGS.AC with POPF, or "
            "let the VMM step over them.",
        .guest = probe_r0_stac,
        .ring = 0,
        .prepare = prepare_smap,
        .end = PROBE_DONE,
        .yes = "reads",
        .needs = RS_FEATURE_SMAP,
    },
    {
        .name = "umip",
        .question = "UMIP: SGDT in ring 3",
        .manual = "#GP",
        .meaning = "Ring 3 can read where the descriptor tables lie.",
        .guest = probe_r3_sgdt,
        .ring = 3,
        .prepare = prepare_umip,
        .end = PROBE_TRAP,
        .vector = VECTOR_GP,
        .yes = "#GP",
        .needs = RS_FEATURE_UMIP,
    },
    {
        .name = "pcid",
        .question = "CR4.PCIDE, CR3 bit 63",
        .manual = "load may keep TLB",
        .meaning = "Do without PCIDs: each CR3 load empties the TLB.",
        .ask = probe_ask_pcid,
        .needs = RS_FEATURE_PCID,
    },
    {
        .name = "invpcid",
        .question = "INVPCID in ring 0",
        .manual = "works",
        .meaning = "INVPCID cannot run: flush by loading CR3 or toggling CR4.PGE.",
        .guest = probe_r0_invpcid,
        .ring = 0,
        .prepare = prepare_invpcid,
        .end = PROBE_DONE,
        .yes = "works",
        .needs = RS_FEATURE_INVPCID,
    },
    {
        .name = "gib_pages",
        .question = "1 GiB pages",
        .manual = "work",
        .meaning = "Map with 2 MiB pages at most.",
        .guest = probe_r0_read,
        .ring = 0,
        .prepare = prepare_gib,
        .end = PROBE_DONE,
        .yes = "work",
        .needs = RS_FEATURE_GIB_PAGES,
    },
    {
        .name = "la57",
        .question = "5-level paging",
        .manual = "works",
        .meaning = "Use 4 levels.",
        .guest = probe_r0_done,
        .ring = 0,
        .prepare = prepare_la57,
        .end = PROBE_DONE,
        .yes = "works",
        .needs = RS_FEATURE_LA57,
    },
    {
        .name = "slot_256",
        .question = "Ring 3 at ffff8000_00000000",
        .manual = "as anywhere else",
        .meaning = "Top-level slot 256 is the host's own for ring 3: map nothing there.",
        .guest = probe_r3_read,
        .ring = 3,
        .prepare = prepare_slot_256,
        .end = PROBE_TRAP,
        .vector = VECTOR_UD, /* the UD2 at its end */
        .yes = "as anywhere else",
    },
    {
        .name = "tables_changed",
        .question = "VMM changes a PTE and CR3",
        .manual = "seen",
        .meaning = "After changing page tables from outside, delete the memory slot and set it "
                   "again, or the guest runs on the old ones.",
        .ask = probe_ask_tables_changed,
    },
    {
        .name = "fsgsbase",
        .question = "CR4.FSGSBASE: RDFSBASE in ring 3",
        .manual = "works; bit clear: #UD",
        .meaning =
            "Ring 3 may change its FS and GS bases whatever CR4 says: never take the GS base "
            "for the kernel's own without SWAPGS.",
        .ask = probe_ask_fsgsbase,
        .needs = RS_FEATURE_FSGSBASE,
    },
    {
        .name = "lapic_timer",
        .question = "Local APIC timer (x2APIC)",
        .manual = "interrupts HLT, ring 3",
        .meaning = "There is no timer in the guest: the VMM must interrupt it.",
        .ask = probe_ask_lapic_timer,
        .apic = true,
    },
    {
        .name = "nmi",
        .question = "KVM_NMI into ring 3",
        .manual = "vector 2",
        .meaning = "A guest that spins cannot be asked what it does.",
        .ask = probe_ask_nmi,
    },
    {
        .name = "step_ring0",
        .question = "KVM single step, ring 0",
        .manual = "each instruction",
        .meaning = "A debugger cannot step through ring 0 by KVM_GUESTDBG_SINGLESTEP.",
        .ask = probe_ask_step,
        .ring = 0,
    },
    {
        .name = "step_ring3",
        .question = "KVM single step, ring 3",
        .manual = "each instruction",
        .meaning = "Step ring 3 with RFLAGS.TF set by the VMM and the guest's own #DB handler.",
        .ask = probe_ask_step,
        .ring = 3,
    },
    {
        .name = "breakpoint_ring0",
        .question = "KVM hardware breakpoint, ring 0",
        .manual = "stops there",
        .meaning = "A debugger must plant HLT or OUT in ring 0 instead, or step.",
        .ask = probe_ask_breakpoint,
        .ring = 0,
    },
    {
        .name = "breakpoint_ring3",
        .question = "KVM hardware breakpoint, ring 3",
        .manual = "stops there",
        .meaning = "A debugger must plant UD2, or an OUT that the I/O bitmap allows, in ring 3 "
                   "instead.",
        .ask = probe_ask_breakpoint,
        .ring = 3,
    },
    {
        .name = "shutdown",
        .question = "Triple fault",
        .manual = "shutdown",
        .meaning = "A guest's death is not told as KVM_EXIT_SHUTDOWN.",
        .ask = probe_ask_shutdown,
    },
    {
        .name = "tsc",
        .question = "RDTSC rate",
        .manual = "constant",
        .meaning = "The time stamp counter does not run at the rate KVM names: cycles measured in "
                   "the guest are not time.",
        .ask = probe_ask_tsc,
    },
    {
        .name = "ring_speed",
        .question = "One instruction of a loop",
        .manual = "the same in each ring",
        .meaning = "Ring 0 is interpreted: keep the kernel short, in plain integer instructions, "
                   "and take no cycle count of a crossing for the hardware's.",
        .ask = probe_ask_ring_speed,
    },
    {
        .name = "exit_ring0",
        .question = "Exit and back, OUT in ring 0",
        .manual = "",
        .meaning = "",
        .ask = probe_ask_exit0,
    },
    {
        .name = "exit_ring3",
        .question = "Exit and back, OUT in ring 3",
        .manual = "",
        .meaning = "",
        .ask = probe_ask_exit3,
    },
};

const size_t probe_count = sizeof(probes) / sizeof(probes[0]);

const char *probe_name(size_t n)
{
	return probes[n].name;
}

const char *probe_question(size_t n)
{
	return probes[n].question;
}

void probe_ask(size_t n, const struct kvm *kvm, struct probe_result *result)
{
	struct asking asking = {.probe = &probes[n], .kvm = kvm, .result = result};

	*result = (struct probe_result){.manual = probes[n].manual, .meaning = probes[n].meaning};
	asking_do(&asking);
}
