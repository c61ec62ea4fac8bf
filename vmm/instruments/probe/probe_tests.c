#include "vmm/instruments/probe/probe_tests.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/abi.h"
#include "shared/x86.h"
#include "vmm/base/names.h"
#include "vmm/base/units.h"
#include "vmm/instruments/probe/probe_guest.h"
#include "vmm/instruments/probe/probe_vm.h"
#include "vmm/run/stats.h"

/* A guest that has not ended after this long will not. */
static const uint64_t run_limit = 1000000000;

struct probe {
	const char *name, *question, *manual, *meaning;
	/* Either a function for everything ... */
	void (*ask)(const struct kvm *kvm, struct probe_result *result);
	/* ... or one guest and the end that the manuals promise it. */
	const uint8_t *guest;
	unsigned ring;
	void (*prepare)(struct probe_vm *vm); /* NULL: nothing to do */
	enum probe_end end;
	uint8_t vector;  /* PROBE_TRAP */
	uint64_t code;   /* PROBE_TRAP: its error code */
	const char *yes; /* the answer then */
	uint64_t needs;  /* RS_FEATURE_* without which another answer is no fault */
};

/* ---- Words ------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
answer(struct probe_result *result, enum probe_verdict verdict, const char *format, ...)
{
	va_list args;

	result->verdict = verdict;
	va_start(args, format);
	vsnprintf(result->answer, sizeof(result->answer), format, args);
	va_end(args);
}

static bool is_trap(const struct probe_stop *stop, uint8_t vector, uint64_t code)
{
	return stop->end == PROBE_TRAP && stop->vector == vector && stop->code == code;
}

/* Ring 3 came to the UD2 behind the instruction in question: nothing stopped it. */
static bool ran_on(struct probe_vm *vm, const struct probe_stop *stop)
{
	static const uint8_t ud2[2] = {0x0f, 0x0b};
	const void *code = memory_at(&vm->memory, stop->rip, sizeof(ud2));

	return is_trap(stop, VECTOR_UD, 0) && stop->cpl == 3 && code &&
	       !memcmp(code, ud2, sizeof(ud2));
}

static const char *exit_text(uint32_t reason)
{
	switch (reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return "KVM cannot emulate it";
	case KVM_EXIT_SHUTDOWN:
		return "triple fault";
	case KVM_EXIT_FAIL_ENTRY:
		return "the processor refuses to enter";
	default:
		return NULL;
	}
}

/* What happened, when it is not what was expected. */
static void describe(struct probe_vm *vm, const struct probe_stop *stop, char *buf, size_t size)
{
	const char *text;

	switch (stop->end) {
	case PROBE_DONE:
	case PROBE_TICK:
		snprintf(buf, size, "no fault");
		break;
	case PROBE_ENTRY:
		snprintf(buf, size, "ring %u at the entry point", stop->cpl);
		break;
	case PROBE_TRAP:
		if (ran_on(vm, stop))
			snprintf(buf, size, "no fault");
		else if (stop->code)
			snprintf(buf, size, "%s 0x%" PRIx64, vector_name(stop->vector), stop->code);
		else
			snprintf(buf, size, "%s", vector_name(stop->vector));
		break;
	case PROBE_EXIT:
		text = exit_text(stop->exit_reason);
		if (stop->error)
			snprintf(buf, size, "KVM_RUN: %s", strerrorname_np(stop->error));
		else if (text)
			snprintf(buf, size, "%s", text);
		else
			snprintf(buf, size, "exit %s", stats_reason_name(stop->exit_reason));
		break;
	case PROBE_REFUSED:
		snprintf(buf, size, "%s: %s", stop->call, strerrorname_np(stop->error));
		break;
	case PROBE_TIMEOUT:
		snprintf(buf, size, "no end, stopped");
		break;
	}
}

