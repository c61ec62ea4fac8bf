/* The core file: written, read back, and read back after somebody has tampered with it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "tests/unit_vmm/look_machine.h"
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/look/core_read.h"
#include "vmm/instruments/look/core_write.h"
#include "vmm/instruments/look/request.h"

/* After shared/x86.h, which has some of its names with the same values. */
#include <elf.h>

static struct look_machine *m;
static char path[] = "/tmp/unit_core.XXXXXX";
static const struct outcome panicked = {.reason = END_PANIC, .exit_reason = 2};
static const struct rs_regs saved = {.rip = LOOK_TEXT + 5, .rsp = 0x1234, .cs = 8, .rax = 77};
static struct core core;
static const struct symbols none;

static void write_it(void)
{
	struct kvm_fpu fpu = {.fcw = 0x37f, .mxcsr = 0x1f80};
	const struct core_vcpu vcpus[] = {
	    {
	        .number = 2,
	        .msr_count = 1,
	        .has_saved = 1,
	        .saved = saved,
	        .regs = m->moment.regs,
	        .sregs = m->moment.sregs,
	        .msrs = {{.index = MSR_LSTAR, .value = 0xabc}},
	    },
	    {.number = 0, .regs.rip = 0x1234567, .sregs.cr3 = 0x9000},
	};
	const struct core_contents contents = {
	    .moment = &m->moment,
	    .outcome = &panicked,
	    .guest = "dir/g.elf",
	    .vcpu_count = 2,
	    .vcpus = vcpus,
	    .fpu = {&fpu},
	};

	struct outfile out;

	ck_assert(outfile_open(&out, path, OUTFILE_OWNER));
	ck_assert(core_write(&out, &contents));
}

static void setup(void)
{
	int fd;

	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	m = look_machine_make();
	m->moment.regs.rip = LOOK_TEXT;
	m->moment.cpus = 3;
	memset(memory_at(&m->memory, 0x100000, 16), 0xcc, 16);
	write_it();
}

static void teardown(void)
{
	core_free(&core);
	look_machine_free();
	unlink(path);
}

START_TEST(what_was_written_is_read)
{
	struct look_moment back;

	ck_assert(core_read(&core, path));
	back = core_moment(&core, &none);
	ck_assert_uint_eq(core.memory.size, LOOK_RAM);
	ck_assert_int_eq(memcmp(core.memory.base, m->memory.base, LOOK_RAM), 0);
	ck_assert_int_eq(memcmp(&back.regs, &m->moment.regs, sizeof(back.regs)), 0);
	ck_assert_int_eq(memcmp(&back.sregs, &m->moment.sregs, sizeof(back.sregs)), 0);
	ck_assert_int_eq(memcmp(back.segments, m->moment.segments, sizeof(back.segments)), 0);
	ck_assert_uint_eq(back.segment_count, 4);
	ck_assert_uint_eq(back.kernel_cr3, m->kernel.root);
	ck_assert_uint_eq(back.user_cr3, m->user.root);
	ck_assert_uint_eq(back.boot_root, m->boot.kernel.root);
	ck_assert_uint_eq(back.free_start, m->moment.free_start);
	ck_assert_uint_eq(back.geometry.maxphyaddr, 46);
	ck_assert(back.noted && !back.stale && !back.foreign);
	ck_assert_str_eq(back.when, "now");
	ck_assert_str_eq(core.machine.guest, "dir/g.elf");
	ck_assert_uint_eq(core.machine.end_reason, END_PANIC);
	ck_assert_uint_eq(core.vcpu_count, 2);
	ck_assert_uint_eq(core.vcpus[0].number, 2);
	ck_assert_uint_eq(core.vcpus[0].has_saved, 1);
	ck_assert_uint_eq(core.vcpus[0].saved.rax, 77);
	ck_assert_uint_eq(core.vcpus[0].msr_count, 1);
	ck_assert_uint_eq(core.vcpus[0].msrs[0].value, 0xabc);
	ck_assert_uint_eq(core.vcpus[1].number, 0);
	ck_assert_uint_eq(core.vcpus[1].has_saved, 0);
	ck_assert_uint_eq(core.vcpus[1].regs.rip, 0x1234567);
	ck_assert_uint_eq(core.vcpus[1].sregs.cr3, 0x9000);
}
END_TEST

START_TEST(the_file_is_sparse)
{
	struct stat stat_of;

	ck_assert_int_eq(stat(path, &stat_of), 0);
	ck_assert_int_ge(stat_of.st_size, (off_t)LOOK_RAM);
	ck_assert_int_lt(stat_of.st_blocks * 512, 512 << 10);
}
END_TEST

