#include "tests/unit_vmm/fake_cpu.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "shared/desc.h"

struct fake_cpu fake_cpu;

static struct live_machine *live;
static struct fake_vcpu *vcpu;

enum { RUNS_MAX = 10000, NO_EXIT = -1 };

static bool stepping; /* by KVM's single step, whose TF is in what the processor stores */
static bool entered;  /* the instruction ended at an entry: no trap behind it */

uint8_t *fake_cpu_at(const struct live_machine *of, uint64_t address)
{
	const uint64_t gpa = address >= FAKE_KERNEL ? address - FAKE_KERNEL : address;
	uint8_t *at = memory_at(&of->machine.memory, gpa, 1);

	ck_assert_msg(at, "0x%lx is no RAM", (unsigned long)address);
	return at;
}

static void push(uint64_t value)
{
	uint8_t *at;
	uint64_t page;

	vcpu->regs.rsp -= 8;
	at = fake_cpu_at(live, vcpu->regs.rsp);
	page = (uint64_t)(at - live->machine.memory.base) / PAGE_SIZE;
	memcpy(at, &value, 8);
	fake_kvm.dirty[page / 64] |= UINT64_C(1) << page % 64;
}

static uint64_t pop(void)
{
	uint64_t value;

	memcpy(&value, fake_cpu_at(live, vcpu->regs.rsp), 8);
	vcpu->regs.rsp += 8;
	return value;
}

static uint64_t stored_flags(void)
{
	return vcpu->regs.rflags | (stepping ? RFLAGS_TF : 0);
}

static void load(uint64_t cs, uint64_t ss)
{
	vcpu->sregs.cs.selector = (uint16_t)cs;
	vcpu->sregs.cs.dpl = cs & 3;
	vcpu->sregs.ss.selector = (uint16_t)ss;
	vcpu->sregs.ss.dpl = cs & 3;
}

static void deliver(unsigned vector, uint64_t rip)
{
	const uint64_t rsp = vcpu->regs.rsp;

	if (vcpu->sregs.ss.dpl == 3)
		vcpu->regs.rsp = FAKE_RSP0;
	vcpu->regs.rsp &= ~UINT64_C(15);
	push(vcpu->sregs.ss.selector);
	push(rsp + (fake_cpu.loses_rsp ? 8 : 0));
	push(stored_flags());
	push(vcpu->sregs.cs.selector);
	push(rip);
	if (vector < 32 && VECTORS_WITH_ERROR_CODE >> vector & 1)
		push(0x18);
	load(RS_SEL_KERNEL_CODE, 0);
	vcpu->regs.rflags &= ~(RFLAGS_TF | RFLAGS_IF);
	entered = true;
	vcpu->regs.rip = FAKE_VECTORS + (uint64_t)FAKE_STRIDE * vector;
}

static int exit_with(uint32_t reason)
{
	vcpu->run->exit_reason = reason;
	return 0;
}

static int out(void)
{
	struct kvm_run *run = vcpu->run;

	if (!fake_cpu.plant_seen)
		fake_cpu.plant_seen = vcpu->regs.rip;
	live_machine_io(live, KVM_EXIT_IO_OUT, (uint16_t)vcpu->regs.rdx, 1,
	                (uint8_t)vcpu->regs.rax);
	ck_assert_ptr_eq(run, live->machine.cpus[0].vcpu.run);
	if (fake_cpu.out_is_done)
		vcpu->regs.rip++;
	else
		fake_cpu.in_flight = true;
	return exit_with(KVM_EXIT_IO);
}

static void call_kernel(void)
{
	vcpu->regs.rcx = vcpu->regs.rip + 2;
	vcpu->regs.r11 = vcpu->regs.rflags;
	vcpu->regs.rip = FAKE_SYSCALL;
	load(RS_SEL_KERNEL_CODE, RS_SEL_KERNEL_DATA);
	entered = !fake_cpu.syscall_traps;
	if (entered)
		vcpu->regs.rflags &= ~RFLAGS_TF;
}

static void return_from(void)
{
	uint64_t cs, rsp;

	vcpu->regs.rip = pop();
	cs = pop();
	vcpu->regs.rflags = pop();
	rsp = pop();
	load(cs, pop());
	vcpu->regs.rsp = rsp;
}

