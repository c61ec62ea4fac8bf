/* Questions of --probe that take more than one guest and one end: entries, ports, paging. */
#include "vmm/instruments/probe/probe_questions.h"

#include <inttypes.h>

#include "shared/abi.h"
#include "shared/x86.h"
#include "vmm/base/names.h"
#include "vmm/instruments/probe/probe_guest.h"

/* ---- Entries ----------------------------------------------------------------------------- */

void probe_ask_syscall(struct asking *asking)
{
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;

	probe_vm_start3(vm, probe_r3_syscall);
	probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
	if (stop.end == PROBE_ENTRY && stop.cpl == 0)
		asking_answer(asking, PROBE_AS_MANUAL, "ring 0 at LSTAR");
	else if (stop.end == PROBE_TRAP && stop.rip == vm->lstar && stop.cpl == 3)
		asking_answer(asking, PROBE_DIFFERS, "stays in ring 3, %s 0x%" PRIx64,
		              vector_name(stop.vector), stop.code);
	else
		asking_unexpected(asking, &stop);
}

void probe_ask_sysenter(struct asking *asking)
{
	bool intel = asking->kvm->host.cpuid_features & RS_FEATURE_INTEL;
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;

	asking->result->manual = intel ? "Intel: ring 0 at its EIP" : "AMD, long mode: #UD";
	probe_vm_start3(vm, probe_r3_sysenter);
	probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
	if (intel && stop.end == PROBE_ENTRY && stop.cpl == 0)
		asking_answer(asking, PROBE_AS_MANUAL, "ring 0 at SYSENTER_EIP");
	else if (!intel && probe_is_trap(&stop, VECTOR_UD, 0) && !probe_ran_on(vm, &stop))
		asking_answer(asking, PROBE_AS_MANUAL, "#UD");
	else
		asking_unexpected(asking, &stop);
}

void probe_ask_io_bitmap(struct asking *asking)
{
	struct probe_vm *vm = &asking->vm;
	bool right = true;

	/* TR can be loaded once in a machine. */
	for (int allowed = 0; allowed < 2 && right; allowed++) {
		struct probe_stop stop;

		if (allowed && !asking_renew(asking))
			return;
		probe_start_port(vm, allowed);
		probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
		right = allowed ? stop.end == PROBE_TICK : probe_is_trap(&stop, VECTOR_GP, 0);
		if (right)
			asking_answer(asking, PROBE_AS_MANUAL, "open port works, closed: #GP");
		else
			asking_unexpected(asking, &stop);
	}
}

/* ---- Memory ------------------------------------------------------------------------------ */

void probe_ask_wp(struct asking *asking)
{
	struct probe_vm *vm = &asking->vm;
	struct probe_stop with, without;

	*probe_leaf(vm, PROBE_KERNEL_DATA) &= ~PROBE_PTE_W;
	probe_vm_start0(vm, probe_r0_write);
	vm->regs.rdi = PROBE_KERNEL + PROBE_KERNEL_DATA;
	probe_vm_run(vm, PROBE_RUN_LIMIT, &with);
	vm->sregs.cr0 &= ~CR0_WP;
	probe_vm_run(vm, PROBE_RUN_LIMIT, &without);
	if (!probe_is_trap(&with, VECTOR_PF, PF_P | PF_W))
		asking_unexpected(asking, &with);
	else if (without.end != PROBE_DONE)
		asking_unexpected(asking, &without);
	else
		asking_answer(asking, PROBE_AS_MANUAL, "#PF 0x3; written with WP = 0");
}

/* With PCIDE on: does CR3 with bit 63 load, and is what it loads right?  A TLB entry that
 * outlives the load shows that it was kept; one that does not proves nothing, since a processor may
 * drop entries at any time. */
void probe_ask_pcid(struct asking *asking)
{
	enum { OLD = 0x6f, NEW = 0x6e };
	struct probe_vm *vm = &asking->vm;
	struct probe_stop stop;

	*probe_word(vm, PROBE_KERNEL_DATA) = OLD;
	*probe_word(vm, PROBE_OTHER_DATA) = NEW;
	probe_vm_start0(vm, probe_r0_pcid);
	vm->sregs.cr4 |= CR4_PCIDE;
	vm->regs.rax = PROBE_PML4 | 1;
	vm->regs.rcx = PROBE_PML4 | 1 | CR3_NOFLUSH;
	vm->regs.rdi = PROBE_KERNEL + PROBE_KERNEL_DATA;
	vm->regs.rbx = PROBE_KERNEL + PROBE_PT + PROBE_KERNEL_DATA / PAGE_SIZE * 8;
	vm->regs.rsi = *probe_leaf(vm, PROBE_OTHER_DATA);
	probe_vm_run(vm, PROBE_RUN_LIMIT, &stop);
	if (stop.end == PROBE_REFUSED && !asking_offered(asking))
		asking_answer(asking, PROBE_NOT_OFFERED, "CR4.PCIDE is refused");
	else if (stop.end != PROBE_DONE)
		asking_unexpected(asking, &stop);
	else if (stop.regs.r8 != OLD || stop.regs.r10 != NEW)
		asking_answer(asking, PROBE_DIFFERS, "a CR3 load left stale entries");
	else
		asking_answer(asking, PROBE_AS_MANUAL, "works; bit 63: %s",
		              stop.regs.r9 == OLD ? "TLB kept" : "not seen to keep");
}

void probe_ask_fsgsbase(struct asking *asking)
{
	struct probe_vm *vm = &asking->vm;
	struct probe_stop on, off;

	probe_vm_start3(vm, probe_r3_rdfsbase);
	probe_vm_run(vm, PROBE_RUN_LIMIT, &off);
	vm->sregs.cr4 |= CR4_FSGSBASE;
	probe_vm_run(vm, PROBE_RUN_LIMIT, &on);
	if (!probe_ran_on(vm, &on))
		asking_unexpected(asking, &on);
	else if (probe_ran_on(vm, &off))
		asking_answer(asking, PROBE_DIFFERS, "works also with the bit clear");
	else
		asking_answer(asking, PROBE_AS_MANUAL, "works; bit clear: #UD");
}

/* A page-table entry changed by the VMM while the guest is stopped, then a new CR3. */
void probe_ask_tables_changed(struct asking *asking)
{
	enum { OLD = 0x6f, NEW = 0x6e, CR3_PWT = 8 };
	struct probe_vm *vm = &asking->vm;
	struct probe_stop before, after;

	*probe_word(vm, PROBE_USER_DATA) = OLD;
	*probe_word(vm, PROBE_OTHER_DATA) = NEW;
	probe_vm_start3(vm, probe_r3_read);
	vm->regs.rdi = PROBE_USER_DATA;
	probe_vm_run(vm, PROBE_RUN_LIMIT, &before);
	*probe_leaf(vm, PROBE_USER_DATA) =
	    PROBE_OTHER_DATA | PROBE_PTE_P | PROBE_PTE_U | PROBE_PTE_W;
	vm->sregs.cr3 |= CR3_PWT;
	probe_vm_run(vm, PROBE_RUN_LIMIT, &after);
	if (!probe_ran_on(vm, &before))
		asking_no_answer(asking, &before);
	else if (!probe_ran_on(vm, &after))
		asking_unexpected(asking, &after);
	else if (after.regs.rax == NEW)
		asking_answer(asking, PROBE_AS_MANUAL, "seen");
	else
		asking_answer(asking, PROBE_DIFFERS, "the old mapping stays");
}
