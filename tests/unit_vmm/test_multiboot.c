/* Multiboot, Multiboot 2 and PVH: what a kernel finds, and headers that lie. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit_vmm/made_file.h"
#include "tests/unit_vmm/made_kernel.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/boot/image_read.h"
#include "vmm/boot/pc_map.h"

#include <elf.h>

#define GIB (UINT64_C(1) << 30)

static uint64_t get(uint64_t gpa, unsigned size)
{
	const void *at = memory_at(&booted->memory, gpa, size);
	uint64_t value = 0;

	ck_assert_ptr_nonnull(at);
	memcpy(&value, at, size);
	return value;
}

static const char *text(uint64_t gpa)
{
	return memory_at(&booted->memory, gpa, 1);
}

/* A command line without its first word, which is the name of the kernel's file. */
static const char *behind_name(uint64_t gpa)
{
	const char *words = (const char *)text(gpa), *blank = strchr(words, ' ');

	ck_assert_int_eq(strncmp(words, "rs_made_", 8), 0);
	return blank ? blank + 1 : "";
}

static void with_module(void)
{
	booted_give("what is in it", 13);
}

static void is_module(uint64_t from, uint64_t to)
{
	ck_assert_uint_eq(from % PAGE_SIZE, 0);
	ck_assert_uint_eq(to - from, 13);
	ck_assert_mem_eq(text(from), "what is in it", 13);
	/* Not where the kernel is, or is zero. */
	ck_assert_uint_ge(from, MADE_GPA + MADE_MEMORY);
}

/* ---- Multiboot ------------------------------------------------------------------------------- */

START_TEST(the_information)
{
	uint64_t at;

	booted->plan.append = "root=hd0";
	boots(made_kernel((enum made_kind)_i));
	/* Memory, command line, memory map, the loader's name; no modules. */
	ck_assert_uint_eq(get(PC_HANDED, 4), 1 << 0 | 1 << 2 | 1 << 6 | 1 << 9);
	ck_assert_uint_eq(get(PC_HANDED + 4, 4), 639);
	ck_assert_uint_eq(get(PC_HANDED + 8, 4), (MADE_RAM >> 10) - 1024);
	ck_assert_str_eq(behind_name(get(PC_HANDED + 16, 4)), "root=hd0");
	ck_assert_str_eq(text(get(PC_HANDED + 64, 4)), "Ringscope");
	at = get(PC_HANDED + 48, 4);
	ck_assert_uint_eq(get(PC_HANDED + 44, 4), 4 * 24);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(get(at + i * 24, 4), 20);
	ck_assert_uint_eq(get(at + 3 * 24 + 4, 8), PC_HIGH);
	ck_assert_uint_eq(get(at + 3 * 24 + 12, 8), MADE_RAM - PC_HIGH);
	ck_assert_uint_eq(get(at + 3 * 24 + 20, 4), PC_RAM);
}
END_TEST

START_TEST(a_module)
{
	uint64_t at;

	with_module();
	boots(made_kernel(MADE_MULTIBOOT));
	ck_assert_uint_ne(get(PC_HANDED, 4) & 1 << 3, 0);
	ck_assert_uint_eq(get(PC_HANDED + 20, 4), 1);
	at = get(PC_HANDED + 24, 4);
	ck_assert_uint_eq(get(at, 4), MADE_GPA + MADE_MEMORY); /* right behind the kernel */
	is_module(get(at, 4), get(at + 4, 4));
	ck_assert_str_eq(text(get(at + 8, 4)), "");
	ck_assert_uint_eq(get(at + 12, 4), 0);
}
END_TEST

