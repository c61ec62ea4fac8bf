/* Linux's boot protocol: what a kernel finds (zero-page.rst, boot.rst), and headers that lie. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit_vmm/bytes.h"
#include "tests/unit_vmm/made_kernel.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/boot/pc_map.h"

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static const uint8_t *params(void)
{
	return memory_at(&booted->memory, PC_PARAMS, PAGE_SIZE);
}

/* ---- The parameters -------------------------------------------------------------------------- */

START_TEST(the_header_is_copied_to_its_last_byte)
{
	struct made *made = made_kernel(MADE_BZIMAGE);
	const uint8_t *p;

	made_set(made, 0x1f2, 2, 1);          /* root_flags: one that is only copied */
	made_set(made, 0x264, 4, 0x12345678); /* the last field */
	made_set(made, 0x210, 1, 0x11);       /* what is to be written */
	made_set(made, 0x1fa, 2, 0x303);
	boots(made);
	p = params();
	ck_assert_uint_eq(bytes_get(p + 0x1f2, 2), 1);
	ck_assert_uint_eq(bytes_get(p + 0x264, 4), 0x12345678);
	ck_assert_mem_eq(p + 0x1fe, made->bytes + 0x1fe, 0x210 - 0x1fe);
	ck_assert_uint_eq(p[0x210], 0xff); /* type_of_loader: none that has a number */
	ck_assert_uint_eq(bytes_get(p + 0x1fa, 2), 0xffff); /* vid_mode: normal */
	ck_assert_uint_eq(bytes_get(p + 0x214, 4), MADE_LINUX_GPA);
	ck_assert_uint_eq(bytes_get(p + 0x228, 4), PC_COMMAND);
	ck_assert_uint_eq(bytes_get(p + 0x218, 8), 0); /* no RAM disk */
	ck_assert_uint_eq(bytes_get(p + 0x70, 8), PC_ACPI);
	/* The rest is zero, the sentinel for loaders that copy too much also. */
	for (unsigned i = 0; i < 0x1e8; i++)
		ck_assert_msg(p[i] == 0 || (i >= 0x70 && i < 0x78), "0x%x", i);
	for (unsigned i = 0x1e9; i < 0x1f1; i++)
		ck_assert_msg(p[i] == 0, "0x%x", i);
	for (unsigned i = 0x268; i < 0x2d0; i++)
		ck_assert_msg(p[i] == 0, "0x%x", i);
}
END_TEST

START_TEST(vmlinux_gets_a_header)
{
	boots(made_kernel(MADE_VMLINUX));
	ck_assert_mem_eq(params() + 0x202, "HdrS", 4);
	ck_assert_uint_eq(bytes_get(params() + 0x1fe, 2), 0xaa55);
	ck_assert_uint_eq(bytes_get(params() + 0x206, 2), 0x20c);
	ck_assert_uint_eq(params()[0x210], 0xff);
	ck_assert_uint_eq(params()[0x211], 1);
	ck_assert_uint_eq(bytes_get(params() + 0x228, 4), PC_COMMAND);
	ck_assert_uint_eq(bytes_get(params() + 0x70, 8), PC_ACPI);
}
END_TEST

/* RAM below 1 MiB without the EBDA's place, ACPI's tables, RAM from 1 MiB to the hole, RAM above 4
 * GiB; no entry is empty, and none overlaps the next. */