/* An answer in words that the question did not foresee. */
static void unexpected(struct probe_vm *vm, const struct probe_stop *stop, bool offered,
                       struct probe_result *result)
{
	result->verdict = offered ? PROBE_DIFFERS : PROBE_NOT_OFFERED;
	describe(vm, stop, result->answer, sizeof(result->answer));
}

static void no_answer(struct probe_vm *vm, const struct probe_stop *stop,
                      struct probe_result *result)
{
	result->verdict = PROBE_NO_ANSWER;
	describe(vm, stop, result->answer, sizeof(result->answer));
}

/* ---- One guest, one end ------------------------------------------------------------------ */

static void start(struct probe_vm *vm, unsigned ring, const uint8_t *guest)
{
	if (ring == 0)
		probe_vm_start0(vm, guest);
	else
		probe_vm_start3(vm, guest);
}

static void ask_simply(const struct probe *probe, const struct kvm *kvm,
                       struct probe_result *result)
{
	struct probe_vm vm;
	struct probe_stop stop;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
	} else {
		start(&vm, probe->ring, probe->guest);
		if (probe->prepare)
			probe->prepare(&vm);
		probe_vm_run(&vm, run_limit, &stop);
		if (probe->end == PROBE_TRAP ? is_trap(&stop, probe->vector, probe->code)
		                             : stop.end == probe->end)
			answer(result, PROBE_AS_MANUAL, "%s", probe->yes);
		else
			unexpected(&vm, &stop,
			           !probe->needs || kvm->host.cpuid_features & probe->needs,
			           result);
	}
	probe_vm_close(&vm);
}

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

/* ---- Entries ----------------------------------------------------------------------------- */

static void ask_syscall(const struct kvm *kvm, struct probe_result *result)
{
	struct probe_vm vm;
	struct probe_stop stop;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
	} else {
		probe_vm_start3(&vm, probe_r3_syscall);
		probe_vm_run(&vm, run_limit, &stop);
		if (stop.end == PROBE_ENTRY && stop.cpl == 0)
			answer(result, PROBE_AS_MANUAL, "ring 0 at LSTAR");
		else if (stop.end == PROBE_TRAP && stop.rip == vm.lstar && stop.cpl == 3)
			answer(result, PROBE_DIFFERS, "stays in ring 3, %s 0x%" PRIx64,
			       vector_name(stop.vector), stop.code);
		else
			unexpected(&vm, &stop, true, result);
	}
	probe_vm_close(&vm);
}

static void ask_sysenter(const struct kvm *kvm, struct probe_result *result)
{
	bool intel = kvm->host.cpuid_features & RS_FEATURE_INTEL;
	struct probe_vm vm;
	struct probe_stop stop;

	result->manual = intel ? "Intel: ring 0 at its EIP" : "AMD, long mode: #UD";
	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
	} else {
		probe_vm_start3(&vm, probe_r3_sysenter);
		probe_vm_run(&vm, run_limit, &stop);
		if (intel && stop.end == PROBE_ENTRY && stop.cpl == 0)
			answer(result, PROBE_AS_MANUAL, "ring 0 at SYSENTER_EIP");
		else if (!intel && is_trap(&stop, VECTOR_UD, 0) && !ran_on(&vm, &stop))
			answer(result, PROBE_AS_MANUAL, "#UD");
		else
			unexpected(&vm, &stop, true, result);
	}
	probe_vm_close(&vm);
}

/* Readies a guest that uses PROBE_PORT_TICK in ring 3, allowed or denied by the I/O permission
 * bitmap.  It begins in ring 0 and loads TR itself, because there is a processor (QEMU's) that
 * looks at the bitmap only then. */
