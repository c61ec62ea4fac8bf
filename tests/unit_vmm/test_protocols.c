/* Boot protocols: which one a file is taken for, where it goes, in what state it is entered; and
 * files that lie. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/desc.h"
#include "tests/unit_vmm/made_file.h"
#include "tests/unit_vmm/fake_kvm.h"
#include "tests/unit_vmm/made_kernel.h"
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/boot/pc_map.h"

/* Behind shared/x86.h, whose PF_W is another. */
#include <elf.h>

static void setup(void)
{
	fake_kvm_reset();
	booted_begin();
}

/* ---- The choice ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	bool bits32;
	uint64_t gpa, rip, rsi;
	uint32_t eax, ebx;
} kinds[MADE_KINDS] = {
    [MADE_BZIMAGE] = {"linux", false, MADE_LINUX_GPA, MADE_LINUX_GPA + 0x200, PC_PARAMS, 0, 0},
    [MADE_BZIMAGE_32] = {"linux", true, MADE_LINUX_GPA, MADE_LINUX_GPA, PC_PARAMS, 0, 0},
    [MADE_VMLINUX] = {"linux", false, MADE_LINUX_GPA, MADE_LINUX_GPA + MADE_ENTRY, PC_PARAMS, 0, 0},
    [MADE_PVH] = {"pvh", true, MADE_GPA, MADE_GPA + MADE_ENTRY, 0, 0, PC_HANDED},
    [MADE_PVH_32] = {"pvh", true, MADE_GPA, MADE_GPA + MADE_ENTRY, 0, 0, PC_HANDED},
    [MADE_MULTIBOOT] = {"multiboot", true, MADE_GPA, MADE_GPA + MADE_ENTRY, 0, 0x2badb002,
                        PC_HANDED},
    [MADE_MULTIBOOT_ELF] = {"multiboot", true, MADE_GPA, MADE_GPA + MADE_ENTRY, 0, 0x2badb002,
                            PC_HANDED},
    [MADE_MULTIBOOT2] = {"multiboot2", true, MADE_GPA, MADE_GPA + MADE_ENTRY, 0, 0x36d76289,
                         PC_HANDED},
    [MADE_MULTIBOOT2_ELF] = {"multiboot2", true, MADE_GPA, MADE_GPA + MADE_ENTRY, 0, 0x36d76289,
                             PC_HANDED},
    [MADE_ELF32] = {"elf32", true, MADE_GPA, MADE_GPA + MADE_ENTRY, 0, 0, 0},
};

START_TEST(a_file_is_taken_by_its_sign)
{
	const struct made *made = made_kernel((enum made_kind)_i);
	const uint8_t *ram;

	boots(made);
	ck_assert_str_eq(booted->image.protocol->name, kinds[_i].name);
	ck_assert(booted->image.protocol->is_pc);
	ck_assert_str_eq(booted->said, "");
	ram = memory_at(&booted->memory, kinds[_i].gpa, MADE_MEMORY);
	ck_assert_mem_eq(ram, made->bytes + MADE_AT, MADE_TEXT);
	ck_assert_uint_eq(ram[MADE_TEXT] | ram[MADE_MEMORY - 1], 0);
}
END_TEST

START_TEST(a_file_packed_by_gzip_is_what_is_in_it)
{
	struct made *made = made_kernel((enum made_kind)_i);

	made->packed = true;
	boots(made);
	ck_assert_str_eq(booted->image.protocol->name, kinds[_i].name);
	ck_assert_uint_eq(booted->image.file_size, MADE_SIZE);
	ck_assert_mem_eq(memory_at(&booted->memory, kinds[_i].gpa, MADE_TEXT),
	                 made->bytes + MADE_AT, MADE_TEXT);
}
END_TEST

/* A 32-bit ELF file with notes and headers of all that can be in one. */
static struct made *make_all_signs(void)
{
	uint32_t two[8] = {0xe85250d6, 0, 24, -(0xe85250d6 + 24), 0, 8};
	struct made *made = made_kernel(MADE_PVH_32);