START_TEST(the_map)
{
	static const struct {
		uint64_t mem, low_end, high_size;
	} maps[] = {
	    {MIB, MIB, 0},
	    {2 * MIB, 2 * MIB, 0},
	    {MIB + 4096, MIB + 4096, 0},
	    {3 * GIB, 3 * GIB, 0},
	    {3 * GIB + 4096, 3 * GIB, 4096},
	    {4 * GIB, 3 * GIB, GIB},
	    {8 * GIB, 3 * GIB, 5 * GIB},
	    {PLAN_MEM_MAX, 3 * GIB, PLAN_MEM_MAX - 3 * GIB},
	};
	const bool more = maps[_i].low_end > MIB, high = maps[_i].high_size;
	struct made *made = made_kernel(MADE_BZIMAGE);
	const uint8_t *at;
	uint64_t behind = 0;
	unsigned count;

	/* One that fits below 1 MiB, so that there is a map to see. */
	made_set(made, 0x258, 8, 0x40000);
	made_set(made, 0x260, 4, MADE_TEXT);
	booted->plan.mem = maps[_i].mem;
	boots(made);
	count = params()[0x1e8];
	at = params() + 0x2d0;
	ck_assert_uint_eq(count, 3U + more + high);
	for (unsigned i = 0; i < count; i++) {
		ck_assert_uint_ge(bytes_get(at + i * 20, 8), behind);
		ck_assert_uint_gt(bytes_get(at + i * 20 + 8, 8), 0);
		behind = bytes_get(at + i * 20, 8) + bytes_get(at + i * 20 + 8, 8);
	}
	ck_assert_uint_eq(bytes_get(at + 8, 8), PC_LOW_END);
	ck_assert_uint_eq(bytes_get(at + 16, 4), PC_RAM);
	ck_assert_uint_eq(bytes_get(at + 36, 4), PC_RESERVED);
	ck_assert_uint_eq(bytes_get(at + 40, 8), PC_ACPI);
	ck_assert_uint_eq(bytes_get(at + 56, 4), PC_ACPI_DATA);
	if (more) {
		ck_assert_uint_eq(bytes_get(at + 60, 8), MIB);
		ck_assert_uint_eq(bytes_get(at + 68, 8), maps[_i].low_end - MIB);
		ck_assert_uint_eq(bytes_get(at + 76, 4), PC_RAM);
	}
	if (high) {
		ck_assert_uint_eq(bytes_get(at + 80, 8), 4 * GIB);
		ck_assert_uint_eq(bytes_get(at + 88, 8), maps[_i].high_size);
		ck_assert_uint_eq(bytes_get(at + 96, 4), PC_RAM);
	}
	ck_assert_uint_eq(behind, high ? 4 * GIB + maps[_i].high_size : maps[_i].low_end);
}
END_TEST

START_TEST(ram_that_is_too_small)
{
	booted->plan.mem = (uint64_t)(_i + 1) << 20;
	is_refused_for(made_kernel(MADE_BZIMAGE), "give more with --mem");
	booted->plan.mem = MADE_LINUX_GPA + MADE_INIT_SIZE - PAGE_SIZE;
	is_refused_for(made_kernel(MADE_BZIMAGE),
	               "the kernel: wants 0x200000 bytes at 0x1000000, and RAM ends at 0x11ff000: "
	               "give more with --mem");
	booted->plan.mem += PAGE_SIZE;
	boots(made_kernel(MADE_BZIMAGE));
}
END_TEST

/* RAM behind the hole does not help. */
START_TEST(a_kernel_in_the_hole)
{
	struct made *made = made_kernel(MADE_BZIMAGE);

	made_set(made, 0x258, 8, RS_HOLE - 4096);
	booted->plan.mem = 8 * GIB;
	is_refused_for(made, "and RAM ends at 0xc0000000");
	ck_assert_ptr_null(strstr(booted->said, "--mem"));
}
END_TEST

/* ---- The command line ------------------------------------------------------------------------ */

static const char *command(void)
{
	return memory_at(&booted->memory, PC_COMMAND, PC_COMMAND_SIZE);
}

START_TEST(the_command_line)
{
	boots(made_kernel(MADE_BZIMAGE));
	ck_assert_str_eq(command(), "console=ttyS0 panic=-1");
	booted->plan.append = "ro quiet";
	booted->plan.pti = PTI_ON;
	boots(made_kernel(MADE_VMLINUX));
	ck_assert_str_eq(command(), "console=ttyS0 panic=-1 pti=on ro quiet");
	booted->plan.append = "";
	booted->plan.pti = PTI_OFF;
	boots(made_kernel(MADE_BZIMAGE_32));
	ck_assert_str_eq(command(), "console=ttyS0 panic=-1 pti=off");
}
END_TEST