static void start_port(struct probe_vm *vm, bool allowed)
{
	uint8_t *bitmap = memory_at(&vm->memory, PROBE_TSS + RS_IO_BITMAP_OFFSET, PAGE_SIZE / 2);
	const uint64_t frame[] = {probe_address3(probe_r3_exits), RS_SEL_USER_CODE, RFLAGS_FIXED,
	                          PROBE_STACK3_TOP, RS_SEL_USER_DATA};

	if (allowed)
		bitmap[PROBE_PORT_TICK / 8] &= (uint8_t) ~(1U << PROBE_PORT_TICK % 8);
	memcpy(memory_at(&vm->memory, PROBE_STACK0_TOP - sizeof(frame), sizeof(frame)), frame,
	       sizeof(frame));
	probe_vm_start0(vm, probe_r0_ltr);
	vm->regs.rax = RS_SEL_TSS;
	vm->regs.rsp -= sizeof(frame);
}

static void ask_io_bitmap(const struct kvm *kvm, struct probe_result *result)
{
	bool right = true;

	for (int allowed = 0; allowed < 2 && right; allowed++) {
		struct probe_vm vm;
		struct probe_stop stop;

		if (!probe_vm_open(&vm, kvm, false, &stop)) {
			no_answer(&vm, &stop, result);
			right = false;
		} else {
			start_port(&vm, allowed);
			probe_vm_run(&vm, run_limit, &stop);
			right = allowed ? stop.end == PROBE_TICK : is_trap(&stop, VECTOR_GP, 0);
			if (right)
				answer(result, PROBE_AS_MANUAL, "open port works, closed: #GP");
			else
				unexpected(&vm, &stop, true, result);
		}
		probe_vm_close(&vm);
	}
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void ask_wp(const struct kvm *kvm, struct probe_result *result)
{
	struct probe_vm vm;
	struct probe_stop with, without;

	if (!probe_vm_open(&vm, kvm, false, &with)) {
		no_answer(&vm, &with, result);
	} else {
		*probe_leaf(&vm, PROBE_KERNEL_DATA) &= ~PROBE_PTE_W;
		probe_vm_start0(&vm, probe_r0_write);
		vm.regs.rdi = PROBE_KERNEL + PROBE_KERNEL_DATA;
		probe_vm_run(&vm, run_limit, &with);
		vm.sregs.cr0 &= ~CR0_WP;
		probe_vm_run(&vm, run_limit, &without);
		if (!is_trap(&with, VECTOR_PF, PF_P | PF_W))
			unexpected(&vm, &with, true, result);
		else if (without.end != PROBE_DONE)
			unexpected(&vm, &without, true, result);
		else
			answer(result, PROBE_AS_MANUAL, "#PF 0x3; written with WP = 0");
	}
	probe_vm_close(&vm);
}

/* With PCIDE on: does CR3 with bit 63 load, and is what it loads right?  A TLB entry that
 * outlives the load shows that it was kept; one that does not proves nothing, since a processor may
 * drop entries at any time. */
static void ask_pcid(const struct kvm *kvm, struct probe_result *result)
{
	enum { OLD = 0x6f, NEW = 0x6e };
	bool offered = kvm->host.cpuid_features & RS_FEATURE_PCID;
	struct probe_vm vm;
	struct probe_stop stop;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
		probe_vm_close(&vm);
		return;
	}
	*probe_word(&vm, PROBE_KERNEL_DATA) = OLD;
	*probe_word(&vm, PROBE_OTHER_DATA) = NEW;
	probe_vm_start0(&vm, probe_r0_pcid);
	vm.sregs.cr4 |= CR4_PCIDE;
	vm.regs.rax = PROBE_PML4 | 1;
	vm.regs.rcx = PROBE_PML4 | 1 | CR3_NOFLUSH;
	vm.regs.rdi = PROBE_KERNEL + PROBE_KERNEL_DATA;
	vm.regs.rbx = PROBE_KERNEL + PROBE_PT + PROBE_KERNEL_DATA / PAGE_SIZE * 8;
	vm.regs.rsi = *probe_leaf(&vm, PROBE_OTHER_DATA);
	probe_vm_run(&vm, run_limit, &stop);
	if (stop.end == PROBE_REFUSED && !offered)
		answer(result, PROBE_NOT_OFFERED, "CR4.PCIDE is refused");
	else if (stop.end != PROBE_DONE)
		unexpected(&vm, &stop, offered, result);
	else if (stop.regs.r8 != OLD || stop.regs.r10 != NEW)
		answer(result, PROBE_DIFFERS, "a CR3 load left stale entries");
	else
		answer(result, PROBE_AS_MANUAL, "works; bit 63: %s",
		       stop.regs.r9 == OLD ? "TLB kept" : "not seen to keep");
	probe_vm_close(&vm);
}

