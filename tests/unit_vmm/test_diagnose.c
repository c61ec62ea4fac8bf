#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/desc.h"
#include "shared/x86.h"
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/death/diagnose.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/look/disasm.h"
#include "vmm/look/view.h"

/* ---- A guest that has died --------------------------------------------------------------- */

enum {
	RAM = 0x10000,
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	PT = 0x4000,
	GDT = 0x5000,
	IDT = 0x6000,
	TSS = 0x7000,
	CODE = 0x8000, /* supervisor, executable */
	STACK = 0x9000,
	HOLE = 0xa000, /* not mapped */
};
/* RAM's first 2 MiB at the top of the address space, as a kernel lies. */
#define KERNEL UINT64_C(0xffffffff80000000)

static uint8_t ram[RAM];
static struct memory memory;
static struct kvm_regs regs;
static struct kvm_sregs sregs;
static struct kvm_run run;
static struct stats stats;
static struct diagnose_input input;

static void put_word(uint64_t gpa, uint64_t value)
{
	memcpy(ram + gpa, &value, sizeof(value));
}

static void map(uint64_t gpa, uint64_t flags)
{
	put_word(PT + gpa / PAGE_SIZE * 8, flags ? gpa | flags : 0);
}

static void put_gate(unsigned vector, uint64_t handler, uint8_t ist, bool present)
{
	uint64_t words[2];
	struct desc_gate gate = {
	    .offset = handler,
	    .selector = 8,
	    .ist = ist,
	    .type = DESC_INTERRUPT_GATE,
	    .present = present,
	};

	ck_assert(desc_gate_encode(&gate, words));
	put_word(IDT + vector * 16, words[0]);
	put_word(IDT + vector * 16 + 8, words[1]);
}

static void build_ram(void)
{
	static const uint8_t code[] = {
	    0x31, 0xc0,       /* xor eax, eax */
	    0x48, 0x8b, 0x18, /* mov rbx, [rax]   <- RIP */
	    0xf4,             /* hlt */
	    0xc3,             /* ret */
	};
	const uint64_t table = 7, nx = UINT64_C(1) << 63;
	struct desc_segment segment = {
	    .limit = 0xffffffff, .type = DESC_CODE_RX, .present = true, .code64 = true};
	struct desc_tss tss = {0};
	uint64_t words[2];

	memset(ram, 0, sizeof(ram));
	put_word(PML4 + 511 * 8, PDPT | table);
	put_word(PDPT + 510 * 8, PD | table);
	put_word(PD, PT | table);
	for (uint64_t gpa = 0; gpa < RAM; gpa += PAGE_SIZE)
		map(gpa, 3 | nx);
	map(CODE, 1);
	map(HOLE, 0);
	memcpy(ram + CODE, code, sizeof(code));
	ck_assert(desc_segment_encode(&segment, words));
	put_word(GDT + 8, words[0]);
	for (unsigned vector = 0; vector < 32; vector++)
		put_gate(vector, KERNEL + CODE, vector == VECTOR_DF, true);
	desc_tss_set_rsp(&tss, 0, KERNEL + STACK + PAGE_SIZE);
	desc_tss_set_ist(&tss, 1, KERNEL + STACK + PAGE_SIZE);
	memcpy(ram + TSS, &tss, sizeof(tss));
}

static void set_up(void)
{
	build_ram();
	memory = (struct memory){.base = ram, .size = RAM, .low_end = RAM};
	regs = (struct kvm_regs){.rip = KERNEL + CODE + 2,
	                         .rsp = KERNEL + STACK + PAGE_SIZE,
	                         .rax = 0x1234,
	                         .rflags = RFLAGS_FIXED | RFLAGS_ZF};
	sregs = (struct kvm_sregs){
	    .cs = {.limit = 0xffffffff,
	           .selector = 8,
	           .type = 11,
	           .present = 1,
	           .s = 1,
	           .l = 1,
	           .g = 1},
	    .ss = {.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .g = 1},
	    .tr = {.base = KERNEL + TSS, .limit = 0x67, .selector = 0x40, .type = 11, .present = 1},
	    .ldt = {.unusable = 1},
	    .gdt = {.base = KERNEL + GDT, .limit = 0xff},
	    .idt = {.base = KERNEL + IDT, .limit = 0x1ff},
	    .cr0 = CR0_PE | CR0_WP | CR0_PG,
	    .cr3 = PML4,
	    .cr4 = CR4_PAE,
	    .efer = EFER_LME | EFER_LMA | EFER_NXE,
	};
	run = (struct kvm_run){.exit_reason = KVM_EXIT_SHUTDOWN};
	ck_assert(stats_start_at(&stats, 0, 0));
	stats_stop_at(&stats, 1000, 1000);
	input = (struct diagnose_input){
	    .reason = END_SHUTDOWN,
	    .run = &run,
	    .regs = &regs,
	    .sregs = &sregs,
	    .memory = &memory,
	    .geometry = {.levels = 4, .maxphyaddr = 40, .nx = true, .gib_pages = true},
	    .stats = &stats,
	};
}