/* mem_upper ends at the first hole, and the map has the rest. */
START_TEST(much_ram)
{
	uint64_t at;

	with_module();
	booted->plan.mem = 8 * GIB;
	boots(made_kernel(MADE_MULTIBOOT));
	ck_assert_uint_eq(get(PC_HANDED + 8, 4), (RS_HOLE >> 10) - 1024);
	ck_assert_uint_eq(get(PC_HANDED + 44, 4), 5 * 24);
	at = get(PC_HANDED + 48, 4) + 4 * 24;
	ck_assert_uint_eq(get(at + 4, 8), 4 * GIB);
	ck_assert_uint_eq(get(at + 12, 8), 5 * GIB);
	at = get(PC_HANDED + 24, 4);
	is_module(get(at, 4), get(at + 4, 4));
}
END_TEST

/* 1 MiB: no kernel at 1 MiB, but one below it; 2 MiB: both. */
START_TEST(little_ram)
{
	struct made *made = made_kernel(MADE_MULTIBOOT);

	booted->plan.mem = 2 << 20;
	boots(made);
	ck_assert_uint_eq(get(PC_HANDED + 8, 4), 1024);
	booted->plan.mem = 1 << 20;
	is_refused_for(made, "and RAM ends at 0x100000: give more with --mem");
	made_set(made, MADE_AT + 12, 4, 0x40000);
	made_set(made, MADE_AT + 16, 4, 0x40000);
	made_set(made, MADE_AT + 20, 4, 0);
	made_set(made, MADE_AT + 24, 4, 0);
	made_set(made, MADE_AT + 28, 4, 0x40000 + MADE_ENTRY);
	boots(made);
	ck_assert_uint_eq(get(PC_HANDED + 8, 4), 0);
	ck_assert_uint_eq(get(PC_HANDED + 44, 4), 3 * 24);
	/* Below 1 MiB are ACPI's tables and what is handed over: there is no room for a module. */
	with_module();
	is_refused_for(made, "do not fit between the kernel's end, 0x100000, and 0x100000");
}
END_TEST

/* Section headers: a boot loader may hand them over, and need not. */
START_TEST(an_elf_kernel_with_sections)
{
	struct made *made = made_kernel(MADE_MULTIBOOT_ELF);

	made_set(made, offsetof(Elf32_Ehdr, e_shoff), 4, 0x800);
	made_set(made, offsetof(Elf32_Ehdr, e_shentsize), 2, sizeof(Elf32_Shdr));
	made_set(made, offsetof(Elf32_Ehdr, e_shnum), 2, 3);
	boots(made);
	ck_assert_uint_eq(get(PC_HANDED, 4) & (1 << 4 | 1 << 5), 0);
}
END_TEST

/* load_end_addr 0 stands for the file's end, bss_end_addr 0 for nothing behind that. */
START_TEST(addresses_that_are_left_out)
{
	struct made *made = made_kernel((enum made_kind)_i);
	const size_t at = _i == MADE_MULTIBOOT ? MADE_AT + 20 : MADE_AT + 48;

	made_set(made, at, 4, 0);
	boots(made);
	ck_assert_uint_eq(booted->image.pieces[0].filesz, MADE_TEXT);
	ck_assert_uint_eq(booted->image.pieces[0].memsz, MADE_MEMORY);
	made_set(made, at + 4, 4, 0);
	boots(made);
	ck_assert_uint_eq(booted->image.pieces[0].memsz, MADE_TEXT);
	made_set(made, at, 4, MADE_GPA + 0x800);
	boots(made);
	ck_assert_uint_eq(booted->image.pieces[0].filesz, 0x800);
	ck_assert_uint_eq(get(MADE_GPA + 0x7ff, 2), 0x800 % 251 - 1);
}
END_TEST

/* What is before the header goes to RAM, too. */
START_TEST(a_header_that_is_not_first)
{
	struct made *made = made_kernel(MADE_MULTIBOOT);

	made_set(made, MADE_AT + 12, 4, MADE_GPA + MADE_AT);
	made_set(made, MADE_AT + 20, 4, MADE_GPA + MADE_SIZE);
	made_set(made, MADE_AT + 28, 4, MADE_GPA);
	boots(made);
	ck_assert_uint_eq(booted->image.pieces[0].offset, 0);
	ck_assert_uint_eq(get(MADE_GPA + MADE_AT, 4), 0x1badb002);
}
END_TEST