static void ask_fsgsbase(const struct kvm *kvm, struct probe_result *result)
{
	bool offered = kvm->host.cpuid_features & RS_FEATURE_FSGSBASE;
	struct probe_vm vm;
	struct probe_stop on, off;

	if (!probe_vm_open(&vm, kvm, false, &on)) {
		no_answer(&vm, &on, result);
	} else {
		probe_vm_start3(&vm, probe_r3_rdfsbase);
		probe_vm_run(&vm, run_limit, &off);
		vm.sregs.cr4 |= CR4_FSGSBASE;
		probe_vm_run(&vm, run_limit, &on);
		if (!ran_on(&vm, &on))
			unexpected(&vm, &on, offered, result);
		else if (ran_on(&vm, &off))
			answer(result, PROBE_DIFFERS, "works also with the bit clear");
		else
			answer(result, PROBE_AS_MANUAL, "works; bit clear: #UD");
	}
	probe_vm_close(&vm);
}

/* A page-table entry changed by the VMM while the guest is stopped, then a new CR3. */
static void ask_tables_changed(const struct kvm *kvm, struct probe_result *result)
{
	enum { OLD = 0x6f, NEW = 0x6e, CR3_PWT = 8 };
	struct probe_vm vm;
	struct probe_stop before, after;

	if (!probe_vm_open(&vm, kvm, false, &before)) {
		no_answer(&vm, &before, result);
	} else {
		*probe_word(&vm, PROBE_USER_DATA) = OLD;
		*probe_word(&vm, PROBE_OTHER_DATA) = NEW;
		probe_vm_start3(&vm, probe_r3_read);
		vm.regs.rdi = PROBE_USER_DATA;
		probe_vm_run(&vm, run_limit, &before);
		*probe_leaf(&vm, PROBE_USER_DATA) =
		    PROBE_OTHER_DATA | PROBE_PTE_P | PROBE_PTE_U | PROBE_PTE_W;
		vm.sregs.cr3 |= CR3_PWT;
		probe_vm_run(&vm, run_limit, &after);
		if (!ran_on(&vm, &before))
			no_answer(&vm, &before, result);
		else if (!ran_on(&vm, &after))
			unexpected(&vm, &after, true, result);
		else if (after.regs.rax == NEW)
			answer(result, PROBE_AS_MANUAL, "seen");
		else
			answer(result, PROBE_DIFFERS, "the old mapping stays");
	}
	probe_vm_close(&vm);
}

/* ---- Interrupts -------------------------------------------------------------------------- */