	made_set(made, MADE_AT + 0x800, 4, 0x1badb002);
	made_set(made, MADE_AT + 0x804, 4, 0);
	made_set(made, MADE_AT + 0x808, 4, 0 - UINT64_C(0x1badb002));
	memcpy(made->bytes + MADE_AT + 0xa00, two, sizeof(two));
	return made;
}

START_TEST(boot_names_another)
{
	static const char *const names[] = {"multiboot2", "multiboot", "pvh", "elf32"};
	const struct made *made = make_all_signs();

	boots(made);
	ck_assert_str_eq(booted->image.protocol->name, "multiboot2"); /* the first in the table */
	for (unsigned i = 0; i < 4; i++) {
		booted->plan.protocol = boot_protocol_find(names[i]);
		boots(made);
		ck_assert_str_eq(booted->image.protocol->name, names[i]);
	}
	booted->plan.protocol = boot_protocol_find("linux");
	is_refused_for(made, "--boot linux: it has not a bzImage's setup header");
	booted->plan.protocol = boot_protocol_find("elf");
	is_refused_for(made, "--boot elf: it has not a 64-bit ELF header");
}
END_TEST

START_TEST(the_table_has_names)
{
	char list[200];

	ck_assert_str_eq(boot_protocol_list(list, sizeof(list)),
	                 "ringscope, linux, multiboot2, multiboot, pvh, elf, elf32");
	ck_assert_str_eq(boot_protocol_list(list, 12), "ringscope, ");
	ck_assert_ptr_null(boot_protocol_find("xen"));
	ck_assert_str_eq(boot_protocol_find("pvh")->title, "PVH");
}
END_TEST

START_TEST(a_file_without_a_sign)
{
	struct made *made = made_kernel(MADE_MULTIBOOT);

	made_set(made, MADE_AT + 8, 4, 0); /* a wrong checksum makes it none */
	is_refused_for(made, "and has none of an ELF note named");
	ck_assert_ptr_nonnull(strstr(booted->said, "a Multiboot header in its first 8 KiB (multi"));
	ck_assert_ptr_nonnull(strstr(booted->said, "a 32-bit ELF header (elf32)"));
	made->size = 1;
	is_refused_for(made, "is no kernel");
	made->size = 0;
	is_refused_for(made, "is empty");
}
END_TEST

/* In the last place where it may be, and one further. */
START_TEST(headers_are_looked_for_so_far)
{
	static uint8_t file[40000];
	static const struct {
		const char *name;
		uint32_t words[6];
		size_t size, first_beyond, align;
	} headers[] = {
	    {"multiboot",
	     {0x1badb002, 1 << 16, -(UINT32_C(0x1badb002) + (1 << 16))},
	     12,
	     8192 - 12 + 4,
	     4},
	    {"multiboot2", {0xe85250d6, 0, 24, -(0xe85250d6 + 24), 0, 8}, 24, 32768 - 16 + 8, 8},
	};
	struct image image;

	memset(file, 0, sizeof(file));
	memcpy(file + headers[_i].first_beyond, headers[_i].words, headers[_i].size);
	image = (struct image){.head = file, .head_size = IMAGE_HEAD};
	ck_assert(!boot_protocol_find(headers[_i].name)->claims(&image));
	memset(file, 0, sizeof(file));
	memcpy(file + headers[_i].first_beyond - headers[_i].align, headers[_i].words,
	       headers[_i].size);
	ck_assert(boot_protocol_find(headers[_i].name)->claims(&image));
	ck_assert_uint_eq(image.header, headers[_i].first_beyond - headers[_i].align);
	memset(file, 0, sizeof(file)); /* not aligned */
	memcpy(file + headers[_i].align / 2, headers[_i].words, headers[_i].size);
	ck_assert(!boot_protocol_find(headers[_i].name)->claims(&image));
}
END_TEST

