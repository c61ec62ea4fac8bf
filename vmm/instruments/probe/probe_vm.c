#include "vmm/instruments/probe/probe_vm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include "shared/abi.h"
#include "shared/desc.h"
#include "shared/x86.h"
#include "vmm/base/clock.h"
#include "vmm/instruments/probe/probe_guest.h"

enum { IST_FAULT = 1 };

/* IA32_APIC_BASE, SDM volume 3, 10.12.1 */
enum { APIC_BASE_X2APIC = 0x400, APIC_BASE_ENABLED = 0x800 };

static bool refused(struct probe_stop *stop, const char *call)
{
	*stop = (struct probe_stop){.end = PROBE_REFUSED, .error = errno, .call = call};
	return false;
}

/* ---- Addresses --------------------------------------------------------------------------- */

/* Bytes from one label of probe_guest.S to another: as addresses, because to C the labels are
 * objects that have nothing to do with each other. */
static size_t distance(const uint8_t *from, const uint8_t *to)
{
	return (uintptr_t)to - (uintptr_t)from;
}

uint64_t probe_address0(const uint8_t *guest)
{
	return PROBE_KERNEL + PROBE_TEXT0 + distance(probe_text0, guest);
}

uint64_t probe_address3(const uint8_t *guest)
{
	return PROBE_TEXT3 + distance(probe_text3, guest);
}

uint64_t *probe_word(struct probe_vm *vm, uint64_t gpa)
{
	return memory_at(&vm->memory, gpa, sizeof(uint64_t));
}

uint64_t *probe_leaf(struct probe_vm *vm, uint64_t gpa)
{
	return probe_word(vm, PROBE_PT + gpa / PAGE_SIZE * sizeof(uint64_t));
}

/* ---- Tables ------------------------------------------------------------------------------ */

static void map_pages(struct probe_vm *vm, uint64_t start, uint64_t end, uint64_t flags)
{
	for (uint64_t gpa = start; gpa < end; gpa += PAGE_SIZE)
		*probe_leaf(vm, gpa) = gpa | PROBE_PTE_P | flags;
}

static void write_page_tables(struct probe_vm *vm)
{
	const uint64_t table = PROBE_PTE_P | PROBE_PTE_W | PROBE_PTE_U;

	*probe_word(vm, PROBE_PML5) = PROBE_PML4 | table;
	*probe_word(vm, PROBE_PML5 + 511 * 8) = PROBE_PML4 | table;
	*probe_word(vm, PROBE_PML4) = PROBE_PDPT | table;
	*probe_word(vm, PROBE_PML4 + 511 * 8) = PROBE_PDPT | table;
	*probe_word(vm, PROBE_PDPT) = PROBE_PD | table;
	*probe_word(vm, PROBE_PDPT + 510 * 8) = PROBE_PD | table;
	*probe_word(vm, PROBE_PD) = PROBE_PT | table;
	map_pages(vm, 0, PROBE_RAM_SIZE, PROBE_PTE_W | PROBE_PTE_NX);
	map_pages(vm, PROBE_TEXT0, PROBE_TEXT3, 0);
	map_pages(vm, PROBE_TEXT3, PROBE_TEXT3 + PAGE_SIZE, PROBE_PTE_U);
	map_pages(vm, PROBE_STACK3_TOP - 2 * PAGE_SIZE, PROBE_STACK3_TOP,
	          PROBE_PTE_U | PROBE_PTE_W | PROBE_PTE_NX);
	map_pages(vm, PROBE_USER_DATA, PROBE_USER_DATA + PAGE_SIZE,
	          PROBE_PTE_U | PROBE_PTE_W | PROBE_PTE_NX);
}

static void write_gdt(struct probe_vm *vm)
{
	static const struct {
		uint16_t selector;
		struct desc_segment segment;
	} gdt[] = {
	    {RS_SEL_KERNEL_CODE,
	     {.limit = 0xffffffff, .type = DESC_CODE_RX, .present = true, .code64 = true}},
	    {RS_SEL_KERNEL_DATA,
	     {.limit = 0xffffffff, .type = DESC_DATA_RW, .present = true, .big = true}},
	    {RS_SEL_USER_DATA,
	     {.limit = 0xffffffff, .type = DESC_DATA_RW, .dpl = 3, .present = true, .big = true}},
	    {RS_SEL_USER_CODE,
	     {.limit = 0xffffffff,
	      .type = DESC_CODE_RX,
	      .dpl = 3,
	      .present = true,
	      .code64 = true}},
	    {RS_SEL_USER_DATA2,
	     {.limit = 0xffffffff, .type = DESC_DATA_RW, .dpl = 3, .present = true, .big = true}},
	    {RS_SEL_TSS,
	     {.base = PROBE_KERNEL + PROBE_TSS,
	      .limit = RS_TSS_LIMIT,
	      .type = DESC_TSS_AVAILABLE,
	      .system = true,
	      .present = true}},
	};

	for (size_t i = 0; i < sizeof(gdt) / sizeof(gdt[0]); i++)
		desc_segment_encode(
		    &gdt[i].segment,
		    probe_word(vm, PROBE_GDT + selector_index(gdt[i].selector) * 8));
}