static void tear_down(void)
{
	stats_free(&stats);
}

static void check_printable(const char *text)
{
	const char *c = text;

	while (*c == '\n' || (*c >= ' ' && *c < 0x7f))
		c++;
	ck_assert_msg(!*c, "byte 0x%x at %td", (unsigned char)*c, c - text);
}

static char *account(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	diagnose_death(out, &input);
	fclose(out);
	ck_assert_uint_lt(size, 32 * 1024);
	ck_assert_uint_eq(strlen(text), size);
	/* Whatever a guest holds, a terminal gets text. */
	if (!input.color)
		check_printable(text);
	return text;
}

static void check_says(const char *what)
{
	char *text = account();

	ck_assert_msg(strstr(text, what) != NULL, "'%s' is missing in:\n%s", what, text);
	free(text);
}

static void check_silent(const char *what)
{
	char *text = account();

	ck_assert_msg(strstr(text, what) == NULL, "'%s' is in:\n%s", what, text);
	free(text);
}

/* ---- What it says ------------------------------------------------------------------------ */

START_TEST(a_triple_fault)
{
	check_says("the guest died: triple fault");
	check_says("RAX 0000000000001234");
	check_says("RFLAGS 42 [ZF], IOPL 0");
	check_says("CS  0008  base 0000000000000000  limit ffffffff  code, 64-bit, DPL 0");
	check_says("EFER 0000000000000d00 [LME LMA NXE]");
	check_says("     ffffffff80008000  31 c0 ");
	check_says("=> ffffffff80008002  48 8b 18 ");
	check_says("mov rbx, qword ptr [rax]");
	check_says("hlt");
	check_says("RIP ring 0 fetch of 0xffffffff80008002: allowed, physical 0x8002");
	check_says("CR2 ring 0 read of 0x0: #PF 0x0 at the PML4 entry: not present");
	check_says("#DF yes, by these tables");
	check_says("none was recorded");
}
END_TEST

/* Each thing that delivery needs, taken away alone. */
START_TEST(why_an_exception_is_not_delivered)
{
	sregs.idt.limit = 0x1f;
	check_says("#PF no: its gate lies beyond the IDT's limit 0x1f");
	sregs.idt.limit = VECTOR_PF * 16 + 14;
	check_says("#PF no: its gate lies beyond the IDT's limit 0xee");
	sregs.idt.limit++;
	check_says("#PF yes");
	set_up();
	sregs.gdt.limit = 8 + 6;
	check_says("#PF no: its code selector 0x8 is not in the GDT");
	sregs.gdt.limit++;
	check_says("#PF yes");
	set_up();
	map(IDT, 0);
	check_says("#PF no: its gate at 0xffffffff800060e0 is not mapped");
	set_up();
	put_gate(VECTOR_PF, KERNEL + CODE, 0, false);
	check_says("#PF no: its gate is not present");
	check_says("#GP yes");
	set_up();
	put_word(IDT + VECTOR_PF * 16, 0);
	check_says("#PF no: its IDT entry is no interrupt or trap gate (type 0)");
	set_up();
	put_word(GDT + 8, 0);
	check_says("#PF no: its code selector 0x8 names no present 64-bit code segment");
	set_up();
	put_word(GDT + 8, 0x00af93000000ffff); /* data, with code's L */
	check_says("#PF no: its code selector 0x8 names no present 64-bit code segment");
	put_word(GDT + 8, 0x00af99000000ffff); /* code that cannot be read */
	check_says("#PF yes");
	set_up();
	map(GDT, 0);
	check_says("#PF no: the GDT at 0xffffffff80005008 is not mapped");
	set_up();
	map(TSS, 0);
	check_says("#DF no: the TSS at 0xffffffff80007000 is not mapped");
	check_says("#PF yes");
	set_up();
	regs.rsp = KERNEL + HOLE + 0x100;
	check_says(
	    "#PF no: the stack (RSP) cannot take the frame: ring 0 write of 0xffffffff8000a0f8: "
	    "#PF 0x2");
	check_says("#DF yes");
	set_up();
	sregs.ss.dpl = 3;
	map(STACK, 0);
	check_says("#PF no: the RSP0 stack cannot take the frame");
	check_says("#DF no: its IST stack cannot take the frame");
	set_up();
	put_gate(VECTOR_DF, KERNEL + HOLE, 1, true);
	check_says("#DF no: its handler cannot run: ring 0 fetch of 0xffffffff8000a000: #PF 0x10");
	set_up();
	put_gate(VECTOR_GP, KERNEL + STACK, 0, true);
	check_says("#GP no: its handler cannot run: ring 0 fetch of 0xffffffff80009000: #PF 0x11");
}
END_TEST