START_TEST(words_only_for_who_finds_them)
{
	booted->plan.append = "quiet";
	is_refused_for(made_kernel(MADE_ELF32), "--append: ");
	ck_assert_ptr_nonnull(strstr(booted->said, "leave it out"));
	booted->plan.append = NULL;
	booted->plan.initrd = "/dev/null";
	is_refused_for(made_kernel(MADE_ELF32), "--initrd: ");
	booted->plan.module_count = 1;
	is_refused_for(made_kernel(MADE_ELF32), "--module: ");
	ck_assert_ptr_nonnull(strstr(booted->said, "leave it out"));
}
END_TEST

/* ---- gzip ------------------------------------------------------------------------------------ */

/* The packed bytes of `made`; cut and changed they are a file again. */
static size_t pack(const struct made *made, uint8_t *to, size_t size)
{
	struct made copy = *made;
	size_t got = 0;
	FILE *pipe;
	const char *path = made_file(copy.bytes, copy.size);
	char command[80];

	snprintf(command, sizeof(command), "gzip -c %s", path);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	got = fread(to, 1, size, pipe);
	ck_assert_int_eq(pclose(pipe), 0);
	unlink(path);
	return got;
}

START_TEST(a_damaged_gzip_file)
{
	struct made packed = {0};
	const size_t size = pack(made_kernel(MADE_MULTIBOOT), packed.bytes, MADE_SIZE);

	ck_assert_uint_gt(size, 40);
	for (size_t cut = 3; cut < size; cut += cut < 30 ? 1 : 17) {
		packed.size = cut;
		ck_assert_msg(!booted_boot(&packed), "cut to %zu bytes", cut);
		ck_assert_ptr_nonnull(strstr(booted->said, "vmm: "));
	}
	packed.size = size - 5; /* in the checksum */
	is_refused_for(&packed, "is packed by gzip, and damaged or truncated");
	packed.size = size;
	boots(&packed);
	packed.bytes[size - 8] ^= 1; /* CRC */
	is_refused_for(&packed, "is packed by gzip, and damaged");
	packed.bytes[size - 8] ^= 1;
	packed.bytes[size / 2] ^= 0x55;
	is_refused_for(&packed, "is packed by gzip, and damaged");
}
END_TEST

/* 2 MiB and a byte of zeros for 2 MiB of RAM. */
START_TEST(a_gzip_bomb)
{
	const size_t size = (2 << 20) + (size_t)_i;
	uint8_t *zeros = calloc(1, size);
	struct made packed = {0};
	const char *path = made_file(zeros, size);
	char command[80];
	FILE *pipe;

	snprintf(command, sizeof(command), "gzip -9c %s", path);
	pipe = popen(command, "r");
	packed.size = fread(packed.bytes, 1, MADE_SIZE, pipe);
	ck_assert_int_eq(pclose(pipe), 0);
	unlink(path);
	free(zeros);
	booted->plan.mem = 2 << 20;
	is_refused_for(&packed, _i ? "unpacks to more than guest RAM has, 2 MiB: give more with "
	                             "--mem"
	                           : "is no kernel");
}
END_TEST

START_TEST(nothing_is_in_a_gzip_file)
{
	struct made *made = made_kernel(MADE_MULTIBOOT);

	made->packed = true;
	made->size = 0;
	is_refused_for(made, "nothing is in it");
}
END_TEST

/* ---- The first instruction ------------------------------------------------------------------- */

static bool start(unsigned number, struct vcpu_state *state)
{
	struct kvm kvm = {.fd = FAKE_DEVICE, .vm = FAKE_VM, .host.apic_khz = 1000000};
	struct start from = {
	    .plan = &booted->plan, .image = &booted->image, .boot = &booted->boot, .kvm = &kvm};
	const struct vcpu vcpu = {.fd = FAKE_VCPU + (int)number};

	return booted->image.protocol->start(&from, &vcpu, number, state);
}