static const struct lie {
	size_t at;
	uint32_t value;
	const char *words;
} lies[] = {
    {0, 0x1badb003, "is no kernel"},
    {4, 1 << 16 | 1 << 3, "flags is 0x10008: asks for what this boot loader does not know"},
    {4, 1 << 16 | 1 << 15, "flags is 0x18000"},
    {4, 3, "ELF header: there is none, and nothing else says where the kernel is to be loaded"},
    {12, MADE_GPA - 4, "load_addr 0x100000 and header_addr 0xffffc place the kernel before"},
    {12, MADE_GPA + MADE_AT + 4,
     "place the kernel before the file's beginning: the header is at "
     "offset 0x1000"},
    {12, UINT32_MAX, "header_addr 0xffffffff"},
    {16, MADE_GPA + 4, "load_addr 0x100004 and header_addr 0x100000"},
    {16, 0, "load_addr 0x0 and header_addr 0x100000"},
    {20, MADE_GPA - 1, "load_end_addr 0xfffff is below load_addr 0x100000"},
    {20, MADE_GPA + MADE_TEXT + 1, "0x1001 bytes at offset 0x1000 reach beyond the end"},
    {20, UINT32_MAX, "bss_end_addr 0x103000 is below load_end_addr 0xffffffff"},
    {24, MADE_GPA + MADE_TEXT - 1, "bss_end_addr 0x100fff is below load_end_addr 0x101000"},
    {24, 1, "bss_end_addr 0x1 is below"},
    {24, UINT32_MAX, "wants 0xffefffff bytes at 0x100000, and RAM ends at 0x4000000"},
    {28, 0, "entry_addr 0x0 lies outside what is loaded"},
    {28, MADE_GPA - 1, "entry_addr 0xfffff lies outside"},
    {28, MADE_GPA + MADE_TEXT, "entry_addr 0x101000 lies outside"},
    {28, UINT32_MAX, "entry_addr 0xffffffff"},
};

START_TEST(headers_that_lie)
{
	struct made *made = made_kernel(MADE_MULTIBOOT);

	made_set(made, MADE_AT + lies[_i].at, 4, lies[_i].value);
	if (lies[_i].at)
		made_sum(made);
	is_refused_for(made, lies[_i].words);
}
END_TEST

START_TEST(bss_without_a_load_end)
{
	struct made *made = made_kernel(MADE_MULTIBOOT);

	made_set(made, MADE_AT + 20, 4, 0);
	made_set(made, MADE_AT + 24, 4, MADE_GPA - 1);
	is_refused_for(made, "bss_end_addr 0xfffff is below load_addr 0x100000");
}
END_TEST

/* The header is the file's last bytes, its addresses are not there. */
START_TEST(a_header_that_is_cut)
{
	struct made *made = made_kernel(MADE_MULTIBOOT);

	made->size = MADE_AT + 31;
	is_refused_for(made, "ends before its addresses (truncated?)");
	made->size = MADE_AT + 12;
	is_refused_for(made, "ends before its addresses");
	made->size = MADE_AT + 11;
	is_refused_for(made, "is no kernel");
}
END_TEST

START_TEST(another_processor)
{
	struct made *made = made_kernel((enum made_kind)_i);

	made_set(made, offsetof(Elf32_Ehdr, e_machine), 2, EM_ARM);
	is_refused_for(made, "e_machine is 40: a kernel for another processor; must be 62 (x86-64) "
	                     "or 3 (80386)");
}
END_TEST

/* ---- Multiboot 2 ----------------------------------------------------------------------------- */