/* cmdline_size does not count the final 0; more than there is room for is no more. */
START_TEST(a_command_line_that_is_too_long)
{
	static const struct {
		enum made_kind kind;
		uint64_t size;
		unsigned most;
	} sizes[] = {
	    {MADE_BZIMAGE, 255, 255},         {MADE_BZIMAGE, 2047, 2047},
	    {MADE_BZIMAGE, 4095, 4095},       {MADE_BZIMAGE, 4096, 4095},
	    {MADE_BZIMAGE, UINT32_MAX, 4095}, {MADE_VMLINUX, 0, 4095},
	};
	char words[5000], want[80];
	struct made *made = made_kernel(sizes[_i].kind);

	if (sizes[_i].size)
		made_set(made, 0x238, 4, sizes[_i].size);
	memset(words, 'a', sizeof(words));
	words[sizes[_i].most - strlen("console=ttyS0 panic=-1 ")] = '\0';
	booted->plan.append = words;
	boots(made);
	ck_assert_uint_eq(strlen(command()), sizes[_i].most);
	strcat(words, "b");
	snprintf(want, sizeof(want), "the command line has %u bytes: this kernel takes %u",
	         sizes[_i].most + 1, sizes[_i].most);
	is_refused_for(made, want);
	ck_assert_ptr_nonnull(strstr(booted->said, "--append: with 'console=ttyS0 panic=-1'"));
	memset(words, 'a', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	is_refused_for(made, "the command line has");
}
END_TEST

/* ---- The RAM disk ---------------------------------------------------------------------------- */

static void make_initrd(size_t size)
{
	uint8_t *bytes = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i % 253 + 1);
	booted_give(bytes, size);
	free(bytes);
}

START_TEST(the_ram_disk_lies_as_high_as_it_may)
{
	static const struct {
		uint64_t mem, max, end; /* max: 0: vmlinux, which does not say; end: behind it */
	} places[] = {
	    {64 * MIB, 0x7fffffff, 64 * MIB},  {64 * MIB, 0x37fffff, 0x3800000},
	    {64 * MIB, 0x37ffffe, 0x37ff000},  {8 * GIB, 0x7fffffff, 0x80000000},
	    {8 * GIB, UINT32_MAX, 0x80000000}, {8 * GIB, 0x37ffffff, 0x38000000},
	    {64 * MIB, 0, 64 * MIB},           {8 * GIB, 0, 0x80000000},
	    {64 * MIB, 0x1202fff, 0x1203000}, /* its three pages are just behind the kernel */
	};
	struct made *made = made_kernel(places[_i].max ? MADE_BZIMAGE : MADE_VMLINUX);
	const size_t size = 2 * PAGE_SIZE + 5;
	const uint8_t *ram;
	uint64_t gpa;

	if (places[_i].max)
		made_set(made, 0x22c, 4, places[_i].max);
	booted->plan.mem = places[_i].mem;
	make_initrd(size);
	boots(made);
	gpa = bytes_get(params() + 0x218, 4);
	ck_assert_uint_eq(bytes_get(params() + 0x21c, 4), size);
	ck_assert_uint_eq(gpa % PAGE_SIZE, 0);
	ck_assert_uint_eq(gpa + 3 * PAGE_SIZE, places[_i].end); /* whole pages */
	ram = memory_at(&booted->memory, gpa, size);
	for (size_t i = 0; i < size; i++)
		ck_assert_uint_eq(ram[i], i % 253 + 1);
}
END_TEST

START_TEST(a_ram_disk_that_does_not_fit)
{
	struct made *made = made_kernel(MADE_BZIMAGE);

	booted->plan.mem = MADE_LINUX_GPA + MADE_INIT_SIZE + 2 * PAGE_SIZE;
	make_initrd(2 * PAGE_SIZE);
	boots(made);
	make_initrd(2 * PAGE_SIZE + 1);
	is_refused_for(made, "its 8 KiB do not fit between the kernel's end, 0x1200000, and "
	                     "0x1202000, up to where it may lie: give more RAM with --mem");
	booted->plan.mem = MADE_RAM;
	made_set(made, 0x22c, 4, 0xffffff); /* below the kernel */
	is_refused_for(made, "do not fit between the kernel's end, 0x1200000, and 0x1000000");
	made_set(made, 0x22c, 4, 0);
	is_refused_for(made, "do not fit");
}
END_TEST