static void is_flat(const struct kvm_segment *segment, uint16_t selector, uint8_t type)
{
	ck_assert_uint_eq(segment->selector, selector);
	ck_assert_uint_eq(segment->base, 0);
	ck_assert_uint_eq(segment->limit, 0xffffffff);
	ck_assert_uint_eq(segment->type, type);
	ck_assert(segment->present && segment->s && segment->g && segment->dpl == 0 &&
	          !segment->unusable);
}

/* What the segment registers hold must also be in the GDT: a kernel may load them again. */
static void gdt_has(const struct kvm_sregs *sregs, const struct kvm_segment *segment)
{
	const uint64_t *gdt = memory_at(&booted->memory, sregs->gdt.base, sregs->gdt.limit + 1);
	struct desc_segment found;

	ck_assert_uint_ge(sregs->gdt.limit, segment->selector + 7);
	desc_segment_decode(gdt + segment->selector / 8, &found);
	ck_assert_uint_eq(found.base, 0);
	ck_assert_uint_eq(found.limit, 0xffffffff);
	ck_assert_uint_eq(found.type, segment->type);
	ck_assert(found.present && !found.system && found.dpl == 0);
	ck_assert_uint_eq(found.code64, segment->l);
	ck_assert_uint_eq(found.big, segment->db);
}

/* Both are what Linux, PVH and Multiboot ask for. */
START_TEST(a_kernel_is_entered)
{
	const struct fake_vcpu *vcpu = &fake_kvm.vcpus[0];
	const struct kvm_sregs *sregs = &vcpu->sregs;
	/* Linux asks for these (its boot.rst, "32-bit Boot Protocol"); others are told nothing, and
	 * some never load CS again with their own GDT (xv6). */
	const uint16_t code = strcmp(kinds[_i].name, "linux") == 0 ? 0x10 : 0x08;
	struct vcpu_state state;

	boots(made_kernel((enum made_kind)_i));
	fake_kvm.vcpus[0].sregs.apic_base = 0xfee00900;
	ck_assert(start(0, &state));
	ck_assert_uint_eq(vcpu->regs.rip, kinds[_i].rip);
	ck_assert_uint_eq(vcpu->regs.rsi, kinds[_i].rsi);
	ck_assert_uint_eq(vcpu->regs.rax, kinds[_i].eax);
	ck_assert_uint_eq(vcpu->regs.rbx, kinds[_i].ebx);
	ck_assert_uint_eq(vcpu->regs.rdi | vcpu->regs.rbp, 0);
	ck_assert_uint_eq(vcpu->regs.rflags, 2);
	ck_assert(kinds[_i].rip < UINT64_C(1) << 32);

	is_flat(&sregs->cs, code, DESC_CODE_RX);
	is_flat(&sregs->ds, code + 8, DESC_DATA_RW);
	is_flat(&sregs->es, code + 8, DESC_DATA_RW);
	is_flat(&sregs->ss, code + 8, DESC_DATA_RW);
	gdt_has(sregs, &sregs->cs);
	gdt_has(sregs, &sregs->ds);
	ck_assert_uint_eq(sregs->cs.l, !kinds[_i].bits32);
	ck_assert_uint_eq(sregs->cs.db, kinds[_i].bits32);
	ck_assert_uint_eq(sregs->tr.type, DESC_TSS_BUSY);
	ck_assert_uint_eq(sregs->tr.present, 1);
	ck_assert_uint_eq(sregs->apic_base, 0xfee00900);
	ck_assert_uint_eq(sregs->cr0, kinds[_i].bits32 ? 0x11 : 0x80000011);
	ck_assert_uint_eq(sregs->cr4, kinds[_i].bits32 ? 0 : 1 << 5);
	ck_assert_uint_eq(sregs->efer, kinds[_i].bits32 ? 0 : 0x500);
}
END_TEST