START_TEST(a_reset_vcpu_is_not_the_guest)
{
	static struct kvm_regs reset = {.rip = 0xfff0, .rdx = 0xa20f11, .rflags = 2};
	static struct kvm_sregs reset_system = {
	    .cs = {.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .present = 1, .s = 1},
	    .cr0 = CR0_ET};

	ck_assert(vcpu_is_reset(&reset, &reset_system));
	ck_assert(!vcpu_is_reset(&regs, &sregs));
	input.regs = &reset;
	input.sregs = &reset_system;
	check_says("resets the vCPU at a shutdown");
	check_says("No earlier state was seen");
	check_silent("0a20f11");
	input.last_regs = &regs;
	input.last_sregs = &sregs;
	input.last_when = "at the last mark";
	check_says("Registers as last seen, at the last mark (not at the end)");
	check_says("RAX 0000000000001234");
	check_silent("0a20f11");
}
END_TEST

START_TEST(a_failed_emulation)
{
	input.reason = END_INTERNAL_ERROR;
	run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run.emulation_failure.ndata = 3;
	run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run.emulation_failure.insn_size = 3;
	memcpy(run.emulation_failure.insn_bytes, "\x0f\x01\xcb", 3);
	check_says("KVM had to carry out the instruction");
	check_says("KVM's emulator had fetched 0f 01 cb\n");
	run.emulation_failure.insn_size = 255;
	check_says("KVM's emulator had fetched 0f 01 cb 00");
	run.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run.internal.ndata = UINT32_MAX;
	check_says("while it delivered an event");
	check_says("detail 15: ");
	run.internal.suberror = 77;
	check_says("suberror 77");
}
END_TEST

START_TEST(other_ends)
{
	input.reason = END_FAIL_ENTRY;
	run.fail_entry.hardware_entry_failure_reason = 0x80000021;
	check_says("hardware reason 0x80000021: the guest's state is invalid (SDM");
	run.fail_entry.hardware_entry_failure_reason = UINT64_MAX;
	check_says("the guest's state is invalid (APM");
	input.reason = END_UNEXPECTED_EXIT;
	run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	check_says("KVM_RUN returned with reason 24, SYSTEM_EVENT.");
	run.exit_reason = UINT32_MAX;
	check_says("OTHER");
	for (int reason = 0; reason <= END_REASONS; reason++) {
		input.reason = (enum end_reason)reason;
		check_says("the guest died");
	}
}
END_TEST

START_TEST(a_panic)
{
	static const struct rs_regs saved = {
	    .rip = KERNEL + CODE, .rax = 0x77, .cs = 0x2b, .ss = 0x23, .error = 5};

	input.reason = END_PANIC;
	input.message = "out of frames\nin \033[31mfork\n\xff";
	input.message_size = 28;
	check_says("It said:\n    out of frames\n    in ?[31mfork\n    ?\n");
	input.panic_regs = &saved;
	check_says("as the guest had saved them, ring 3");
	check_says("RAX 0000000000000077");
	check_says("error code 0x5");
	check_says("=> ffffffff80008000");
	input.message = NULL;
	input.message_size = 5;
	check_says("It said:\n");
}
END_TEST