/* One instruction: an exit's result, or NO_EXIT. */
static int execute(void)
{
	const uint8_t *code = fake_cpu_at(live, vcpu->regs.rip);

	if (code[0] == 0xee)
		return out();
	if (code[0] == 0xf4) {
		vcpu->regs.rip++;
		return exit_with(KVM_EXIT_HLT);
	}
	if (code[0] == 0x90 || code[0] == 0xfb) {
		vcpu->regs.rip++;
	} else if (code[0] == 0xcc) {
		if (!fake_cpu.plant_seen)
			fake_cpu.plant_seen = vcpu->regs.rip;
		deliver(VECTOR_BP, vcpu->regs.rip + 1);
	} else if (code[0] == 0xf1) {
		deliver(VECTOR_DB, vcpu->regs.rip + 1);
	} else if (code[0] == 0x9c) {
		push(stored_flags());
		vcpu->regs.rip++;
	} else if (code[0] == 0x48 && code[1] == 0xcf) {
		return_from();
	} else if (code[0] == 0x0f && code[1] == 0x0b) {
		deliver(VECTOR_UD, vcpu->regs.rip);
	} else if (code[0] == 0x0f && code[1] == 0xff) {
		deliver(VECTOR_GP, vcpu->regs.rip); /* UD0 plays a fault with an error code */
	} else if (code[0] == 0x0f && code[1] == 0x05) {
		call_kernel();
	} else {
		ck_assert_msg(fake_cpu.size, "0x%llx: %02x %02x is no instruction here",
		              vcpu->regs.rip, code[0], code[1]);
		vcpu->regs.rip += fake_cpu.size;
	}
	return NO_EXIT;
}