/* What a PC's kernel finds although nothing of a BIOS is there: the end of low RAM, the serial
 * port, and calls that fail. */
START_TEST(real_mode_finds_a_bios)
{
	const uint16_t *words;
	uint16_t low_kib;

	boots(made_kernel((enum made_kind)_i));
	words = memory_at(&booted->memory, 0, PC_BIOS_END);
	ck_assert_uint_eq(words[0x400 / 2], 0x3f8);
	ck_assert_uint_eq(words[0x40e / 2], PC_LOW_END >> 4);
	memcpy(&low_kib, (const uint8_t *)words + 0x413, sizeof(low_kib));
	ck_assert_uint_eq(low_kib, PC_LOW_END >> 10);
	for (unsigned i = 0; i < 256; i++) {
		const uint32_t at = words[2 * i] + ((uint32_t)words[2 * i + 1] << 4);

		ck_assert_uint_eq(at, 0xff000);
		ck_assert_mem_eq(memory_at(&booted->memory, at, 4), "\xf9\xca\x02", 4);
	}
}
END_TEST

/* A 64-bit kernel finds all below 4 GiB at its own address. */
START_TEST(long_mode_has_an_identity_map)
{
	static const uint64_t addresses[] = {0,         PC_PARAMS, PC_GDT,  MADE_LINUX_GPA + 0x200,
	                                     RS_HOLE,   PC_IOAPIC, PC_APIC, 0x40000000,
	                                     0xffffffff};
	struct vcpu_state state;
	struct pt tree;

	booted->plan.mem = UINT64_C(8) << 30;
	boots(made_kernel(MADE_BZIMAGE));
	ck_assert(start(0, &state));
	tree = (struct pt){.root = state.sregs.cr3,
	                   .geo = {.levels = 4, .maxphyaddr = 40, .nx = true}};
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const uint64_t *pml4 = memory_at(&booted->memory, tree.root, PAGE_SIZE);
		const uint64_t *pdpt = memory_at(&booted->memory, pml4[0] & ~0xfffULL, PAGE_SIZE);
		const uint64_t *pd =
		    memory_at(&booted->memory, pdpt[addresses[i] >> 30] & ~0xfffULL, PAGE_SIZE);
		const uint64_t entry = pd[addresses[i] >> 21 & 511];

		ck_assert_uint_eq(entry & 0xfff, 0x83);
		ck_assert_uint_eq(entry & ~0xfffULL, addresses[i] & ~0x1fffffULL);
	}
}
END_TEST

START_TEST(other_cpus_wait)
{
	const struct kvm_regs before = {.rip = 0xfff0, .rflags = 2};
	struct vcpu_state state;

	booted->plan.cpus = 2;
	boots(made_kernel(MADE_MULTIBOOT));
	fake_kvm.vcpus[1].regs = before;
	ck_assert(start(1, &state));
	ck_assert_mem_eq(&fake_kvm.vcpus[1].regs, &before, sizeof(before));
	ck_assert_uint_eq(state.regs.rip, 0xfff0);
	ck_assert_uint_eq(fake_kvm_count(KVM_SET_REGS), 0);
}
END_TEST

/* ---- ELF files that lie ---------------------------------------------------------------------- */

enum { P64 = sizeof(Elf64_Ehdr) };
#define E64(field)    offsetof(Elf64_Ehdr, field), sizeof(((Elf64_Ehdr *)0)->field)
#define LOAD64(field) P64 + offsetof(Elf64_Phdr, field), sizeof(((Elf64_Phdr *)0)->field)