static void ask_lapic_timer(const struct kvm *kvm, struct probe_result *result)
{
	enum { COUNT = 2000000 }; /* ticks of KVM's 1 GHz APIC bus: 2 ms */
	struct probe_vm vm;
	struct probe_stop stop;
	uint64_t halted = 0;

	if (!probe_vm_open(&vm, kvm, true, &stop)) {
		no_answer(&vm, &stop, result);
		probe_vm_close(&vm);
		return;
	}
	for (int ring = 0; ring <= 3; ring += 3) {
		probe_vm_start0(&vm, probe_r0_apic);
		vm.regs.rsi = COUNT;
		probe_vm_run(&vm, run_limit, &stop);
		if (stop.end != PROBE_DONE)
			break;
		start(&vm, (unsigned)ring, ring ? probe_r3_spin : probe_r0_halt);
		vm.regs.rflags |= RFLAGS_IF;
		probe_vm_run(&vm, run_limit, &stop);
		if (!is_trap(&stop, PROBE_TIMER_VECTOR, 0))
			break;
		if (ring == 0)
			halted = stop.nanoseconds;
	}
	if (is_trap(&stop, PROBE_TIMER_VECTOR, 0) && stop.cpl == 3) {
		result->values[0] = (struct probe_value){"asked_ns", COUNT};
		result->values[1] = (struct probe_value){"halted_ns", (double)halted};
		result->values[2] = (struct probe_value){"ring3_ns", (double)stop.nanoseconds};
		answer(result, PROBE_AS_MANUAL, "fires; 2 ms take %.1f in ring 3",
		       (double)stop.nanoseconds / 1e6);
	} else {
		unexpected(&vm, &stop, true, result);
	}
	probe_vm_close(&vm);
}

static void ask_nmi(const struct kvm *kvm, struct probe_result *result)
{
	struct probe_vm vm;
	struct probe_stop stop;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
	} else {
		probe_vm_start3(&vm, probe_r3_spin);
		if (probe_vm_load(&vm, &stop)) {
			kvm_try(vm.vcpu, KVM_NMI, NULL);
			probe_vm_continue(&vm, run_limit, &stop);
		}
		if (is_trap(&stop, VECTOR_NMI, 0))
			answer(result, PROBE_AS_MANUAL, "delivered on its IST stack");
		else
			unexpected(&vm, &stop, true, result);
	}
	probe_vm_close(&vm);
}

/* ---- Debugging --------------------------------------------------------------------------- */

/* Loads a guest and arms debug; false when the result is already given. */
static bool start_debug(struct probe_vm *vm, const struct kvm *kvm, unsigned ring,
                        struct kvm_guest_debug *debug, struct probe_result *result)
{
	struct probe_stop stop;

	if (probe_vm_open(vm, kvm, false, &stop)) {
		start(vm, ring, ring == 0 ? probe_r0_nops : probe_r3_nops);
		if (probe_vm_load(vm, &stop)) {
			if (kvm_try(vm->vcpu, KVM_SET_GUEST_DEBUG, debug) == 0)
				return true;
			answer(result, PROBE_NO_ANSWER, "KVM_SET_GUEST_DEBUG is refused");
			return false;
		}
	}
	no_answer(vm, &stop, result);
	return false;
}

static void ask_step(const struct kvm *kvm, unsigned ring, struct probe_result *result)
{
	enum { STEPS = 3 };
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct probe_vm vm;
	struct probe_stop stop;
	uint64_t steps = 0;

	if (start_debug(&vm, kvm, ring, &debug, result)) {
		do {
			probe_vm_continue(&vm, run_limit, &stop);
			steps += stop.end == PROBE_EXIT && stop.exit_reason == KVM_EXIT_DEBUG &&
			         stop.regs.rip == vm.regs.rip + steps + 1;
		} while (steps < STEPS && stop.end == PROBE_EXIT &&
		         stop.exit_reason == KVM_EXIT_DEBUG);
		if (steps == STEPS)
			answer(result, PROBE_AS_MANUAL, "stops after each instruction");
		else
			answer(result, PROBE_DIFFERS, "does not stop in ring %u", stop.cpl);
	}
	probe_vm_close(&vm);
}

static void ask_step0(const struct kvm *kvm, struct probe_result *result)
{
	ask_step(kvm, 0, result);
}

static void ask_step3(const struct kvm *kvm, struct probe_result *result)
{
	ask_step(kvm, 3, result);
}