void probe_gate(struct probe_vm *vm, unsigned vector, unsigned dpl)
{
	struct desc_gate gate = {
	    .offset = probe_address0(probe_vectors) + (uint64_t)vector * PROBE_VECTOR_STRIDE,
	    .selector = RS_SEL_KERNEL_CODE,
	    .ist = vector == VECTOR_DF || vector == VECTOR_NMI ? IST_FAULT : 0,
	    .type = DESC_INTERRUPT_GATE,
	    .dpl = (uint8_t)(dpl & 3),
	    .present = true,
	};

	desc_gate_encode(&gate, probe_word(vm, PROBE_IDT + vector * 16));
}

static void write_tables(struct probe_vm *vm)
{
	struct desc_tss *tss = memory_at(&vm->memory, PROBE_TSS, PAGE_SIZE);

	write_page_tables(vm);
	write_gdt(vm);
	for (unsigned vector = 0; vector < 256; vector++)
		probe_gate(vm, vector, vector == VECTOR_BP || vector == 0x80 ? 3 : 0);
	desc_tss_set_rsp(tss, 0, PROBE_KERNEL + PROBE_STACK0_TOP);
	desc_tss_set_ist(tss, IST_FAULT, PROBE_KERNEL + PROBE_STACK_IST_TOP);
	tss->iomap_base = RS_IO_BITMAP_OFFSET;
	memset((uint8_t *)tss + RS_IO_BITMAP_OFFSET, 0xff, RS_IO_BITMAP_PORTS / 8 + 1);
	memcpy(memory_at(&vm->memory, PROBE_TEXT0, PAGE_SIZE), probe_text0,
	       distance(probe_text0, probe_text0_end));
	memcpy(memory_at(&vm->memory, PROBE_TEXT3, PAGE_SIZE), probe_text3,
	       distance(probe_text3, probe_text3_end));
}

/* ---- Registers --------------------------------------------------------------------------- */

static struct kvm_segment segment(uint16_t selector, uint8_t type, uint8_t dpl)
{
	bool code = type & 8;

	return (struct kvm_segment){
	    .limit = 0xffffffff,
	    .selector = selector,
	    .type = type,
	    .present = 1,
	    .dpl = dpl,
	    .db = !code,
	    .s = 1,
	    .l = code,
	    .g = 1,
	};
}

static void start(struct probe_vm *vm, uint64_t rip, uint64_t rsp, uint16_t code, uint16_t data)
{
	uint8_t dpl = (uint8_t)selector_rpl(code);
	struct kvm_segment cs = segment(code, DESC_CODE_RX, dpl);
	struct kvm_segment ds = segment(data, DESC_DATA_RW, dpl);

	vm->regs = (struct kvm_regs){.rip = rip, .rsp = rsp, .rflags = RFLAGS_FIXED};
	vm->sregs = (struct kvm_sregs){
	    .cs = cs,
	    .ds = ds,
	    .es = ds,
	    .fs = ds,
	    .gs = ds,
	    .ss = ds,
	    .tr = {.base = PROBE_KERNEL + PROBE_TSS,
	           .limit = RS_TSS_LIMIT,
	           .selector = RS_SEL_TSS,
	           .type = DESC_TSS_BUSY,
	           .present = 1},
	    .ldt = {.unusable = 1},
	    .gdt = {.base = PROBE_KERNEL + PROBE_GDT, .limit = RS_GDT_ENTRIES * 8 - 1},
	    .idt = {.base = PROBE_KERNEL + PROBE_IDT, .limit = 256 * 16 - 1},
	    .cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
	    .cr3 = PROBE_PML4,
	    .cr4 = CR4_PAE | CR4_PGE,
	    .efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
	    .apic_base = vm->sregs.apic_base,
	};
	vm->lstar = probe_address0(probe_entry);
	vm->sysenter_cs = RS_SEL_KERNEL_CODE;
	vm->sysenter_eip = probe_address0(probe_entry);
}