static const struct {
	size_t at;
	unsigned size;
	uint64_t value;
	const char *words;
} elf_lies[] = {
    {E64(e_machine), EM_AARCH64, "e_machine is 183: a kernel for another processor"},
    {E64(e_machine), 0, "e_machine is 0"},
    {E64(e_entry), 0, "e_entry is 0x0: lies in none of its segments"},
    {E64(e_entry), MADE_LINUX_GPA + MADE_MEMORY, "lies in none"},
    {E64(e_entry), UINT64_MAX, "e_entry is 0xffffffffffffffff"},
    {E64(e_phoff), UINT64_MAX, "e_phoff is 0xffffffffffffffff"},
    {E64(e_phnum), 0, "e_phnum is 0"},
    {LOAD64(p_type), PT_NULL, "none is PT_LOAD: there is nothing to run"},
    {LOAD64(p_offset), MADE_SIZE, "reach beyond the end of the file, 0x2000 (truncated?)"},
    {LOAD64(p_offset), UINT64_MAX, "reach beyond the end of the file"},
    {LOAD64(p_filesz), MADE_TEXT + 1, "reach beyond the end of the file"},
    {LOAD64(p_filesz), MADE_MEMORY + 1, "has 0x3001 bytes in the file for 0x3000 in memory"},
    {LOAD64(p_memsz), UINT64_MAX, "RAM ends at 0x4000000: give more with --mem"},
    {LOAD64(p_memsz), MADE_RAM - MADE_LINUX_GPA + 1, "give more with --mem"},
    {LOAD64(p_paddr), MADE_RAM, "program header 0: wants 0x3000 bytes at 0x4000000"},
    {LOAD64(p_paddr), UINT64_MAX, "wants 0x3000 bytes at 0xffffffffffffffff"},
    {LOAD64(p_paddr), 0, "where the BIOS' data lies"},
    {LOAD64(p_paddr), PC_BIOS_END - 1, "where the BIOS' data lies"},
    {LOAD64(p_paddr), PC_PARAMS, "where the boot data lies"},
    {LOAD64(p_paddr), PC_WORDS + PC_WORDS_SIZE - 1, "where the boot data lies"},
    {LOAD64(p_paddr), 0x9e000, "where the memory of the screen"},
    {LOAD64(p_paddr), 0xff000, "where the ACPI tables"},
};

START_TEST(elf_files_that_lie)
{
	struct made *made = made_kernel(MADE_VMLINUX);

	made_set(made, elf_lies[_i].at, elf_lies[_i].size, elf_lies[_i].value);
	is_refused_for(made, elf_lies[_i].words);
}
END_TEST

START_TEST(a_file_is_cut)
{
	struct made *made = made_kernel((enum made_kind)_i);

	for (size_t size = 1; size < MADE_SIZE; size += size < 0x100 ? 1 : 0x111) {
		made->size = size;
		ck_assert_msg(!booted_boot(made), "%d, cut to %zu bytes", _i, size);
		ck_assert_ptr_nonnull(strstr(booted->said, "vmm: "));
	}
}
END_TEST

/* Two segments: one upon the other; one of no bytes in the file, whose offset does not matter. */
START_TEST(segments_of_an_elf_file)
{
	struct made *made = made_kernel(MADE_VMLINUX);
	Elf64_Phdr second = {.p_type = PT_LOAD, .p_offset = MADE_SIZE + 77, .p_memsz = 16};

	made_set(made, E64(e_phnum), 3);
	for (unsigned i = 0; i < 4; i++) {
		/* Before the other one and behind it, with a byte in common and without. */
		second.p_paddr =
		    i < 2 ? MADE_LINUX_GPA - 15 - i : MADE_LINUX_GPA + MADE_MEMORY - 3 + i;
		memcpy(made->bytes + P64 + 2 * sizeof(second), &second, sizeof(second));
		if (i % 2 == 0)
			is_refused_for(made, "where another piece lies at 0x1000000");
		else
			boots(made);
	}
	made_set(made, E64(e_phnum), 2 + IMAGE_PIECES_MAX);
	made_set(made, E64(e_phoff), 0x800);
	memcpy(made->bytes + 0x800, made->bytes + P64, 2 * sizeof(second));
	for (unsigned i = 0; i < IMAGE_PIECES_MAX; i++) {
		second.p_paddr = 0x2000000 + i * 16;
		memcpy(made->bytes + 0x800 + (2 + i) * sizeof(second), &second, sizeof(second));
	}
	is_refused_for(made, "program header 33: is more than the 32 pieces a kernel may have");
}
END_TEST