static void ask_breakpoint(const struct kvm *kvm, unsigned ring, struct probe_result *result)
{
	enum { DR7_L0_G0 = 3, DR7_FIXED = 0x400 };
	uint64_t target =
	    (ring == 0 ? probe_address0(probe_r0_nops) : probe_address3(probe_r3_nops)) + 2;
	struct kvm_guest_debug debug = {
	    .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
	    .arch.debugreg = {[0] = target, [7] = DR7_FIXED | DR7_L0_G0},
	};
	struct probe_vm vm;
	struct probe_stop stop;

	if (start_debug(&vm, kvm, ring, &debug, result)) {
		probe_vm_continue(&vm, run_limit, &stop);
		if (stop.end == PROBE_EXIT && stop.exit_reason == KVM_EXIT_DEBUG &&
		    stop.regs.rip == target)
			answer(result, PROBE_AS_MANUAL, "stops there");
		else
			answer(result, PROBE_DIFFERS, "never fires");
	}
	probe_vm_close(&vm);
}

static void ask_breakpoint0(const struct kvm *kvm, struct probe_result *result)
{
	ask_breakpoint(kvm, 0, result);
}

static void ask_breakpoint3(const struct kvm *kvm, struct probe_result *result)
{
	ask_breakpoint(kvm, 3, result);
}

/* #UD without an IDT: a triple fault.  What do the registers say then? */
static void ask_shutdown(const struct kvm *kvm, struct probe_result *result)
{
	struct probe_vm vm;
	struct probe_stop stop;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
	} else {
		probe_vm_start3(&vm, probe_r3_end);
		vm.sregs.idt.limit = 0;
		probe_vm_run(&vm, run_limit, &stop);
		if (stop.end != PROBE_EXIT || stop.exit_reason != KVM_EXIT_SHUTDOWN)
			unexpected(&vm, &stop, true, result);
		else
			answer(result, PROBE_MEASURED, "SHUTDOWN; %s",
			       stop.regs.rip == vm.regs.rip ? "registers are kept"
			                                    : "registers are reset");
	}
	probe_vm_close(&vm);
}

/* ---- Measures ---------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void ask_tsc(const struct kvm *kvm, struct probe_result *result)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	struct probe_vm vm;
	struct probe_stop first, second;
	uint64_t begin, end;

	if (!probe_vm_open(&vm, kvm, false, &first)) {
		no_answer(&vm, &first, result);
		probe_vm_close(&vm);
		return;
	}
	probe_vm_start0(&vm, probe_r0_rdtsc);
	probe_vm_run(&vm, run_limit, &first);
	begin = probe_now();
	nanosleep(&pause, NULL);
	probe_vm_run(&vm, run_limit, &second);
	end = probe_now();
	if (first.end != PROBE_DONE || second.end != PROBE_DONE) {
		no_answer(&vm, first.end != PROBE_DONE ? &first : &second, result);
	} else {
		double khz =
		    (double)(second.regs.rax - first.regs.rax) * 1e6 / (double)(end - begin);
		double claim = kvm_try(vm.vcpu, KVM_GET_TSC_KHZ, NULL);
		bool right = claim > 0 && khz > claim * 0.9 && khz < claim * 1.1;

		result->values[0] = (struct probe_value){"tsc_khz", khz};
		result->values[1] = (struct probe_value){"claimed_khz", claim > 0 ? claim : 0};
		answer(result, right ? PROBE_MEASURED : PROBE_DIFFERS, "%.0f MHz (KVM says %.0f)",
		       khz / 1e3, claim / 1e3);
	}
	probe_vm_close(&vm);
}

/* Nanoseconds that one instruction of the loop takes; 0 and the result given when it does not run.
 */