START_TEST(the_other_cpus)
{
	struct diagnose_cpu others[] = {
	    {.number = 0, .started = true, .known = true, .regs.rip = KERNEL + CODE + 2},
	    {.number = 2, .started = true, .known = true, .halted = true, .sregs.ss.dpl = 3},
	    {.number = 3},
	    {.number = 4, .started = true},
	};

	check_silent("on CPU");
	check_silent("other CPUs");
	input.cpu = 1;
	input.others = others;
	input.other_count = 4;
	check_says("the guest died on CPU 1: triple fault");
	check_says("\nThe other CPUs\n  CPU 0  ring 0  RIP ffffffff80008002");
	check_says("\n  CPU 2  halted, ring 3  RIP 0000000000000000");
	check_says("\n  CPU 3  was not started\n");
	check_says("\n  CPU 4  cannot be asked\n");
}
END_TEST

START_TEST(the_last_exits)
{
	stats.ring = (struct exit_ring){0};
	*exit_ring_next(&stats.ring) = ((struct exit_record){.reason = KVM_EXIT_IO,
	                                                     .size = 1,
	                                                     .write = true,
	                                                     .address = RS_PORT_PUTC,
	                                                     .value = 'A',
	                                                     .time = 100});
	*exit_ring_next(&stats.ring) = ((struct exit_record){
	    .reason = KVM_EXIT_MMIO, .size = 4, .address = 0x40000000, .time = 600});
	*exit_ring_next(&stats.ring) =
	    ((struct exit_record){.reason = KVM_EXIT_SHUTDOWN, .time = 900});
	check_says("800 ns earlier  IO writes 1 byte at 0x500 (console): 0x41\n");
	check_says("300 ns earlier  MMIO reads 4 bytes at 0x40000000\n");
	check_says("last          SHUTDOWN\n");
}
END_TEST

START_TEST(color_only_when_told)
{
	char *text;

	check_silent("\033");
	input.color = true;
	text = account();
	ck_assert_ptr_nonnull(strchr(text, '\033'));
	free(text);
}
END_TEST

START_TEST(nothing_is_known)
{
	input = (struct diagnose_input){.reason = END_SHUTDOWN, .memory = &memory};
	check_says("could not be read");
	input.reason = END_INTERNAL_ERROR;
	check_says("KVM cannot go on");
}
END_TEST

START_TEST(paging_off)
{
	sregs.cr0 = CR0_PE;
	sregs.efer = 0;
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	regs.rip = CODE + 2;
	check_says("paging is off");
	check_says("=> 0000000000008002  48 ");
	check_says("dec eax");
}
END_TEST

/* ---- Hostile ----------------------------------------------------------------------------- */

START_TEST(rip_anywhere)
{
	static const uint64_t places[] = {0,
	                                  1,
	                                  RAM,
	                                  KERNEL,
	                                  KERNEL + HOLE,
	                                  KERNEL + HOLE - 1,
	                                  KERNEL + CODE,
	                                  0x7fffffffffff,
	                                  0x800000000000,
	                                  0xffff7fffffffffff,
	                                  UINT64_MAX,
	                                  UINT64_MAX - 20};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		regs.rip = regs.rsp = sregs.cr2 = places[i];
		free(account());
	}
	check_says("at RIP there is no readable memory");
}
END_TEST

START_TEST(tables_that_lead_anywhere)
{
	/* Each level in turn: to itself, beyond RAM, to the last frame, reserved bits. */
	static const uint64_t entries[] = {
	    PML4 | 7, RAM | 7, (RAM - PAGE_SIZE) | 7, UINT64_MAX, UINT64_C(0x000ffffffffff087),
	    0x87,     1};
	static const uint64_t slots[] = {PML4 + 511 * 8, PDPT + 510 * 8, PD,
	                                 PT + CODE / PAGE_SIZE * 8};

	for (size_t s = 0; s < sizeof(slots) / sizeof(slots[0]); s++) {
		for (size_t e = 0; e < sizeof(entries) / sizeof(entries[0]); e++) {
			build_ram();
			put_word(slots[s], entries[e]);
			free(account());
		}
	}
	build_ram();
	sregs.cr3 = UINT64_MAX;
	free(account());
	sregs.cr3 = RAM;
	check_says("outside");
}
END_TEST