/* The first tag of this type; each begins at a multiple of 8, and the last one ends the whole. */
static uint64_t find_tag(uint32_t type)
{
	const uint64_t total = get(PC_HANDED, 4);
	uint64_t at = PC_HANDED + 8, found = 0;

	ck_assert_uint_eq(get(PC_HANDED + 4, 4), 0);
	ck_assert_uint_le(total, PC_HANDED_SIZE);
	for (;;) {
		const uint64_t size = get(at + 4, 4);

		ck_assert_uint_eq(at % 8, 0);
		ck_assert_uint_ge(size, 8);
		if (!found && get(at, 4) == type)
			found = at;
		if (get(at, 4) == 0) {
			ck_assert_uint_eq(size, 8);
			ck_assert_uint_eq(at + 8, PC_HANDED + total);
			return found;
		}
		at += (size + 7) & ~UINT64_C(7);
		ck_assert_uint_lt(at, PC_HANDED + total);
	}
}

START_TEST(the_tags)
{
	uint64_t at;

	booted->plan.append = &"12345678"[_i]; /* all remainders by 8 */
	boots(made_kernel(MADE_MULTIBOOT2));
	at = find_tag(1);
	ck_assert_str_eq(behind_name(at + 8), &"12345678"[_i]);
	ck_assert_uint_eq(get(at + 4, 4), 8 + strlen((const char *)text(at + 8)) + 1);
	ck_assert_str_eq(text(find_tag(2) + 8), "Ringscope");
	ck_assert_uint_eq(find_tag(3), 0);
	at = find_tag(4);
	ck_assert_uint_eq(get(at + 8, 4), 639);
	ck_assert_uint_eq(get(at + 12, 4), (MADE_RAM >> 10) - 1024);
	at = find_tag(6);
	ck_assert_uint_eq(get(at + 8, 4), 24); /* of an entry */
	ck_assert_uint_eq(get(at + 12, 4), 0);
	ck_assert_uint_eq(get(at + 4, 4), 16 + 4 * 24);
	ck_assert_uint_eq(get(at + 16 + 3 * 24, 8), PC_HIGH);
	ck_assert_uint_eq(get(at + 16 + 3 * 24 + 8, 8), MADE_RAM - PC_HIGH);
	ck_assert_uint_eq(get(at + 16 + 3 * 24 + 16, 4), PC_RAM);
	at = find_tag(15);
	ck_assert_mem_eq(text(at + 8), text(PC_ACPI), 36);
	ck_assert_uint_eq(get(at + 4, 4), 8 + 36);
}
END_TEST

START_TEST(a_module_has_a_tag)
{
	uint64_t at;

	with_module();
	boots(made_kernel(MADE_MULTIBOOT2_ELF));
	at = find_tag(3);
	is_module(get(at + 8, 4), get(at + 12, 4));
	ck_assert_str_eq(text(at + 16), "");
}
END_TEST

/* Offsets behind the header's beginning: 16 a request, 32 addresses, 56 the entry, 72 module
 * alignment, 80 the end; 88 bytes. */
static const struct lie lies2[] = {
    {0, 0xe85250d7, "is no kernel"},
    {4, 4, "architecture is 4: a kernel for another processor; must be 0 (i386)"},
    {8, 0, "header_length is 0x0: must be 0x10 or more, and end within the file's first 32 KiB"},
    {8, 15, "header_length is 0xf"},
    {8, MADE_TEXT + 1, "header_length is 0x1001"},
    {8, UINT32_MAX, "header_length is 0xffffffff"},
    {8, 16, "has no last tag"},
    {8, 87, "has no last tag"},
    {20, 0, "the tag of type 1 at 0x1010 has a size of 0"},
    {20, 7, "the tag of type 1 at 0x1010 has a size of 7"},
    {20, 73, "the tag of type 1 at 0x1010 has a size of 73"},
    {20, UINT32_MAX, "has a size of 4294967295"},
    {24, 22, "asks for information of type 22, which is not given here"},
    {28, UINT32_MAX, "asks for information of type 4294967295"},
    {28, 9, "asks for information of type 9"}, /* section headers */
    {16, 11, "has a tag of type 11 that is not optional"},
    {16, 5,
     "has a tag of type 5 that is not optional, and that this boot loader does not have (a "
     "graphical screen)"},
    {36, 20, "its address tag has 20 bytes"},
    {40, MADE_GPA - 8, "load_addr 0x100000 and header_addr 0xffff8"},
    {44, MADE_GPA + 8, "load_addr 0x100008 and header_addr 0x100000"},
    {48, MADE_GPA - 8, "load_end_addr 0xffff8 is below load_addr 0x100000"},
    {48, MADE_GPA + MADE_TEXT + 8, "reach beyond the end of the file"},
    {52, MADE_GPA, "bss_end_addr 0x100000 is below load_end_addr 0x101000"},
    {52, UINT32_MAX, "and RAM ends at 0x4000000"},
    {60, 8, "its entry tag has 8 bytes"},
    {64, MADE_GPA + MADE_TEXT, "its entry, 0x101000, lies outside what is loaded"},
    {64, 1, "its entry, 0x1, lies outside"},
    {64, UINT32_MAX, "its entry, 0xffffffff"},
    {56, 4, "its entry, 0x0, lies outside"}, /* no entry tag */
};