static double instruction_time(const struct kvm *kvm, unsigned ring, struct probe_result *result)
{
	enum { INSTRUCTIONS = 2, REPEATS = 3 };
	const uint64_t enough = 3000000, most = UINT64_C(1) << 26;
	const uint8_t *loop = ring == 0 ? probe_r0_loop : probe_r3_loop;
	struct probe_vm vm;
	struct probe_stop stop;
	double best = 0;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
		probe_vm_close(&vm);
		return 0;
	}
	start(&vm, ring, loop);
	for (uint64_t turns = 1, base = 0, repeats = 0; repeats < REPEATS;) {
		vm.regs.rcx = turns;
		probe_vm_run(&vm, run_limit, &stop);
		if (stop.end != PROBE_DONE && !is_trap(&stop, VECTOR_UD, 0)) {
			no_answer(&vm, &stop, result);
			best = 0;
			break;
		}
		if (turns == 1 && repeats++ > 0) {
			/* The first run fills caches and shadow tables; the second is the base. */
			base = stop.nanoseconds;
			turns = 256;
			repeats = 0;
		} else if (turns > 1 && stop.nanoseconds < base + enough && turns < most) {
			turns *= 4;
		} else if (turns > 1) {
			double time =
			    stop.nanoseconds > base ? (double)(stop.nanoseconds - base) : 0;
			double each = time / ((double)turns * INSTRUCTIONS);

			if (repeats++ == 0 || each < best)
				best = each;
		}
	}
	probe_vm_close(&vm);
	return best;
}

static void ask_ring_speed(const struct kvm *kvm, struct probe_result *result)
{
	const double interpreted = 20; /* times slower: no processor is that */
	double ring3 = instruction_time(kvm, 3, result);
	double ring0 = ring3 > 0 ? instruction_time(kvm, 0, result) : 0;

	if (ring3 <= 0 || ring0 <= 0)
		return;
	result->values[0] = (struct probe_value){"ring0_ns", ring0};
	result->values[1] = (struct probe_value){"ring3_ns", ring3};
	if (ring0 > ring3 * interpreted)
		answer(result, PROBE_DIFFERS, "ring 0: %.*f ns, ring 3: %.*f", ring0 < 99.5 ? 2 : 0,
		       ring0, ring3 < 99.5 ? 2 : 0, ring3);
	else
		answer(result, PROBE_AS_MANUAL, "ring 0: %.*f ns, ring 3: %.*f",
		       ring0 < 99.5 ? 2 : 0, ring0, ring3 < 99.5 ? 2 : 0, ring3);
}

/* Times KVM_RUN over OUTs of a guest that is ready to run and makes nothing else. */
static void measure_exits(struct probe_vm *vm, struct probe_result *result)
{
	enum { EXITS = 400 };
	static const uint64_t budget = 500000000;
	uint64_t times[EXITS], begin = probe_now();
	struct probe_stop stop;
	size_t count = 0;
	char min[UNITS_SIZE], median[UNITS_SIZE];

	probe_vm_run(vm, run_limit, &stop);
	while (stop.end == PROBE_TICK && count < EXITS && probe_now() - begin < budget) {
		probe_vm_continue(vm, run_limit, &stop);
		times[count++] = stop.nanoseconds;
	}
	if (stop.end != PROBE_TICK || count == 0) {
		no_answer(vm, &stop, result);
		return;
	}
	qsort(times, count, sizeof(times[0]), by_size);

	const uint64_t least = times[0], middle = times[count / 2];

	result->values[0] = (struct probe_value){"min_ns", (double)least};
	result->values[1] = (struct probe_value){"median_ns", (double)middle};
	answer(result, PROBE_MEASURED, "%s, median %s", units_time(min, least),
	       units_time(median, middle));
}

static void ask_exit0(const struct kvm *kvm, struct probe_result *result)
{
	struct probe_vm vm;
	struct probe_stop stop;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
	} else {
		probe_vm_start0(&vm, probe_r0_exits);
		measure_exits(&vm, result);
	}
	probe_vm_close(&vm);
}