/* Random bytes everywhere: memory, registers, what KVM tells. */
START_TEST(random_guests)
{
	uint64_t seed = 3 + (uint64_t)_i;
	struct rs_regs saved;
	char message[100];

	for (int round = 0; round < 400; round++) {
		unsigned parts = (unsigned)(random_next(&seed) % 32);

		set_up();
		if (parts & 1)
			random_fill(&seed, ram, sizeof(ram));
		if (parts & 2)
			random_fill(&seed, &regs, sizeof(regs));
		if (parts & 4) {
			random_fill(&seed, &sregs, sizeof(sregs));
			if (round % 2) {
				sregs.cr3 = PML4;
				sregs.cr0 |= CR0_PG;
				sregs.efer |= EFER_LMA;
			}
		}
		if (parts & 8)
			random_fill(&seed, &run, sizeof(run));
		if (parts & 16) {
			random_fill(&seed, &stats.ring, sizeof(stats.ring));
			/* The VMM fills it: a bool in it is one. */
			for (size_t i = 0; i < EXIT_RING_SIZE; i++)
				stats.ring.records[i].write = random_next(&seed) & 1;
		}
		random_fill(&seed, &saved, sizeof(saved));
		random_fill(&seed, message, sizeof(message));
		input.panic_regs = round % 3 ? &saved : NULL;
		input.message = message;
		input.message_size = sizeof(message);
		input.reason = (enum end_reason)(random_next(&seed) % END_REASONS);
		free(account());
		stats_free(&stats);
	}
	set_up();
}
END_TEST

/* Single bits of a sane guest's memory: close to what a buggy kernel does. */
START_TEST(flipped_bits)
{
	uint64_t seed = 4;

	for (int round = 0; round < 2000; round++) {
		size_t byte = PML4 + random_next(&seed) % (CODE + 64 - PML4);

		build_ram();
		ram[byte] ^= (uint8_t)(1U << random_next(&seed) % 8);
		ram[PML4 + 511 * 8 + random_next(&seed) % 8] ^=
		    (uint8_t)(1U << random_next(&seed) % 8);
		free(account());
	}
}
END_TEST

START_TEST(symbols_in_an_account)
{
	input.elf = test_elf_file();
	check_says("RIP ffffffff80008002 <start+0x2>");
	check_says("xor eax, eax <start>");
	unlink(input.elf);
	check_silent("start");
}
END_TEST

/* ---- Disassembly ------------------------------------------------------------------------- */

START_TEST(any_bytes_are_shown)
{
	uint64_t seed = 6;
	struct symbols none = {0};

	for (int round = 0; round < 3000; round++) {
		uint8_t code[DISASM_BEFORE + DISASM_AFTER];
		size_t size = random_next(&seed) % (sizeof(code) + 1);
		char *text = NULL;
		size_t length;
		FILE *out = open_memstream(&text, &length);
		struct disasm_input in = {
		    .code = code,
		    .size = size,
		    .at = random_next(&seed) % (size + 1),
		    .address = random_next(&seed),
		    .bits = (unsigned)(16U << random_next(&seed) % 3),
		    .symbols = &none,
		};

		random_fill(&seed, code, sizeof(code));
		disasm_print(out, "  ", &in);
		fclose(out);
		ck_assert_uint_lt(length, 2000);
		ck_assert(in.at == size || strstr(text, "=>") != NULL);
		free(text);
	}
}
END_TEST

Suite *diagnose_suite(void)
{
	Suite *suite = suite_create("diagnose");
	TCase *tests = tcase_create("diagnose");

	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_triple_fault);
	tcase_add_test(tests, why_an_exception_is_not_delivered);
	tcase_add_test(tests, a_reset_vcpu_is_not_the_guest);
	tcase_add_test(tests, a_failed_emulation);
	tcase_add_test(tests, other_ends);
	tcase_add_test(tests, a_panic);
	tcase_add_test(tests, the_other_cpus);
	tcase_add_test(tests, the_last_exits);
	tcase_add_test(tests, color_only_when_told);
	tcase_add_test(tests, nothing_is_known);
	tcase_add_test(tests, paging_off);
	tcase_add_test(tests, rip_anywhere);
	tcase_add_test(tests, tables_that_lead_anywhere);
	tcase_add_loop_test(tests, random_guests, 0, 4);
	tcase_add_test(tests, flipped_bits);
	tcase_add_test(tests, symbols_in_an_account);
	tcase_add_test(tests, any_bytes_are_shown);
	suite_add_tcase(suite, tests);
	return suite;
}