START_TEST(a_file_that_is_no_ram_disk)
{
	const struct made *made = made_kernel(MADE_BZIMAGE);

	booted->plan.initrd = "/nowhere/at/all";
	is_refused_for(made, "--initrd /nowhere/at/all: No such file");
	booted->plan.initrd = "/";
	is_refused_for(made, "--initrd /: is not a regular file");
	booted->plan.initrd = "/dev/zero";
	is_refused_for(made, "--initrd /dev/zero: is not a regular file");
	make_initrd(0);
	is_refused_for(made, ": is empty");
	booted->plan.initrd = NULL;
	booted->plan.module_count = 1;
	is_refused_for(made,
	               "is booted by Linux's boot protocol, which has no such thing: give its "
	               "RAM disk with --initrd");
}
END_TEST

/* ---- Where it is loaded ---------------------------------------------------------------------- */

START_TEST(kernels_of_all_ages)
{
	static const struct {
		uint16_t version;
		bool relocatable;
		uint64_t preferred, gpa, end;
	} ages[] = {
	    {0x206, false, UINT64_MAX, MADE_GPA, MADE_GPA + MADE_TEXT}, /* no such field */
	    {0x209, true, UINT64_MAX, MADE_GPA, MADE_GPA + MADE_TEXT},
	    {0x20a, true, MADE_LINUX_GPA, MADE_LINUX_GPA, MADE_LINUX_GPA + MADE_INIT_SIZE},
	    {0x20f, true, 0, MADE_GPA, MADE_GPA + MADE_INIT_SIZE},
	    /* It goes to 1 MiB and moves itself. */
	    {0x20c, false, MADE_LINUX_GPA, MADE_GPA, MADE_LINUX_GPA + MADE_INIT_SIZE},
	    {0x20c, false, MADE_GPA, MADE_GPA, MADE_GPA + MADE_INIT_SIZE},
	    {0x20c, false, 0, MADE_GPA, MADE_GPA + MADE_INIT_SIZE},
	};
	struct made *made = made_kernel(MADE_BZIMAGE_32);

	made_set(made, 0x206, 2, ages[_i].version);
	made_set(made, 0x234, 1, ages[_i].relocatable);
	made_set(made, 0x258, 8, ages[_i].preferred);
	boots(made);
	ck_assert_uint_eq(booted->image.piece_count, 1);
	ck_assert_uint_eq(booted->image.pieces[0].gpa, ages[_i].gpa);
	ck_assert_uint_eq(booted->image.pieces[0].gpa + booted->image.pieces[0].memsz,
	                  ages[_i].end);
	ck_assert_uint_eq(booted->boot.entry.rip, ages[_i].gpa);
	ck_assert_uint_eq(bytes_get(params() + 0x214, 4), ages[_i].gpa);
	ck_assert_mem_eq(memory_at(&booted->memory, ages[_i].gpa, MADE_TEXT), made->bytes + MADE_AT,
	                 MADE_TEXT);
}
END_TEST

/* xloadflags came with 2.12: what is at its place before is something else. */
START_TEST(who_is_entered_in_long_mode)
{
	struct made *made = made_kernel(MADE_BZIMAGE);

	made_set(made, 0x206, 2, 0x20b);
	boots(made);
	ck_assert(booted->boot.entry.bits32);
	made_set(made, 0x206, 2, 0x20c);
	boots(made);
	ck_assert(!booted->boot.entry.bits32);
}
END_TEST

/* setup_sects 0 stands for 4 (boot.rst, "setup_sects"); a file whose last paragraph is not full. */
START_TEST(the_kernel_in_the_file)
{
	struct made *made = made_kernel(MADE_BZIMAGE);

	made_set(made, 0x1f1, 1, 0);
	made_set(made, 0x1f4, 4, (MADE_SIZE - 5 * 512) / 16);
	boots(made);
	ck_assert_uint_eq(booted->image.pieces[0].offset, 5 * 512);
	made->size = MADE_SIZE - 15;
	boots(made);
	ck_assert_uint_eq(booted->image.pieces[0].filesz, MADE_SIZE - 5 * 512 - 15);
	made->size = MADE_SIZE - 16;
	is_refused_for(made, "(truncated?)");
}
END_TEST

/* ---- Headers that lie ------------------------------------------------------------------------ */