static void ask_exit3(const struct kvm *kvm, struct probe_result *result)
{
	struct probe_vm vm;
	struct probe_stop stop;

	if (!probe_vm_open(&vm, kvm, false, &stop)) {
		no_answer(&vm, &stop, result);
	} else {
		start_port(&vm, true);
		measure_exits(&vm, result);
	}
	probe_vm_close(&vm);
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
        .ask = ask_syscall,
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
        .ask = ask_sysenter,
    },
    {
        .name = "io_bitmap",
        .question = "I/O bitmap in ring 3",
        .manual = "only open ports",
        .meaning = "Ports cannot be given to ring 3 one by one.",
        .ask = ask_io_bitmap,
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
        .ask = ask_wp,
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
        .ask = ask_pcid,
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
        .ask = ask_tables_changed,
    },
    {
        .name = "fsgsbase",
        .question = "CR4.FSGSBASE: RDFSBASE in ring 3",
        .manual = "works; bit clear: #UD",
        .meaning =
            "Ring 3 may change its FS and GS bases whatever CR4 says: never take the GS base "
            "for the kernel's own without SWAPGS.",
        .ask = ask_fsgsbase,
    },
    {
        .name = "lapic_timer",
        .question = "Local APIC timer (x2APIC)",
        .manual = "interrupts HLT, ring 3",
        .meaning = "There is no timer in the guest: the VMM must interrupt it.",
        .ask = ask_lapic_timer,
    },
    {
        .name = "nmi",
        .question = "KVM_NMI into ring 3",
        .manual = "vector 2",
        .meaning = "A guest that spins cannot be asked what it does.",
        .ask = ask_nmi,
    },
    {
        .name = "step_ring0",
        .question = "KVM single step, ring 0",
        .manual = "each instruction",
        .meaning = "A debugger cannot step through ring 0 by KVM_GUESTDBG_SINGLESTEP.",
        .ask = ask_step0,
    },
    {
        .name = "step_ring3",
        .question = "KVM single step, ring 3",
        .manual = "each instruction",
        .meaning = "Step ring 3 with RFLAGS.TF set by the VMM and the guest's own #DB handler.",
        .ask = ask_step3,
    },
    {
        .name = "breakpoint_ring0",
        .question = "KVM hardware breakpoint, ring 0",
        .manual = "stops there",
        .meaning = "A debugger must plant HLT or OUT in ring 0 instead, or step.",
        .ask = ask_breakpoint0,
    },
    {
        .name = "breakpoint_ring3",
        .question = "KVM hardware breakpoint, ring 3",
        .manual = "stops there",
        .meaning = "A debugger must plant UD2, or an OUT that the I/O bitmap allows, in ring 3 "
                   "instead.",
        .ask = ask_breakpoint3,
    },
    {
        .name = "shutdown",
        .question = "Triple fault",
        .manual = "shutdown",
        .meaning = "A guest's death is not told as KVM_EXIT_SHUTDOWN.",
        .ask = ask_shutdown,
    },
    {
        .name = "tsc",
        .question = "RDTSC rate",
        .manual = "constant",
        .meaning = "The time stamp counter does not run at the rate KVM names: cycles measured in "
                   "the guest are not time.",
        .ask = ask_tsc,
    },
    {
        .name = "ring_speed",
        .question = "One instruction of a loop",
        .manual = "the same in each ring",
        .meaning = "Ring 0 is interpreted: keep the kernel short, in plain integer instructions, "
                   "and take no cycle count of a crossing for the hardware's.",
        .ask = ask_ring_speed,
    },
    {
        .name = "exit_ring0",
        .question = "Exit and back, OUT in ring 0",
        .manual = "",
        .meaning = "",
        .ask = ask_exit0,
    },
    {
        .name = "exit_ring3",
        .question = "Exit and back, OUT in ring 3",
        .manual = "",
        .meaning = "",
        .ask = ask_exit3,
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
	*result = (struct probe_result){.manual = probes[n].manual, .meaning = probes[n].meaning};
	if (probes[n].ask)
		probes[n].ask(kvm, result);
	else
		ask_simply(&probes[n], kvm, result);
}
