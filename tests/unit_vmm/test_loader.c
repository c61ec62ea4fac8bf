/* The guest's file: ELF files made here, good to the last byte, and then with one thing wrong. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include "tests/unit_vmm/made_file.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/boot/image.h"

/* Behind shared/x86.h: here PF_W is of a program header, not of a page fault. */
#include <elf.h>

#define RAM  (UINT64_C(4) << 20)
#define TEXT (RS_IMAGE_BASE + 0x100000)
#define DATA (TEXT + 0x2000)

enum { TEXT_SIZE = 0x800, DATA_SIZE = 0x100, DATA_MEMORY = 0x1801 };

/* A guest with a note.  The data's bytes are the file's last. */
struct elf {
	Elf64_Ehdr header;
	Elf64_Phdr load[4]; /* text, data, note, what a test wants */
	struct {
		Elf64_Nhdr head;
		char name[12];
		struct rs_note desc;
	} note;
	uint8_t text[TEXT_SIZE], data[DATA_SIZE];
};
static struct elf elf;
static char path[] = "/tmp/rs_loader_XXXXXX";
static struct image image;
static struct memory memory;

static void make_note(void)
{
	elf.note.head = (Elf64_Nhdr){
	    .n_namesz = sizeof(RS_NOTE_NAME), .n_descsz = sizeof(struct rs_note), .n_type = 1};
	strcpy(elf.note.name, RS_NOTE_NAME);
	elf.note.desc = (struct rs_note){.abi = RS_ABI_VERSION,
	                                 .size = sizeof(struct rs_note),
	                                 .vectors = TEXT,
	                                 .vector_stride = 16,
	                                 .vector_count = 64,
	                                 .syscall_entry = TEXT + TEXT_SIZE - 1,
	                                 .compat_entry = TEXT,
	                                 .sysenter_entry = TEXT,
	                                 .cpu_entry = TEXT,
	                                 .wants = RS_WANTS_APIC,
	                                 .syscall_mask = UINT32_MAX};
}

static void setup(void)
{
	elf = (struct elf){
	    .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
	                           EV_CURRENT},
	               .e_type = ET_EXEC,
	               .e_machine = EM_X86_64,
	               .e_version = EV_CURRENT,
	               .e_entry = TEXT,
	               .e_phoff = offsetof(struct elf, load),
	               .e_ehsize = sizeof(Elf64_Ehdr),
	               .e_phentsize = sizeof(Elf64_Phdr),
	               .e_phnum = 3},
	    .load = {{.p_type = PT_LOAD,
	              .p_flags = PF_R | PF_X,
	              .p_offset = offsetof(struct elf, text),
	              .p_vaddr = TEXT,
	              .p_paddr = 0x100000,
	              .p_filesz = TEXT_SIZE,
	              .p_memsz = TEXT_SIZE},
	             {.p_type = PT_LOAD,
	              .p_flags = PF_R | PF_W,
	              .p_offset = offsetof(struct elf, data),
	              .p_vaddr = DATA,
	              .p_paddr = 0x102000,
	              .p_filesz = DATA_SIZE,
	              .p_memsz = DATA_MEMORY},
	             {.p_type = PT_NOTE,
	              .p_flags = PF_R,
	              .p_offset = offsetof(struct elf, note),
	              .p_filesz = sizeof(elf.note)}},
	};
	make_note();
	for (unsigned i = 0; i < TEXT_SIZE; i++)
		elf.text[i] = (uint8_t)(i % 251);
	for (unsigned i = 0; i < DATA_SIZE; i++)
		elf.data[i] = (uint8_t)(i ^ 0x55);
	image = IMAGE_CLOSED;
	ck_assert(memory_create(&memory, RAM));
}

static void teardown(void)
{
	image_close(&image);
	memory_destroy(&memory);
}

/* What the last one that was refused was refused for. */
static char said[512];

static bool open_and_listen(void)
{
	bool good;

	listen_begin();
	good = image_open(&image, path, RAM);
	listen_end(said, sizeof(said));
	return good;
}