/* A debugger's view: each PT_LOAD has the bytes of its guest-virtual range. */
START_TEST(segments_lead_to_the_bytes)
{
	int fd = open(path, O_RDONLY);
	unsigned loads = 0;
	Elf64_Ehdr header;
	bool text = false;

	ck_assert_int_eq(pread(fd, &header, sizeof(header), 0), sizeof(header));
	for (unsigned i = 0; i < header.e_phnum; i++) {
		uint8_t got[16];
		struct pt_walk walk;
		Elf64_Phdr load;

		ck_assert_int_eq(
		    pread(fd, &load, sizeof(load), (off_t)(header.e_phoff + i * sizeof(load))),
		    sizeof(load));
		if (load.p_type != PT_LOAD)
			continue;
		loads++;
		text |= load.p_vaddr == LOOK_TEXT && load.p_flags == (PF_R | PF_X);
		pt_walk(load.p_vaddr >> 63 ? &m->kernel : &m->user, load.p_vaddr, &walk);
		ck_assert(walk.mapped);
		ck_assert_uint_eq(walk.pa, load.p_paddr);
		ck_assert_int_eq(pread(fd, got, 16, (off_t)load.p_offset), 16);
		ck_assert_int_eq(memcmp(got, memory_at(&m->memory, walk.pa, 16), 16), 0);
	}
	close(fd);
	ck_assert_uint_gt(loads, 15);
	ck_assert(text);
}
END_TEST

/* ---- Tampering ----------------------------------------------------------------------------- */

/* Reads it and, if that is possible, asks all there is to ask.  Only to return is required. */
static bool survives(void)
{
	struct look_request request = {.map = true, .audit = true};
	bool good = core_read(&core, path);

	if (good) {
		struct look_moment moment = core_moment(&core, &none);
		FILE *out = fopen("/dev/null", "w");

		look_request_walk(&request, "0xffffffff80100000");
		look_request_walk(&request, "0@cr3=123456789000");
		look_request_answer(out, &request, &moment, false, false);
		look_request_answer(out, &request, &moment, true, false);
		fclose(out);
	}
	core_free(&core);
	return good;
}

static void silence(void)
{
	int null = open("/dev/null", O_WRONLY);

	dup2(null, STDERR_FILENO);
	close(null);
}

static void poke(off_t offset, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY);

	ck_assert_int_eq(pwrite(fd, bytes, size, offset), (ssize_t)size);
	close(fd);
}

START_TEST(truncated_at_any_place)
{
	static const off_t steps[] = {1, 7, 64, 511, 4096, 65536};
	struct stat whole;
	off_t size;

	silence();
	stat(path, &whole);
	size = whole.st_size;
	for (unsigned i = 0; size > 0; i++) {
		size -= size < 9000 ? steps[i % 3] : steps[i % 6];
		ck_assert_int_eq(truncate(path, size < 0 ? 0 : size), 0);
		ck_assert(!survives());
	}
}
END_TEST

START_TEST(random_bytes)
{
	uint64_t random = 4711;
	uint8_t page[8192];
	unsigned good = 0;
	int fd = open(path, O_RDONLY);

	silence();
	ck_assert_int_eq(read(fd, page, sizeof(page)), sizeof(page));
	close(fd);
	for (unsigned round = 0; round < 600; round++) {
		uint8_t changed[sizeof(page)];
		uint64_t count = 1 + random_next(&random) % 8;

		memcpy(changed, page, sizeof(page));
		while (count--) {
			/* Half of them in what decides: headers and notes. */
			size_t at = random_next(&random) % 2 ? random_next(&random) % 200
			                                     : random_next(&random) % sizeof(page);

			changed[at] = (uint8_t)random_next(&random);
		}
		poke(0, changed, sizeof(changed));
		good += survives();
	}
	/* A changed register is no reason to refuse. */
	ck_assert_uint_gt(good, 0);
	ck_assert_uint_lt(good, 600);
}
END_TEST

START_TEST(random_tables)
{
	uint64_t random = 815;

	silence();
	ck_assert(core_read(&core, path));

	const uint64_t ram = core.machine.ram_offset, root = core.machine.kernel_cr3 & CR3_FRAME;

	core_free(&core);
	for (unsigned round = 0; round < 40; round++) {
		uint64_t table[512];

		for (unsigned i = 0; i < 512; i++)
			table[i] = random_next(&random) & (LOOK_RAM - 1) & ~UINT64_C(0x80);
		poke((off_t)(ram + root + 4096 * (random_next(&random) % 8)), table, sizeof(table));
		ck_assert(survives());
	}
}
END_TEST

/* Fields that ask for much: offset in the header, width, value. */
static const struct {
	bool good; /* odd, but every byte that is asked for is there */
	unsigned offset, width;
	uint64_t value;
} huge[] = {
    {false, 32, 8, UINT64_MAX}, /* e_phoff */
    {false, 32, 8, UINT64_MAX - 8},
    {false, 54, 2, 0xffff}, /* e_phentsize */
    {false, 56, 2, 0xffff}, /* e_phnum */
    {true, 56, 2, 0xfffe},
    {false, 56, 2, 0},
    {false, 64 + 32, 8, UINT64_MAX}, /* p_filesz of the notes */
    {true, 64 + 32, 8, UINT64_C(1) << 20},
    {false, 64 + 8, 8, UINT64_MAX}, /* p_offset */
    {false, 64, 4, 1},              /* no PT_NOTE at all */
    {false, 16, 2, ET_EXEC},
    {false, 18, 2, EM_386},
    {false, 4, 1, ELFCLASS32},
    {false, 0, 4, 0},
};