int fake_cpu_run(unsigned n)
{
	ck_assert_uint_eq(n, 0);
	if (fake_cpu.in_flight)
		vcpu->regs.rip++;
	fake_cpu.in_flight = false;
	if (vcpu->run->immediate_exit)
		return -EINTR;
	stepping = vcpu->guest_debug.control & KVM_GUESTDBG_SINGLESTEP;
	if (vcpu->nmis) {
		vcpu->nmis--;
		deliver(VECTOR_NMI, vcpu->regs.rip);
	}
	for (unsigned i = 0; i < RUNS_MAX; i++) {
		const bool tf = vcpu->regs.rflags & RFLAGS_TF;
		int result;

		entered = false;
		result = execute();
		fake_cpu.runs++;
		if (result != NO_EXIT)
			return result;
		if (stepping && !entered)
			return exit_with(KVM_EXIT_DEBUG);
		if (tf && !entered) {
			vcpu->debugregs.dr6 |= 1 << 14; /* BS */
			deliver(VECTOR_DB, vcpu->regs.rip);
		}
	}
	ck_abort_msg("the guest runs on and on, at 0x%llx", vcpu->regs.rip);
	return -EINTR;
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static bool take_frame(void *ctx, uint64_t *frame)
{
	struct boot *boot = ctx;

	*frame = boot->next_frame;
	boot->next_frame += PAGE_SIZE;
	return true;
}

static void drop_frame(void *ctx, uint64_t frame)
{
	(void)ctx;
	(void)frame;
}

static uint64_t *frame_at(void *ctx, uint64_t frame)
{
	const struct boot *boot = ctx;

	return memory_at(boot->memory, frame, PAGE_SIZE);
}

static void map_ram(void)
{
	static const struct pt_geometry geo = {.levels = 4, .maxphyaddr = 40, .nx = true};
	struct boot *boot = &live->machine.boot;
	const struct pt_memory tables = {boot, take_frame, drop_frame, frame_at};

	ck_assert_int_eq(pt_init(&boot->kernel, geo, tables), PT_OK);
	ck_assert_int_eq(pt_map(&boot->kernel, FAKE_KERNEL, 0, LIVE_RAM, PT_WRITE, NULL), PT_OK);
	ck_assert_int_eq(pt_map(&boot->kernel, 0, 0, LIVE_RAM, PT_WRITE | PT_USER, NULL), PT_OK);
	vcpu->sregs.cr0 = CR0_PE | CR0_WP | CR0_PG;
	vcpu->sregs.cr3 = boot->kernel.root;
	vcpu->sregs.cr4 = CR4_PAE;
	vcpu->sregs.efer = EFER_LME | EFER_LMA | EFER_NXE;
}

static void write_gdt(void)
{
	uint64_t *gdt = (uint64_t *)(void *)fake_cpu_at(live, FAKE_GDT);
	static const struct {
		uint16_t selector;
		uint8_t type, dpl;
		bool code;
	} flat[] = {
	    {RS_SEL_KERNEL_CODE, DESC_CODE_RX, 0, true},
	    {RS_SEL_KERNEL_DATA, DESC_DATA_RW, 0, false},
	    {RS_SEL_USER_DATA, DESC_DATA_RW, 3, false},
	    {RS_SEL_USER_CODE, DESC_CODE_RX, 3, true},
	};

	for (size_t i = 0; i < sizeof(flat) / sizeof(flat[0]); i++) {
		const struct desc_segment segment = {.limit = 0xffffffff,
		                                     .type = flat[i].type,
		                                     .dpl = flat[i].dpl,
		                                     .present = true,
		                                     .code64 = flat[i].code,
		                                     .big = !flat[i].code};

		ck_assert(desc_segment_encode(&segment, gdt + flat[i].selector / 8));
	}
}

static void set_msr(uint32_t index, uint64_t value)
{
	vcpu->msrs[vcpu->msr_count++] = (struct kvm_msr_entry){.index = index, .data = value};
}

/* Its entries, as the processor has them. */
static void write_entries(void)
{
	for (unsigned vector = 0; vector < 256; vector++) {
		const struct desc_gate gate = {.offset =
		                                   FAKE_VECTORS + (uint64_t)FAKE_STRIDE * vector,
		                               .selector = RS_SEL_KERNEL_CODE,
		                               .type = DESC_INTERRUPT_GATE,
		                               .present = true};
		uint64_t words[2];

		ck_assert(desc_gate_encode(&gate, words));
		memcpy(fake_cpu_at(live, FAKE_IDT + 16 * (uint64_t)vector), words, sizeof(words));
	}
	vcpu->sregs.idt.base = FAKE_IDT;
	vcpu->sregs.idt.limit = PAGE_SIZE - 1;
	vcpu->sregs.efer |= EFER_SCE;
	set_msr(MSR_STAR, desc_star(RS_SEL_KERNEL_CODE, RS_SEL_USER_CODE32));
	set_msr(MSR_LSTAR, FAKE_SYSCALL);
	set_msr(MSR_CSTAR, FAKE_COMPAT);
	set_msr(MSR_SYSENTER_CS, RS_SEL_KERNEL_CODE);
	set_msr(MSR_SYSENTER_EIP, FAKE_SYSENTER);
}

static void write_tss(void)
{
	struct desc_tss *tss = (void *)fake_cpu_at(live, FAKE_TSS);

	desc_tss_set_rsp(tss, 0, FAKE_RSP0);
	desc_tss_set_ist(tss, 1, FAKE_IST);
}

void fake_cpu_make(struct live_machine *of, unsigned ring)
{
	live = of;
	vcpu = &fake_kvm.vcpus[0];
	fake_cpu = (struct fake_cpu){.ring = ring};
	memset(fake_cpu_at(live, FAKE_VECTORS), 0x90, FAKE_GDT - FAKE_VECTORS);
	memset(fake_cpu_at(live, FAKE_CODE(ring)), 0x90, 0x1000);
	map_ram();
	write_gdt();
	write_tss();
	live->machine.image.noted = true;
	live->machine.image.note = (struct rs_note){.vectors = FAKE_VECTORS,
	                                            .vector_stride = FAKE_STRIDE,
	                                            .vector_count = 256,
	                                            .syscall_entry = FAKE_SYSCALL,
	                                            .compat_entry = FAKE_COMPAT,
	                                            .sysenter_entry = FAKE_SYSENTER};
	vcpu->regs = (struct kvm_regs){
	    .rip = FAKE_CODE(ring), .rsp = FAKE_STACK(ring), .rflags = RFLAGS_FIXED};
	vcpu->sregs.gdt.base = FAKE_GDT;
	vcpu->sregs.gdt.limit = RS_SEL_USER_CODE / 8 * 8 + 7;
	write_entries();
	vcpu->sregs.tr.base = FAKE_TSS;
	vcpu->sregs.tr.type = DESC_TSS_BUSY;
	load(ring ? RS_SEL_USER_CODE : RS_SEL_KERNEL_CODE,
	     ring ? RS_SEL_USER_DATA : RS_SEL_KERNEL_DATA);
	fake_kvm.run = fake_cpu_run;
	fake_kvm_catch_runs();
}

void fake_cpu_code(const struct live_machine *of, const void *bytes, size_t size)
{
	memcpy(fake_cpu_at(of, FAKE_CODE(0)), bytes, size);
}