START_TEST(tags_that_lie)
{
	struct made *made = made_kernel(MADE_MULTIBOOT2);

	made_set(made, MADE_AT + lies2[_i].at, 4, lies2[_i].value);
	if (lies2[_i].at)
		made_sum(made);
	is_refused_for(made, lies2[_i].words);
}
END_TEST

/* Bit 0 of a tag's flags: the kernel can do without. */
START_TEST(what_is_optional_may_be_missing)
{
	struct made *made = made_kernel(MADE_MULTIBOOT2);

	made_set(made, MADE_AT + 18, 2, 1);
	made_set(made, MADE_AT + 24, 4, 9);
	made_set(made, MADE_AT + 28, 4, 99);
	boots(made);
	made_set(made, MADE_AT + 16, 2, 5);
	boots(made);
	made_set(made, MADE_AT + 16, 2, 77);
	boots(made);
}
END_TEST

/* What the machine cannot have is understood: no such tag is given (3.1.4). */
START_TEST(what_is_not_there_may_be_asked_for)
{
	struct made *made = made_kernel(MADE_MULTIBOOT2);

	made_set(made, MADE_AT + 24, 4, 8);
	made_set(made, MADE_AT + 28, 4, 21);
	boots(made);
	ck_assert_uint_eq(find_tag(8), 0);
	ck_assert_uint_eq(find_tag(21), 0);
}
END_TEST

START_TEST(from_the_files_beginning)
{
	struct made *made = made_kernel(MADE_MULTIBOOT2);

	made_set(made, MADE_AT + 40, 4, MADE_GPA + MADE_AT);
	made_set(made, MADE_AT + 44, 4, UINT32_MAX);
	made_set(made, MADE_AT + 48, 4, 0);
	boots(made);
	ck_assert_uint_eq(booted->image.pieces[0].gpa, MADE_GPA);
	ck_assert_uint_eq(booted->image.pieces[0].offset, 0);
	ck_assert_uint_eq(booted->image.pieces[0].filesz, MADE_SIZE);
}
END_TEST

/* The entry tag is before e_entry, which is before nothing. */
START_TEST(the_entry_of_an_elf_file)
{
	struct made *made = made_kernel(MADE_MULTIBOOT2_ELF);
	const uint32_t entry[4] = {3, 12, MADE_GPA + 0x200, 0};

	boots(made);
	ck_assert_uint_eq(booted->boot.entry.rip, MADE_GPA + MADE_ENTRY);
	memcpy(made->bytes + MADE_AT + 16, entry, sizeof(entry)); /* the request's place */
	boots(made);
	ck_assert_uint_eq(booted->boot.entry.rip, MADE_GPA + 0x200);
}
END_TEST

/* ---- Several modules ------------------------------------------------------------------------- */

enum { FILES = 1 + PLAN_MODULES_MAX };