START_TEST(huge_headers)
{
	silence();
	poke(huge[_i].offset, &huge[_i].value, huge[_i].width);
	ck_assert_int_eq(survives(), huge[_i].good);
}
END_TEST

static const struct {
	size_t offset, width;
	uint64_t value;
} fields[] = {
#define FIELD(name, value)                                                                         \
	{                                                                                          \
		offsetof(struct core_machine, name), sizeof(((struct core_machine *)0)->name),     \
		    value                                                                          \
	}
    FIELD(version, 0),
    FIELD(version, 3),
    FIELD(size, 0),
    FIELD(ram_offset, UINT64_MAX),
    FIELD(ram_size, 0),
    FIELD(ram_size, 4095),
    FIELD(ram_size, UINT64_C(1) << 62),
    FIELD(ram_size, RS_HOLE + PAGE_SIZE),
    FIELD(ram_size, RS_HIGH_RAM),
    FIELD(ram_size, LOOK_RAM + 0x1000),
    FIELD(maxphyaddr, 64),
    FIELD(boot_root, 0x100004),
    FIELD(boot_root, LOOK_RAM),
    FIELD(free_start, 1),
    FIELD(free_start, LOOK_RAM + 0x1000),
    FIELD(cpus, 0),
    FIELD(cpus, UINT32_MAX),
    FIELD(segment_count, 25),
    FIELD(segment_count, UINT32_MAX),
    FIELD(segments[0].size, UINT64_MAX - 0xfff),
    FIELD(segments[0].va, 1),
    FIELD(segments[1].gpa, LOOK_RAM),
    FIELD(segments[1].user, 2),
#undef FIELD
};

/* Where a note's description lies in the file. */
static off_t note_at(const void *wanted, size_t wanted_size)
{
	static uint8_t bytes[16384];
	int fd = open(path, O_RDONLY);
	ssize_t size = read(fd, bytes, sizeof(bytes));

	close(fd);
	for (ssize_t at = 0; at + (ssize_t)wanted_size <= size; at += 4) {
		if (!memcmp(bytes + at, wanted, wanted_size))
			return at;
	}
	ck_abort_msg("no such note");
	return 0;
}

START_TEST(notes_that_lie)
{
	off_t at;

	ck_assert(core_read(&core, path));
	at = note_at(&core.machine, sizeof(core.machine));
	core_free(&core);
	silence();
	poke(at + (off_t)fields[_i].offset, &fields[_i].value, fields[_i].width);
	ck_assert(!survives());
}
END_TEST

/* The second vCPU is a CPU that is not there, or there already, or has more than can be. */
START_TEST(vcpu_notes_that_lie)
{
	static const struct {
		size_t offset;
		uint32_t value;
	} lies[] = {
	    {offsetof(struct core_vcpu, number), 3},
	    {offsetof(struct core_vcpu, number), 2},
	    {offsetof(struct core_vcpu, number), UINT32_MAX},
	    {offsetof(struct core_vcpu, msr_count), CORE_MSRS + 1},
	};
	off_t at;

	silence();
	ck_assert(core_read(&core, path));
	at = note_at(&core.vcpus[1], sizeof(core.vcpus[1]));
	core_free(&core);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const uint32_t truth = 0;

		poke(at + (off_t)lies[i].offset, &lies[i].value, sizeof(lies[i].value));
		ck_assert(!survives());
		poke(at + (off_t)lies[i].offset, &truth, sizeof(truth));
		ck_assert(survives());
	}
}
END_TEST

START_TEST(no_core_at_all)
{
	silence();
	ck_assert(!core_read(&core, "/nonexistent/core"));
	core_free(&core);
	ck_assert(!core_read(&core, "/"));
	core_free(&core);
	ck_assert(!core_read(&core, "/dev/null"));
	core_free(&core);
	ck_assert(!core_read(&core, test_elf_file()));
}
END_TEST

Suite *core_suite(void)
{
	Suite *suite = suite_create("core");
	TCase *tests = tcase_create("core");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, what_was_written_is_read);
	tcase_add_test(tests, the_file_is_sparse);
	tcase_add_test(tests, segments_lead_to_the_bytes);
	tcase_add_test(tests, truncated_at_any_place);
	tcase_add_test(tests, random_bytes);
	tcase_add_test(tests, random_tables);
	tcase_add_loop_test(tests, huge_headers, 0, sizeof(huge) / sizeof(huge[0]));
	tcase_add_loop_test(tests, notes_that_lie, 0, sizeof(fields) / sizeof(fields[0]));
	tcase_add_test(tests, vcpu_notes_that_lie);
	tcase_add_test(tests, no_core_at_all);
	suite_add_tcase(suite, tests);
	return suite;
}