static bool opens_with(size_t missing, const void *more, size_t size)
{
	int fd;

	strcpy(path, "/tmp/rs_loader_XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, &elf, sizeof(elf) - missing), (ssize_t)(sizeof(elf) - missing));
	ck_assert_int_eq(write(fd, more, size), (ssize_t)size);
	close(fd);
	image_close(&image);

	const bool good = open_and_listen();

	unlink(path);
	return good;
}

static bool opens_cut(size_t missing)
{
	return opens_with(missing, "", 0);
}

/* A message names what is wrong. */
static void is_refused_for(const char *words)
{
	ck_assert(!opens_with(0, "", 0));
	ck_assert_msg(strstr(said, words), "\"%s\" is not about \"%s\"", said, words);
}

static bool opens(void)
{
	return opens_cut(0);
}

/* ---- What is good ---------------------------------------------------------------------------- */

START_TEST(a_good_file)
{
	const uint8_t *ram;

	ck_assert(opens());
	ck_assert_uint_eq(image.entry, TEXT);
	ck_assert_uint_eq(image.count, 2);
	ck_assert_uint_eq(image.file_size, sizeof(elf));
	ck_assert_uint_eq(image.end, 0x104000);
	ck_assert(image.noted);
	ck_assert_mem_eq(&image.note, &elf.note.desc, sizeof(image.note));
	ck_assert_uint_eq(image.segments[1].header, 1);
	ck_assert_uint_eq(image.segments[1].flags, PF_R | PF_W);
	ck_assert_uint_eq(segment_page_size(&image.segments[1]), 0x2000);
	ck_assert(image_place(&image, &memory));
	ram = memory_at(&memory, 0x100000, 0x4000);
	ck_assert_mem_eq(ram, elf.text, TEXT_SIZE);
	ck_assert_mem_eq(ram + 0x2000, elf.data, DATA_SIZE);
	ck_assert_uint_eq(ram[TEXT_SIZE] | ram[0x2000 + DATA_SIZE], 0);
}
END_TEST

START_TEST(code_is_found_where_it_is)
{
	ck_assert(opens() && image_place(&image, &memory));
	ck_assert(image_has_code(&image, &memory, "\x00\x01", 2));
	ck_assert(
	    image_has_code(&image, &memory, "\x26\x27", 2)); /* the last two: 2046 % 251 = 38 */
	ck_assert(!image_has_code(&image, &memory, "\x01\x00", 2));
	ck_assert(!image_has_code(&image, &memory, "\x55\x54", 2)); /* data */
}
END_TEST

START_TEST(a_file_without_a_note)
{
	elf.header.e_phnum = 2;
	ck_assert(opens());
	ck_assert(!image.noted);
}
END_TEST

/* ---- The file's end -------------------------------------------------------------------------- */

START_TEST(a_segment_may_end_with_the_file)
{
	ck_assert(opens_cut(0));
	ck_assert(!opens_cut(1));
}
END_TEST

/* One that is empty may lie there, and no further. */
START_TEST(an_empty_segment_at_the_end)
{
	elf.load[1].p_filesz = 0;
	elf.load[1].p_offset = sizeof(elf);
	ck_assert(opens());
	elf.load[1].p_offset++;
	ck_assert(!opens());
	elf.load[1].p_offset = UINT64_MAX;
	ck_assert(!opens());
}
END_TEST

START_TEST(sizes_that_wrap)
{
	elf.load[1].p_memsz = elf.load[1].p_filesz = UINT64_MAX - elf.load[1].p_offset + 1;
	ck_assert(!opens());
}
END_TEST

START_TEST(the_header_table_ends_with_the_file)
{
	/* Moved to the end: the data's last bytes are the headers. */
	elf.load[1].p_filesz = 0;
	elf.header.e_phoff = sizeof(elf) - 3 * sizeof(Elf64_Phdr);
	memcpy(elf.data + DATA_SIZE - 3 * sizeof(Elf64_Phdr), elf.load, 3 * sizeof(Elf64_Phdr));
	ck_assert(opens());
	ck_assert(!opens_cut(1));
	elf.header.e_phoff++;
	is_refused_for("reach beyond the end of the file");
	elf.header.e_phoff = UINT64_MAX - 7;
	ck_assert(!opens());
}
END_TEST

START_TEST(a_header_that_is_cut)
{
	ck_assert(!opens_cut(sizeof(elf) - sizeof(elf.header) + 1));
	ck_assert(!opens_cut(sizeof(elf) - 4));
	ck_assert(!opens_cut(sizeof(elf) - 3));
	ck_assert(!opens_cut(sizeof(elf)));
}
END_TEST

START_TEST(sections_end_with_the_file)
{
	elf.header.e_shentsize = sizeof(Elf64_Shdr);
	elf.header.e_shoff = sizeof(elf) - sizeof(Elf64_Shdr);
	elf.header.e_shnum = 1;
	elf.header.e_shstrndx = 0;
	ck_assert(opens());
	elf.header.e_shstrndx = 1;
	ck_assert(!opens());
	elf.header.e_shstrndx = 0;
	elf.header.e_shnum = 2;
	ck_assert(!opens());
}
END_TEST

/* Pages are whole: what begins inside one may need one more than its size says. */
START_TEST(segments_in_pages)
{
	static const struct {
		uint64_t va, memsz, size;
	} want[] = {{0x1000, 1, 0x1000},    {0x1000, 0x1000, 0x1000}, {0x1000, 0x1001, 0x2000},
	            {0x1fff, 1, 0x1000},    {0x1fff, 2, 0x2000},      {0x1800, 0x800, 0x1000},
	            {0x1800, 0x801, 0x2000}};
	const struct segment segment = {
	    .va = want[_i].va, .gpa = want[_i].va + 0x10000, .memsz = want[_i].memsz};

	ck_assert_uint_eq(segment_page_va(&segment), 0x1000);
	ck_assert_uint_eq(segment_page_gpa(&segment), 0x11000);
	ck_assert_uint_eq(segment_page_size(&segment), want[_i].size);
}
END_TEST

/* ---- The header ------------------------------------------------------------------------------ */

START_TEST(headers_with_one_thing_wrong)
{
	static const char *const words[] = {
	    "EI_MAG",      "EI_CLASS",  "EI_DATA",   "EI_VERSION", "EI_OSABI", "EI_ABIVERSION",
	    "e_type",      "e_machine", "e_version", "e_flags",    "e_ehsize", "e_phnum is 0",
	    "e_phentsize", "e_phoff",   "e_entry",   "e_entry",    "e_entry",  "e_phnum is 257"};
	Elf64_Ehdr *e = &elf.header;

	switch (_i) {
	case 0:
		e->e_ident[EI_MAG3] = 'G';
		break;
	case 1:
		e->e_ident[EI_CLASS] = ELFCLASS32;
		break;
	case 2:
		e->e_ident[EI_DATA] = ELFDATA2MSB;
		break;
	case 3:
		e->e_ident[EI_VERSION] = 0;
		break;
	case 4:
		e->e_ident[EI_OSABI] = ELFOSABI_FREEBSD;
		break;
	case 5:
		e->e_ident[EI_ABIVERSION] = 1;
		break;
	case 6:
		e->e_type = ET_DYN;
		break;
	case 7:
		e->e_machine = EM_386;
		break;
	case 8:
		e->e_version = 2;
		break;
	case 9:
		e->e_flags = 1;
		break;
	case 10:
		e->e_ehsize = 63;
		break;
	case 11:
		e->e_phnum = 0;
		break;
	case 12:
		e->e_phentsize = 57;
		break;
	case 13:
		e->e_phoff = 8;
		break;
	case 14:
		e->e_entry = TEXT - 1;
		break;
	case 15:
		e->e_entry = TEXT + TEXT_SIZE;
		break;
	case 16:
		e->e_entry = DATA;
		break;
	default:
		e->e_phnum = 257;
		break;
	}
	is_refused_for(words[_i]);
}
END_TEST

/* As many headers as are read; most of them say nothing. */
START_TEST(many_headers)
{
	static Elf64_Phdr headers[257];

	memcpy(headers, elf.load, 3 * sizeof(headers[0]));
	elf.header.e_phoff = sizeof(elf);
	elf.header.e_phnum = 256;
	ck_assert(opens_with(0, headers, sizeof(headers)));
	ck_assert_uint_eq(image.count, 2);
	elf.header.e_phnum = 257;
	ck_assert(!opens_with(0, headers, sizeof(headers)));
}
END_TEST

START_TEST(the_entry_may_be_the_last_byte)
{
	elf.header.e_entry = TEXT + TEXT_SIZE - 1;
	ck_assert(opens());
}
END_TEST

/* ---- Program headers ------------------------------------------------------------------------- */

START_TEST(segments_with_one_thing_wrong)
{
	static const char *const words[] = {"p_filesz is",
	                                    "writable and executable",
	                                    "nobody may use",
	                                    "bits without a meaning",
	                                    "p_align is",
	                                    "differ modulo p_align",
	                                    "differ in the low 12 bits",
	                                    "lies outside RAM",
	                                    "wraps around",
	                                    "is not canonical",
	                                    "direct map",
	                                    "boot page",
	                                    "IDT",
	                                    "p_vaddr",
	                                    "p_paddr",
	                                    "but it shares a page",
	                                    "PT_INTERP",
	                                    "PT_DYNAMIC",
	                                    "note it must lie in",
	                                    "overlaps",
	                                    "is not canonical",
	                                    "IDT"};
	Elf64_Phdr *p = &elf.load[1];

	switch (_i) {
	case 0:
		p->p_filesz = DATA_MEMORY + 1;
		break;
	case 1:
		p->p_flags = PF_R | PF_W | PF_X;
		break;
	case 2:
		p->p_flags = 0;
		break;
	case 3:
		p->p_flags |= 8;
		break;
	case 4:
		p->p_align = 3;
		break;
	case 5:
		p->p_align = 2;
		p->p_offset++;
		p->p_filesz--;
		break;
	case 6:
		p->p_paddr++; /* not the same place in its page */
		break;
	case 7:
		p->p_paddr = RAM - DATA_MEMORY + 1; /* a byte does not fit */
		p->p_vaddr = DATA + (p->p_paddr & 0xfff);
		break;
	case 8:
		p->p_vaddr = UINT64_MAX - 0xfff; /* wraps */
		p->p_paddr = 0x102000;
		break;
	case 9:
		p->p_vaddr = RS_USER_END - 0x1000; /* reaches the gap */
		break;
	case 10:
		p->p_vaddr = RS_DIRECT_BASE;
		break;
	case 11:
		p->p_vaddr = RS_BOOT_PAGE & ~UINT64_C(0xfff);
		p->p_memsz = p->p_filesz;
		break;
	case 12:
		p->p_vaddr = RS_ENTRY_IDT;
		p->p_memsz = p->p_filesz;
		break;
	case 13:
		p->p_vaddr = TEXT + TEXT_SIZE - 1; /* a byte of the text */
		p->p_paddr = 0x102000 + TEXT_SIZE - 1;
		break;
	case 14:
		p->p_paddr = 0x100000 + TEXT_SIZE - 1;
		p->p_vaddr = DATA + TEXT_SIZE - 1;
		break;
	case 15:
		p->p_vaddr = TEXT + TEXT_SIZE; /* its page, with other rights */
		p->p_paddr = 0x100000 + TEXT_SIZE;
		break;
	case 16:
		p->p_type = PT_INTERP;
		break;
	case 17:
		p->p_type = PT_DYNAMIC;
		break;
	case 20:
		p->p_vaddr = RS_USER_END - DATA_MEMORY + 1; /* reaches the gap's first byte */
		p->p_paddr = 0x102000 + (p->p_vaddr & 0xfff);
		break;
	case 19:
		p->p_vaddr = TEXT + TEXT_SIZE - 1; /* a byte, in both spaces, with its rights */
		p->p_paddr = 0x100000 + TEXT_SIZE - 1;
		p->p_flags = PF_R | PF_X;
		break;
	case 18:
		p->p_vaddr = RS_IMAGE_BASE - 0x2000; /* below all that is a noted guest's */
		break;
	default:
		p->p_vaddr = RS_ENTRY_IDT - 0x1000; /* reaches the IDT */
		break;
	}
	is_refused_for(words[_i]);
}
END_TEST

START_TEST(segments_at_their_bounds)
{
	Elf64_Phdr *p = &elf.load[1];

	switch (_i) {
	case 0:
		p->p_paddr = RAM - 0x2000; /* RAM's last bytes but some */
		break;
	case 1:
		p->p_paddr = RAM - DATA_MEMORY; /* to RAM's last byte */
		p->p_vaddr = DATA + (p->p_paddr & 0xfff);
		break;
	case 2:
		p->p_vaddr = RS_USER_END - 0x2000; /* user half's last pages */
		break;
	case 3:
		p->p_vaddr = RS_ENTRY_IDT - 0x2000;
		break;
	case 4:
		p->p_vaddr = RS_IMAGE_BASE;
		break;
	case 5:
		p->p_vaddr = TEXT + TEXT_SIZE; /* right behind the text, with its rights */
		p->p_paddr = 0x100000 + TEXT_SIZE;
		p->p_flags = PF_R | PF_X;
		break;
	case 6:
		p->p_align = 2;
		break;
	case 7:
		p->p_vaddr = RS_ENTRY_BASE;
		break;
	default:
		p->p_flags |= PF_MASKOS; /* somebody's own bits */
		break;
	}
	ck_assert(opens());
	ck_assert(image_place(&image, &memory));
	ck_assert_uint_eq(image.segments[1].flags & ~(uint32_t)(PF_R | PF_W | PF_X), 0);
}
END_TEST

START_TEST(a_segment_of_nothing_is_none)
{
	elf.load[1].p_memsz = elf.load[1].p_filesz = 0;
	ck_assert(opens());
	ck_assert_uint_eq(image.count, 1);
	elf.load[0].p_memsz = elf.load[0].p_filesz = 0;
	ck_assert(!opens());
}
END_TEST

/* ---- The note -------------------------------------------------------------------------------- */

START_TEST(notes_with_one_thing_wrong)
{
	static const char *const words[] = {"abi is",
	                                    "size is",
	                                    "vector_stride is 0",
	                                    "vector_stride is 4097",
	                                    "vector_count is 31",
	                                    "vector_count is 257",
	                                    "vectors is",
	                                    "vectors is",
	                                    "user_vectors has vector 64",
	                                    "trap_gates has vector 255",
	                                    "ist[31]",
	                                    "syscall_entry is",
	                                    "compat_entry is",
	                                    "compat_entry is",
	                                    "sysenter_entry is",
	                                    "cpu_entry is",
	                                    "wants is",
	                                    "syscall_mask is",
	                                    "n_type is",
	                                    "n_descsz is",
	                                    "n_namesz is",
	                                    "reach beyond p_filesz"};
	struct rs_note *note = &elf.note.desc;

	switch (_i) {
	case 0:
		note->abi++;
		break;
	case 1:
		note->size--;
		break;
	case 2:
		note->vector_stride = 0;
		break;
	case 3:
		note->vector_stride = PAGE_SIZE + 1;
		break;
	case 4:
		note->vector_count = 31;
		break;
	case 5:
		note->vector_count = 257;
		note->vector_stride = 1;
		break;
	case 6:
		note->vectors = TEXT + TEXT_SIZE - 63 * 16; /* the last stub's first byte is out */
		break;
	case 7:
		note->vectors = TEXT - 1;
		break;
	case 8:
		note->user_vectors[1] = 1; /* vector 64 of 64 */
		break;
	case 9:
		note->trap_gates[3] = UINT64_C(1) << 63;
		break;
	case 10:
		note->ist[31] = 8;
		break;
	case 11:
		note->syscall_entry = TEXT + TEXT_SIZE;
		break;
	case 12:
		note->syscall_entry = 0; /* compat_entry needs it */
		break;
	case 13:
		note->compat_entry = DATA;
		break;
	case 14:
		note->sysenter_entry = DATA;
		break;
	case 15:
		note->cpu_entry = DATA;
		break;
	case 16:
		note->wants = 2;
		break;
	case 17:
		note->syscall_mask = UINT64_C(1) << 32;
		break;
	case 18:
		elf.note.head.n_type = 2;
		break;
	case 19:
		elf.note.head.n_descsz--;
		break;
	case 20:
		elf.note.head.n_namesz++;
		break;
	default:
		elf.load[2].p_filesz--; /* its last byte is missing: the rest would do */
		note->sysenter_entry = 0;
		break;
	}
	is_refused_for(words[_i]);
}
END_TEST

START_TEST(notes_at_their_bounds)
{
	struct rs_note *note = &elf.note.desc;

	switch (_i) {
	case 0:
		note->vectors = TEXT + TEXT_SIZE - 63 * 16 - 1;
		break;
	case 1:
		note->vector_count = 256;
		note->vector_stride = 1;
		break;
	case 2:
		note->vector_count = 32;
		break;
	case 3:
		note->user_vectors[0] = note->trap_gates[0] = UINT64_MAX;
		break;
	case 4:
		note->ist[0] = note->ist[31] = 7;
		break;
	case 5:
		note->compat_entry = note->sysenter_entry = note->cpu_entry = 0;
		note->syscall_entry = 0;
		break;
	default:
		elf.load[2].p_align = 4;
		break;
	}
	ck_assert(opens());
	ck_assert(image.noted);
}
END_TEST

/* Notes that reach beyond the file, or whose segment ends behind our name. */
START_TEST(notes_that_end_too_soon)
{
	elf.load[2].p_offset = sizeof(elf) - 8;
	is_refused_for("reaches beyond the end of the file");
	setup();
	elf.load[2].p_filesz = sizeof(Elf64_Nhdr) + sizeof(RS_NOTE_NAME);
	is_refused_for("reach beyond p_filesz");
	/* Without all of the name it is nobody's. */
	elf.load[2].p_filesz--;
	ck_assert(opens());
	ck_assert(!image.noted);
}
END_TEST

/* A second note is one too many, a note of somebody else's none of ours. */
START_TEST(several_notes)
{
	elf.load[3] = elf.load[2];
	elf.header.e_phnum = 4;
	ck_assert(!opens());
	elf.load[3].p_offset = offsetof(struct elf, text);
	elf.load[3].p_filesz = sizeof(Elf64_Nhdr) - 1;
	ck_assert(opens());
	memcpy(elf.text, "\4\0\0\0\0\0\0\0\1\0\0\0GNU\0", 16);
	elf.load[3].p_filesz = 16;
	ck_assert(opens());
	ck_assert(image.noted);
}
END_TEST

Suite *loader_suite(void)
{
	Suite *suite = suite_create("loader");
	TCase *tests = tcase_create("loader");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_good_file);
	tcase_add_test(tests, code_is_found_where_it_is);
	tcase_add_test(tests, a_file_without_a_note);
	tcase_add_test(tests, a_segment_may_end_with_the_file);
	tcase_add_test(tests, an_empty_segment_at_the_end);
	tcase_add_test(tests, sizes_that_wrap);
	tcase_add_test(tests, the_header_table_ends_with_the_file);
	tcase_add_test(tests, a_header_that_is_cut);
	tcase_add_test(tests, sections_end_with_the_file);
	tcase_add_loop_test(tests, headers_with_one_thing_wrong, 0, 18);
	tcase_add_loop_test(tests, segments_in_pages, 0, 7);
	tcase_add_test(tests, many_headers);
	tcase_add_test(tests, the_entry_may_be_the_last_byte);
	tcase_add_loop_test(tests, segments_with_one_thing_wrong, 0, 22);
	tcase_add_loop_test(tests, segments_at_their_bounds, 0, 9);
	tcase_add_test(tests, a_segment_of_nothing_is_none);
	tcase_add_loop_test(tests, notes_with_one_thing_wrong, 0, 22);
	tcase_add_loop_test(tests, notes_at_their_bounds, 0, 7);
	tcase_add_test(tests, notes_that_end_too_soon);
	tcase_add_test(tests, several_notes);
	suite_add_tcase(suite, tests);
	return suite;
}