static struct file {
	char path[32];
	uint8_t bytes[3 * PAGE_SIZE];
	size_t size;
	char words[32];
} files[FILES];

/* --initrd and so many modules, of all sizes around a page. */
static void with_modules(unsigned count)
{
	for (unsigned i = 0; i <= count; i++) {
		struct file *file = &files[i];

		file->size = PAGE_SIZE * (1 + i % 2) - 1 + i % 3;
		memset(file->bytes, (int)i + 1, file->size);
		strcpy(file->path, made_file(file->bytes, file->size));
		if (i == 0)
			booted->plan.initrd = file->path;
		else
			booted->plan.modules[i - 1] = (struct plan_module){file->path, file->words};
		snprintf(file->words, sizeof(file->words), i % 4 ? "module %u --quiet" : "%.0u", i);
	}
	booted->plan.module_count = count;
}

static void without_modules(void)
{
	for (unsigned i = 0; i < FILES; i++)
		unlink(files[i].path);
}

/* The n-th as the kernel finds it: where it begins and ends, and its words. */
static void find_module(enum made_kind kind, unsigned n, uint64_t found[3])
{
	uint64_t at;

	switch (kind) {
	case MADE_MULTIBOOT:
		at = get(PC_HANDED + 24, 4) + 16 * n;
		ck_assert_uint_lt(n, get(PC_HANDED + 20, 4));
		for (unsigned i = 0; i < 3; i++)
			found[i] = get(at + 4 * i, 4);
		break;
	case MADE_MULTIBOOT2:
		at = find_tag(3);
		for (; n; n--) {
			at += (get(at + 4, 4) + 7) & ~UINT64_C(7);
			ck_assert_uint_eq(get(at, 4), 3);
		}
		found[0] = get(at + 8, 4);
		found[1] = get(at + 12, 4);
		found[2] = at + 16;
		ck_assert_uint_eq(get(at + 4, 4), 16 + strlen(text(at + 16)) + 1);
		break;
	default:
		ck_assert_uint_lt(n, get(PC_HANDED + 12, 4));
		at = get(PC_HANDED + 16, 8) + 32 * n;
		found[0] = get(at, 8);
		found[1] = found[0] + get(at + 8, 8);
		found[2] = get(at + 16, 8);
	}
}

static const enum made_kind with_many[] = {MADE_MULTIBOOT, MADE_MULTIBOOT2, MADE_PVH};

START_TEST(all_modules_are_there)
{
	uint64_t behind = MADE_GPA + MADE_MEMORY, found[3];

	with_modules(PLAN_MODULES_MAX);
	boots(made_kernel(with_many[_i]));
	for (unsigned i = 0; i < FILES; i++) {
		find_module(with_many[_i], i, found);
		ck_assert_uint_eq(found[0] % PAGE_SIZE, 0);
		ck_assert_uint_ge(found[0], behind); /* in order, none upon another */
		ck_assert_uint_eq(found[1] - found[0], files[i].size);
		ck_assert_mem_eq(text(found[0]), files[i].bytes, files[i].size);
		ck_assert_str_eq(text(found[2]), i ? files[i].words : "");
		behind = found[1];
	}
	/* Linux's way: as high as it goes. */
	ck_assert_uint_eq((behind + PAGE_SIZE - 1) / PAGE_SIZE == MADE_RAM / PAGE_SIZE,
	                  with_many[_i] == MADE_PVH);
	without_modules();
}
END_TEST

/* A page and twice two: the third file is too many. */
START_TEST(modules_that_do_not_fit)
{
	char want[80];

	with_modules(2);
	booted->plan.mem = MADE_GPA + MADE_MEMORY + 5 * PAGE_SIZE;
	boots(made_kernel(with_many[_i]));
	booted->plan.mem -= PAGE_SIZE;
	snprintf(want, sizeof(want), "--module %s: its 4 KiB do not fit", files[2].path);
	is_refused_for(made_kernel(with_many[_i]), want);
	ck_assert_ptr_nonnull(strstr(booted->said, "with those before it: give more RAM"));
	without_modules();
}
END_TEST

