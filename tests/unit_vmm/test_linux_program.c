/* Programs for a Linux guest: which files are taken for one, whatever stands in them. */
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include <check.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/cli/linux_program.h"

struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	char interpreter[32];
};

static struct file good(void)
{
	return (struct file){
	    .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	               .e_type = ET_EXEC,
	               .e_machine = EM_X86_64,
	               .e_phoff = offsetof(struct file, segments),
	               .e_phentsize = sizeof(Elf64_Phdr),
	               .e_phnum = 2},
	    .segments = {{.p_type = PT_LOAD}, {.p_type = PT_LOAD}},
	    .interpreter = "/lib64/ld.so",
	};
}

/* Whether these bytes are, as a file with this mode. */
static bool taken(const void *bytes, size_t size, mode_t mode, bool helped)
{
	char path[] = "/tmp/program.XXXXXX";
	const int fd = mkstemp(path);
	struct linux_program program;
	bool result;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
	result = linux_program_read(&program, path, helped);
	if (result) {
		ck_assert_uint_eq(program.size, size);
		ck_assert(!memcmp(program.bytes, bytes, size));
	}
	linux_program_free(&program);
	unlink(path);
	return result;
}

START_TEST(what_is_a_program)
{
	struct file file = good();

	ck_assert(taken(&file, sizeof(file), 0755, false));
	ck_assert(taken(&file, sizeof(file), 0001, false) || getuid());
	ck_assert(!taken(&file, sizeof(file), 0644, false));
	file.header.e_type = ET_DYN; /* static-pie */
	ck_assert(taken(&file, sizeof(file), 0755, false));
	file.header.e_type = ET_REL;
	ck_assert(!taken(&file, sizeof(file), 0755, false));
	file = good();
	file.header.e_machine = EM_AARCH64;
	ck_assert(!taken(&file, sizeof(file), 0755, true));
	file = good();
	file.header.e_ident[EI_CLASS] = ELFCLASS32;
	ck_assert(!taken(&file, sizeof(file), 0755, true));
	file = good();
	for (size_t size = 0; size < sizeof(file.header); size++)
		ck_assert(!taken(&file, size, 0755, true));
}
END_TEST

START_TEST(what_needs_other_files)
{
	struct file file = good();

	file.segments[1].p_type = PT_INTERP;
	file.segments[1].p_offset = offsetof(struct file, interpreter);
	file.segments[1].p_filesz = 13;
	ck_assert(!taken(&file, sizeof(file), 0755, false));
	ck_assert(taken(&file, sizeof(file), 0755, true));
	file.segments[1].p_filesz = UINT64_MAX;
	ck_assert(!taken(&file, sizeof(file), 0755, false));
	file.segments[1].p_offset = UINT64_MAX;
	file.segments[1].p_filesz = 2;
	ck_assert(!taken(&file, sizeof(file), 0755, false));
	file.segments[1].p_offset = UINT64_C(1) << 40;
	ck_assert(!taken(&file, sizeof(file), 0755, false));
	ck_assert(!taken("#!/bin/sh\n", 10, 0755, false));
	ck_assert(taken("#!/bin/sh\n", 10, 0755, true));
	ck_assert(!taken("text\n", 5, 0755, true));
}
END_TEST

/* Headers that lie anywhere are not read behind the file's end. */
START_TEST(headers_of_any_kind)
{
	uint64_t random = 1;

	for (unsigned i = 0; i < 300; i++) {
		struct file file = good();
		uint8_t *bytes = (uint8_t *)&file;

		for (unsigned k = 0; k < 4; k++)
			bytes[EI_NIDENT + random_next(&random) % (sizeof(file) - EI_NIDENT)] =
			    (uint8_t)random_next(&random);
		file.header.e_phnum = (uint16_t)random_next(&random);
		if (random_next(&random) % 2)
			file.header.e_phoff = sizeof(file) - random_next(&random) % 80;
		taken(&file, sizeof(file), 0755, false);
	}
}
END_TEST

START_TEST(what_is_no_file)
{
	struct linux_program program;

	ck_assert(!linux_program_read(&program, "/", false));
	linux_program_free(&program);
	ck_assert(!linux_program_read(&program, "/dev/null", false));
	linux_program_free(&program);
	ck_assert(!linux_program_read(&program, "/nosuch", false));
	linux_program_free(&program);
}
END_TEST

Suite *linux_program_suite(void)
{
	Suite *suite = suite_create("linux_program");
	TCase *tests = tcase_create("linux_program");

	tcase_add_test(tests, what_is_a_program);
	tcase_add_test(tests, what_needs_other_files);
	tcase_add_test(tests, headers_of_any_kind);
	tcase_add_test(tests, what_is_no_file);
	suite_add_tcase(suite, tests);
	return suite;
}