/* ---- Anything at all ------------------------------------------------------------------------- */

/* Where headers are. */
static size_t random_header_byte(uint64_t *seed)
{
	switch (random_next(seed) % 3) {
	case 0:
		return random_next(seed) % 0x290;
	case 1:
		return MADE_AT + random_next(seed) % 0x80;
	default:
		return MADE_NOTE + random_next(seed) % MADE_NOTES;
	}
}

/* Whether it boots does not matter: it neither crashes nor hangs, and who refuses says why. */
START_TEST(bytes_turned_over)
{
	enum { ROUNDS = 1500 };
	uint64_t seed = 0x5eed + (uint64_t)_i;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct made *made = made_kernel((enum made_kind)_i);
		const uint64_t count = 1 + random_next(&seed) % 4;

		for (uint64_t i = 0; i < count; i++) {
			const size_t at = random_header_byte(&seed);

			if (random_next(&seed) % 2)
				made->bytes[at] = (uint8_t)random_next(&seed);
			else /* a field of a size, at one of its ends */
				made_set(made, at & ~(size_t)7, 1U << random_next(&seed) % 4,
				         random_next(&seed) % 32 - 16);
		}
		if (random_next(&seed) % 4 == 0 &&
		    made->bytes[MADE_AT] == (_i < MADE_MULTIBOOT2 ? 2 : 0xd6))
			made_sum(made);
		if (random_next(&seed) % 8 == 0)
			made->size = 1 + random_next(&seed) % MADE_SIZE;
		booted->plan.mem = PLAN_MEM_MIN << random_next(&seed) % 14;
		booted->plan.append = random_next(&seed) & 1 ? "x" : NULL;
		if (!booted_boot(made))
			ck_assert_ptr_nonnull(strstr(booted->said, "vmm: "));
	}
}
END_TEST

Suite *protocols_suite(void)
{
	Suite *suite = suite_create("protocols");
	TCase *tests = tcase_create("protocols");

	tcase_add_checked_fixture(tests, setup, booted_end);
	tcase_add_loop_test(tests, a_file_is_taken_by_its_sign, 0, MADE_KINDS);
	tcase_add_loop_test(tests, a_file_packed_by_gzip_is_what_is_in_it, 0, MADE_KINDS);
	tcase_add_test(tests, boot_names_another);
	tcase_add_test(tests, the_table_has_names);
	tcase_add_test(tests, a_file_without_a_sign);
	tcase_add_loop_test(tests, headers_are_looked_for_so_far, 0, 2);
	tcase_add_test(tests, words_only_for_who_finds_them);
	tcase_add_test(tests, a_damaged_gzip_file);
	tcase_add_loop_test(tests, a_gzip_bomb, 0, 2);
	tcase_add_test(tests, nothing_is_in_a_gzip_file);
	tcase_add_loop_test(tests, a_kernel_is_entered, 0, MADE_KINDS);
	tcase_add_loop_test(tests, real_mode_finds_a_bios, 0, MADE_KINDS);
	tcase_add_test(tests, long_mode_has_an_identity_map);
	tcase_add_test(tests, other_cpus_wait);
	tcase_add_loop_test(tests, elf_files_that_lie, 0, sizeof(elf_lies) / sizeof(elf_lies[0]));
	tcase_add_loop_test(tests, a_file_is_cut, 0, MADE_KINDS);
	tcase_add_test(tests, segments_of_an_elf_file);
	tcase_add_loop_test(tests, bytes_turned_over, 0, MADE_KINDS);
	suite_add_tcase(suite, tests);
	return suite;
}