START_TEST(words_that_are_too_long)
{
	static char words[PC_WORDS_SIZE];

	with_modules(1);
	memset(words, 'w', sizeof(words) - 1);
	booted->plan.modules[0].words = words + 1; /* with the final 0s of both */
	boots(made_kernel(with_many[_i]));
	booted->plan.modules[0].words = words;
	is_refused_for(made_kernel(with_many[_i]), "its words are too long: all modules' together "
	                                           "may have 16384 bytes");
	booted->plan.modules[0] = (struct plan_module){"/nowhere", ""};
	is_refused_for(made_kernel(with_many[_i]), "--module /nowhere: No such file");
	without_modules();
}
END_TEST

/* ---- PVH ------------------------------------------------------------------------------------- */

START_TEST(the_start_info)
{
	uint64_t at;

	booted->plan.append = "one two";
	if (_i)
		with_module();
	boots(made_kernel(_i ? MADE_PVH : MADE_PVH_32));
	ck_assert_uint_eq(get(PC_HANDED, 4), 0x336ec578);
	ck_assert_uint_eq(get(PC_HANDED + 4, 4), 1); /* the version that has a memory map */
	ck_assert_uint_eq(get(PC_HANDED + 8, 4), 0);
	ck_assert_uint_eq(get(PC_HANDED + 12, 4), (unsigned)_i);
	ck_assert_str_eq(text(get(PC_HANDED + 24, 8)), "one two");
	ck_assert_uint_eq(get(PC_HANDED + 32, 8), PC_ACPI);
	at = get(PC_HANDED + 40, 8);
	ck_assert_uint_eq(get(PC_HANDED + 48, 4), 4);
	ck_assert_uint_eq(get(at + 3 * 24, 8), PC_HIGH);
	ck_assert_uint_eq(get(at + 3 * 24 + 8, 8), MADE_RAM - PC_HIGH);
	ck_assert_uint_eq(get(at + 3 * 24 + 16, 8), PC_RAM);
	if (_i) {
		at = get(PC_HANDED + 16, 8);
		is_module(get(at, 8), get(at, 8) + get(at + 8, 8));
		ck_assert_uint_eq(get(at + 24, 8), 0);
	}
}
END_TEST

/* Linux is Linux whichever way it comes: its console is the serial line. */
START_TEST(linux_by_pvh)
{
	struct made *made = made_kernel(MADE_VMLINUX);
	const uint32_t note[] = {4, 8, 18, 0x006e6558, MADE_LINUX_GPA + 0x300, 0};

	memcpy(made->bytes + MADE_NOTE + 24, note, sizeof(note)); /* behind Linux's */
	booted->plan.protocol = boot_protocol_find("pvh");
	boots(made);
	ck_assert_str_eq(text(get(PC_HANDED + 24, 8)), "console=ttyS0 panic=-1");
	ck_assert_uint_eq(booted->boot.entry.rip, MADE_LINUX_GPA + 0x300);
}
END_TEST

START_TEST(notes_that_lie)
{
	static const struct lie notes[] = {
	    {0, 3, "it has not an ELF note of Xen"}, /* n_namesz */
	    {0, UINT32_MAX, "it has not an ELF note of Xen"},
	    {4, UINT32_MAX, "it has not an ELF note of Xen"}, /* n_descsz */
	    {4, 0, "it has not an ELF note of Xen"},
	    {8, 17, "it has not an ELF note of Xen"}, /* n_type */
	    {12, 0, "it has not an ELF note of Xen"}, /* the name */
	    {16, 0, "it has not an ELF note of Xen"}, /* the entry */
	    {16, 1, "its PVH entry, 0x1, lies in no segment"},
	    {16, MADE_GPA + MADE_TEXT, "its PVH entry, 0x101000, lies in no segment"},
	    {16, UINT32_MAX, "its PVH entry, 0xffffffff"},
	};
	struct made *made = made_kernel(MADE_PVH);

	made_set(made, MADE_NOTE + notes[_i].at, 4, notes[_i].value);
	booted->plan.protocol = boot_protocol_find("pvh");
	is_refused_for(made, notes[_i].words);
}
END_TEST