static const struct {
	size_t at;
	unsigned size;
	uint64_t value;
	const char *words;
} lies[] = {
    {0x1fe, 2, 0xaa54, "is no kernel"},
    {0x202, 4, 0, "is no kernel"},
    {0x206, 2, 0, "is of boot protocol 0.00: must be 2.06 or later"},
    {0x206, 2, 0x205, "is of boot protocol 2.05"},
    {0x211, 1, 0xfe, "loadflags is 0xfe: a zImage"},
    {0x201, 1, 0, "its jump says that it ends at 0x202: must be 0x264 to 0x290"},
    {0x201, 1, 0x61, "ends at 0x263"},
    {0x201, 1, 0x8f, "ends at 0x291"},
    {0x201, 1, 0xff, "ends at 0x301"},
    {0x1f1, 1, 0xff, "setup_sects 255 and syssize 0x100 reach beyond the end of the file"},
    {0x1f1, 1, MADE_SIZE / 512 - 1, "setup_sects 15"},
    {0x1f1, 1, MADE_SECTORS + 1, "(truncated?)"},
    {0x1f4, 4, 0, "syssize 0x0"},
    {0x1f4, 4, MADE_TEXT / 16 + 1, "setup_sects 7 and syssize 0x101 reach beyond the end"},
    {0x1f4, 4, UINT32_MAX, "syssize 0xffffffff reach beyond the end of the file, 0x2000"},
    {0x260, 4, 0, "init_size is 0x0: less than the 0x1000 bytes of the kernel"},
    {0x260, 4, MADE_TEXT - 1, "init_size is 0xfff"},
    {0x260, 4, UINT32_MAX, "wants 0xffffffff bytes at 0x1000000, and RAM ends at 0x4000000"},
    {0x258, 8, 1, "wants 0x200000 bytes at 0x1, where the BIOS' data lies"},
    {0x258, 8, UINT64_MAX, "wants 0x200000 bytes at 0xffffffffffffffff"},
    {0x258, 8, MADE_RAM, "wants 0x200000 bytes at 0x4000000"},
    {0x258, 8, 0xc0000, "where the memory of the screen and of ROMs lies"},
};

START_TEST(headers_that_lie)
{
	struct made *made = made_kernel(MADE_BZIMAGE);

	made_set(made, lies[_i].at, lies[_i].size, lies[_i].value);
	is_refused_for(made, lies[_i].words);
}
END_TEST

START_TEST(a_preferred_address_that_none_can_move_to)
{
	struct made *made = made_kernel(MADE_BZIMAGE);

	made_set(made, 0x234, 1, 0);
	made_set(made, 0x258, 8, UINT64_C(1) << 32);
	is_refused_for(made, "pref_address is 0x100000000: must be below 4 GiB");
	made_set(made, 0x258, 8, UINT32_MAX);
	is_refused_for(made, "give more with --mem");
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

Suite *boot_linux_suite(void)
{
	Suite *suite = suite_create("boot_linux");
	TCase *tests = tcase_create("boot_linux");

	tcase_add_checked_fixture(tests, booted_begin, booted_end);
	tcase_add_test(tests, the_header_is_copied_to_its_last_byte);
	tcase_add_test(tests, vmlinux_gets_a_header);
	tcase_add_loop_test(tests, the_map, 0, 8);
	tcase_add_loop_test(tests, ram_that_is_too_small, 0, 2);
	tcase_add_test(tests, a_kernel_in_the_hole);
	tcase_add_test(tests, the_command_line);
	tcase_add_loop_test(tests, a_command_line_that_is_too_long, 0, 6);
	tcase_add_loop_test(tests, the_ram_disk_lies_as_high_as_it_may, 0, 9);
	tcase_add_test(tests, a_ram_disk_that_does_not_fit);
	tcase_add_test(tests, a_file_that_is_no_ram_disk);
	tcase_add_loop_test(tests, kernels_of_all_ages, 0, 7);
	tcase_add_test(tests, who_is_entered_in_long_mode);
	tcase_add_test(tests, the_kernel_in_the_file);
	tcase_add_loop_test(tests, headers_that_lie, 0, COUNT(lies));
	tcase_add_test(tests, a_preferred_address_that_none_can_move_to);
	suite_add_tcase(suite, tests);
	return suite;
}