void probe_vm_start0(struct probe_vm *vm, const uint8_t *guest)
{
	start(vm, probe_address0(guest), PROBE_KERNEL + PROBE_STACK0_TOP, RS_SEL_KERNEL_CODE,
	      RS_SEL_KERNEL_DATA);
}

void probe_vm_start3(struct probe_vm *vm, const uint8_t *guest)
{
	start(vm, probe_address3(guest), PROBE_STACK3_TOP, RS_SEL_USER_CODE, RS_SEL_USER_DATA);
}

static int set_msrs(struct probe_vm *vm)
{
	const struct kvm_msr_entry entries[] = {
	    {.index = MSR_STAR, .data = desc_star(RS_SEL_KERNEL_CODE, RS_SEL_USER_CODE32)},
	    {.index = MSR_LSTAR, .data = vm->lstar},
	    {.index = MSR_FMASK, .data = RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC},
	    {.index = MSR_SYSENTER_CS, .data = vm->sysenter_cs},
	    {.index = MSR_SYSENTER_EIP, .data = vm->sysenter_eip},
	    {.index = MSR_SYSENTER_ESP, .data = PROBE_KERNEL + PROBE_STACK0_TOP},
	};
	enum { COUNT = sizeof(entries) / sizeof(entries[0]) };
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(entries)];
	} msrs = {.head.nmsrs = COUNT};

	memcpy(msrs.room + sizeof(struct kvm_msrs), entries, sizeof(entries));

	int written = kvm_try(vm->vcpu, KVM_SET_MSRS, &msrs);

	if (written >= 0 && written < COUNT)
		errno = EINVAL;
	return written == COUNT ? 0 : -1;
}

/* ---- Running ----------------------------------------------------------------------------- */

/* SIGALRM: makes the KVM_RUN that it interrupts, or the next one, return. */
static void stop_run(int number, siginfo_t *info, void *context)
{
	struct kvm_run *run = info->si_value.sival_ptr;

	(void)number;
	(void)context;
	run->immediate_exit = 1;
}

static void set_limit(struct probe_vm *vm, uint64_t nanoseconds)
{
	struct itimerspec limit = {
	    .it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000),
	                 .tv_nsec = (long)(nanoseconds % 1000000000)},
	};

	vm->run->immediate_exit = 0;
	timer_settime(vm->timer, 0, &limit, NULL);
}

/* Reads the frame that the stub of a vector left: its number, then what the processor pushed. */
static void read_trap(struct probe_vm *vm, struct probe_stop *stop)
{
	uint64_t gpa = stop->regs.rsp - PROBE_KERNEL;
	const uint64_t *frame = memory_at(&vm->memory, gpa, 7 * sizeof(uint64_t));

	if (!frame) {
		stop->end = PROBE_EXIT;
		return;
	}
	stop->vector = (uint8_t)frame[0];
	if (stop->vector < 32 && VECTORS_WITH_ERROR_CODE & X86_BIT(stop->vector))
		stop->code = *++frame;
	stop->rip = frame[1];
	stop->cs = frame[2];
	stop->cpl = stop->cs & 3;
}