/* A file of nothing but notes, each of them large, is given up soon. */
START_TEST(many_notes)
{
	static struct {
		Elf64_Ehdr header;
		Elf64_Phdr segments[60000];
	} file;
	struct image image = IMAGE_CLOSED;

	file.header = (Elf64_Ehdr){
	    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	    .e_type = ET_EXEC,
	    .e_machine = EM_X86_64,
	    .e_version = EV_CURRENT,
	    .e_phoff = sizeof(file.header),
	    .e_ehsize = sizeof(file.header),
	    .e_phentsize = sizeof(Elf64_Phdr),
	    .e_phnum = 60000};
	for (unsigned i = 0; i < 60000; i++)
		file.segments[i] = (Elf64_Phdr){
		    .p_type = PT_NOTE, .p_offset = i, .p_filesz = 1 << 20, .p_align = 4};
	image.path = made_file(&file, sizeof(file));
	ck_assert(image_open_file(&image));
	image.head = (uint8_t *)&file;
	image.head_size = IMAGE_HEAD;
	ck_assert(!boot_protocol_find("pvh")->claims(&image));
	ck_assert(!boot_protocol_find("linux")->claims(&image));
	close(image.fd);
	unlink(image.path);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

Suite *multiboot_suite(void)
{
	Suite *suite = suite_create("multiboot");
	TCase *tests = tcase_create("multiboot");

	tcase_add_checked_fixture(tests, booted_begin, booted_end);
	tcase_set_timeout(tests, 20);
	tcase_add_loop_test(tests, the_information, MADE_MULTIBOOT, MADE_MULTIBOOT_ELF + 1);
	tcase_add_test(tests, a_module);
	tcase_add_test(tests, much_ram);
	tcase_add_test(tests, little_ram);
	tcase_add_test(tests, an_elf_kernel_with_sections);
	tcase_add_test(tests, a_header_that_is_not_first);
	tcase_add_loop_test(tests, headers_that_lie, 0, COUNT(lies));
	tcase_add_test(tests, bss_without_a_load_end);
	tcase_add_test(tests, a_header_that_is_cut);
	tcase_add_loop_test(tests, another_processor, MADE_MULTIBOOT_ELF, MADE_MULTIBOOT_ELF + 1);
	tcase_add_loop_test(tests, another_processor, MADE_MULTIBOOT2_ELF, MADE_KINDS);
	tcase_add_loop_test(tests, addresses_that_are_left_out, MADE_MULTIBOOT, MADE_MULTIBOOT + 1);
	tcase_add_loop_test(tests, addresses_that_are_left_out, MADE_MULTIBOOT2,
	                    MADE_MULTIBOOT2 + 1);
	tcase_add_loop_test(tests, the_tags, 0, 9);
	tcase_add_test(tests, a_module_has_a_tag);
	tcase_add_loop_test(tests, tags_that_lie, 0, COUNT(lies2));
	tcase_add_test(tests, what_is_optional_may_be_missing);
	tcase_add_test(tests, what_is_not_there_may_be_asked_for);
	tcase_add_test(tests, from_the_files_beginning);
	tcase_add_test(tests, the_entry_of_an_elf_file);
	tcase_add_loop_test(tests, all_modules_are_there, 0, 3);
	tcase_add_loop_test(tests, modules_that_do_not_fit, 0, 3);
	tcase_add_loop_test(tests, words_that_are_too_long, 0, 3);
	tcase_add_loop_test(tests, the_start_info, 0, 2);
	tcase_add_test(tests, linux_by_pvh);
	tcase_add_loop_test(tests, notes_that_lie, 0, 10);
	tcase_add_test(tests, many_notes);
	suite_add_tcase(suite, tests);
	return suite;
}