static void read_state(struct probe_vm *vm, struct probe_stop *stop)
{
	struct kvm_sregs sregs;

	if (kvm_try(vm->vcpu, KVM_GET_REGS, &stop->regs) < 0 ||
	    kvm_try(vm->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return;
	stop->cpl = sregs.ss.dpl;
	stop->cr2 = sregs.cr2;
	if (stop->end == PROBE_TRAP)
		read_trap(vm, stop);
}

static enum probe_end port_end(uint16_t port)
{
	switch (port) {
	case PROBE_PORT_TRAP:
		return PROBE_TRAP;
	case PROBE_PORT_DONE:
		return PROBE_DONE;
	case PROBE_PORT_ENTRY:
		return PROBE_ENTRY;
	case PROBE_PORT_TICK:
		return PROBE_TICK;
	default:
		return PROBE_EXIT;
	}
}

void probe_vm_continue(struct probe_vm *vm, uint64_t limit, struct probe_stop *stop)
{
	uint64_t begin;
	int result;

	*stop = (struct probe_stop){.end = PROBE_EXIT};
	set_limit(vm, limit);
	begin = clock_ns();
	do
		result = kvm_try(vm->vcpu, KVM_RUN, NULL);
	while (result < 0 && (errno == EAGAIN || errno == EINTR) && !vm->run->immediate_exit);
	stop->nanoseconds = clock_ns() - begin;
	if (result < 0) {
		stop->error = errno;
		stop->end = errno == EINTR ? PROBE_TIMEOUT : PROBE_EXIT;
	} else {
		stop->exit_reason = vm->run->exit_reason;
		if (stop->exit_reason == KVM_EXIT_IO && vm->run->io.direction == KVM_EXIT_IO_OUT)
			stop->end = port_end(vm->run->io.port);
	}
	set_limit(vm, 0);
	read_state(vm, stop);
}

bool probe_vm_load(struct probe_vm *vm, struct probe_stop *stop)
{
	const struct {
		const char *name;
		unsigned long request;
		void *arg;
	} loads[] = {
	    {"KVM_SET_SREGS", KVM_SET_SREGS, &vm->sregs},
	    {"KVM_SET_REGS", KVM_SET_REGS, &vm->regs},
	};

	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		if (kvm_try(vm->vcpu, loads[i].request, loads[i].arg) < 0)
			return refused(stop, loads[i].name);
	}
	return set_msrs(vm) == 0 || refused(stop, "KVM_SET_MSRS");
}

void probe_vm_run(struct probe_vm *vm, uint64_t limit, struct probe_stop *stop)
{
	if (probe_vm_load(vm, stop))
		probe_vm_continue(vm, limit, stop);
}

/* ---- Life -------------------------------------------------------------------------------- */

/* The local APIC in the kernel, the other controllers left to nobody: a full irqchip would make
 * closing the machine take 15 ms. */
static bool add_apic(struct probe_vm *vm, struct probe_stop *stop)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};

	return kvm_try(vm->vm, KVM_ENABLE_CAP, &split) == 0 ||
	       refused(stop, "KVM_CAP_SPLIT_IRQCHIP");
}

static bool add_timer(struct probe_vm *vm, struct probe_stop *stop)
{
	struct sigaction action = {.sa_sigaction = stop_run, .sa_flags = SA_SIGINFO};
	struct sigevent event = {
	    .sigev_notify = SIGEV_SIGNAL,
	    .sigev_signo = SIGALRM,
	    .sigev_value.sival_ptr = vm->run,
	};

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGALRM, &action, NULL) < 0 ||
	    timer_create(CLOCK_MONOTONIC, &event, &vm->timer) < 0)
		return refused(stop, "timer_create");
	vm->timed = true;
	return true;
}

static bool add_vcpu(struct probe_vm *vm, const struct kvm *kvm, bool apic, struct probe_stop *stop)
{
	vm->vcpu = kvm_try(vm->vm, KVM_CREATE_VCPU, NULL);
	if (vm->vcpu < 0)
		return refused(stop, "KVM_CREATE_VCPU");

	void *run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);

	if (run == MAP_FAILED)
		return refused(stop, "mmap");
	vm->run = run;
	vm->run_size = kvm->run_size;
	if (kvm_try(vm->vcpu, KVM_SET_CPUID2, kvm->cpuid) < 0)
		return refused(stop, "KVM_SET_CPUID2");
	if (kvm_try(vm->vcpu, KVM_GET_SREGS, &vm->sregs) < 0)
		return refused(stop, "KVM_GET_SREGS");
	if (apic)
		vm->sregs.apic_base |= APIC_BASE_ENABLED | APIC_BASE_X2APIC;
	return true;
}

bool probe_vm_open(struct probe_vm *vm, const struct kvm *kvm, bool apic, struct probe_stop *stop)
{
	*vm = PROBE_VM_CLOSED;
	vm->vm = kvm_try(kvm->fd, KVM_CREATE_VM, NULL);
	if (vm->vm < 0)
		return refused(stop, "KVM_CREATE_VM");
	if (apic && !add_apic(vm, stop))
		return false;
	if (!memory_create(&vm->memory, PROBE_RAM_SIZE))
		return refused(stop, "mmap");

	struct kvm_userspace_memory_region slot = {
	    .memory_size = vm->memory.size,
	    .userspace_addr = (uintptr_t)vm->memory.base,
	};

	if (kvm_try(vm->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return refused(stop, "KVM_SET_USER_MEMORY_REGION");
	write_tables(vm);
	return add_vcpu(vm, kvm, apic, stop) && add_timer(vm, stop);
}

void probe_vm_close(struct probe_vm *vm)
{
	/* The timer first: its signal writes to the run area. */
	if (vm->timed)
		timer_delete(vm->timer);
	if (vm->run)
		munmap(vm->run, vm->run_size);
	if (vm->vcpu >= 0)
		close(vm->vcpu);
	if (vm->vm >= 0)
		close(vm->vm);
	memory_destroy(&vm->memory);
	*vm = PROBE_VM_CLOSED;
}
