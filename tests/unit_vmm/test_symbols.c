#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit_vmm/made_file.h"
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/look/symbols.h"

/* Where the first symbol lies; test_diagnose.c has its code there. */
#define CODE UINT64_C(0xffffffff80008000)

struct tiny_elf {
	Elf64_Ehdr header;
	Elf64_Shdr sections[3];
	Elf64_Sym symbols[5];
	char strings[64];
};

static struct tiny_elf make_elf(void)
{
	struct tiny_elf elf = {
	    .header =
	        {
	            .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
	                        EV_CURRENT},
	            .e_type = ET_EXEC,
	            .e_machine = EM_X86_64,
	            .e_version = EV_CURRENT,
	            .e_ehsize = sizeof(Elf64_Ehdr),
	            .e_shoff = offsetof(struct tiny_elf, sections),
	            .e_shentsize = sizeof(Elf64_Shdr),
	            .e_shnum = 3,
	        },
	    .sections =
	        {
	            [1] = {.sh_type = SHT_SYMTAB,
	                   .sh_offset = offsetof(struct tiny_elf, symbols),
	                   .sh_size = sizeof(elf.symbols),
	                   .sh_entsize = sizeof(Elf64_Sym),
	                   .sh_link = 2},
	            [2] = {.sh_type = SHT_STRTAB,
	                   .sh_offset = offsetof(struct tiny_elf, strings),
	                   .sh_size = sizeof(elf.strings)},
	        },
	    .symbols =
	        {
	            [1] = {.st_name = 1,
	                   .st_info = STT_FUNC,
	                   .st_shndx = 1,
	                   .st_value = CODE,
	                   .st_size = 5},
	            [2] = {.st_name = 7,
	                   .st_info = STT_NOTYPE,
	                   .st_shndx = 1,
	                   .st_value = CODE + 0x100},
	            [3] = {.st_name = 7, .st_info = STT_FILE, .st_shndx = 1, .st_value = CODE + 1},
	            [4] = {.st_name = 13,
	                   .st_info = STT_OBJECT,
	                   .st_shndx = SHN_UNDEF,
	                   .st_value = CODE},
	        },
	    .strings = "\0start\0l\033bel\0gone",
	};

	return elf;
}

const char *test_elf_file(void)
{
	struct tiny_elf elf = make_elf();

	return made_file(&elf, sizeof(elf));
}

static struct symbols read_bytes(const void *bytes, size_t size)
{
	const char *path = made_file(bytes, size);
	struct symbols symbols = symbols_read(path);

	unlink(path);
	return symbols;
}

START_TEST(symbols_are_found)
{
	struct tiny_elf elf = make_elf();
	struct symbols symbols = read_bytes(&elf, sizeof(elf));
	char buf[96], small[8];

	ck_assert_uint_eq(symbols.count, 2);
	ck_assert_str_eq(symbols_text(&symbols, CODE, buf, sizeof(buf)), " <start>");
	ck_assert_str_eq(symbols_text(&symbols, CODE + 4, buf, sizeof(buf)), " <start+0x4>");
	ck_assert_str_eq(symbols_text(&symbols, CODE + 5, buf, sizeof(buf)), "");
	ck_assert_str_eq(symbols_text(&symbols, CODE - 1, buf, sizeof(buf)), "");
	ck_assert_str_eq(symbols_text(&symbols, CODE + 0x108, buf, sizeof(buf)), " <l?bel+0x8>");
	ck_assert_str_eq(symbols_text(&symbols, UINT64_MAX, buf, sizeof(buf)), "");
	ck_assert_str_eq(symbols_text(&symbols, CODE, small, sizeof(small)), " <start");
	symbols_free(&symbols);
	symbols_free(&symbols);
	ck_assert_ptr_null(symbols_find(&symbols, CODE));
}
END_TEST

/* Two at one address: what has a size covers its bytes, and a label what is left. */
START_TEST(a_label_where_a_function_is)
{
	struct tiny_elf elf = make_elf();
	struct symbols symbols;
	char buf[96];

	elf.symbols[2].st_value = CODE;
	symbols = read_bytes(&elf, sizeof(elf));
	ck_assert_uint_eq(symbols.count, 2);
	ck_assert_str_eq(symbols_text(&symbols, CODE, buf, sizeof(buf)), " <start>");
	ck_assert_str_eq(symbols_text(&symbols, CODE + 4, buf, sizeof(buf)), " <start+0x4>");
	ck_assert_str_eq(symbols_text(&symbols, CODE + 5, buf, sizeof(buf)), " <l?bel+0x5>");
	symbols_free(&symbols);
	/* A smaller one inside a larger one is the closer fit. */
	elf.symbols[2].st_size = 2;
	symbols = read_bytes(&elf, sizeof(elf));
	ck_assert_str_eq(symbols_text(&symbols, CODE + 1, buf, sizeof(buf)), " <l?bel+0x1>");
	ck_assert_str_eq(symbols_text(&symbols, CODE + 2, buf, sizeof(buf)), " <start+0x2>");
	symbols_free(&symbols);
}
END_TEST

START_TEST(hostile_files)
{
	struct tiny_elf elf = make_elf();
	uint64_t seed = 5;
	struct symbols symbols;

	for (size_t size = 0; size < sizeof(elf); size += 3) {
		symbols = read_bytes(&elf, size);
		symbols_free(&symbols);
	}
	for (int round = 0; round < 3000; round++) {
		elf = make_elf();
		for (uint64_t flips = random_next(&seed) % 4 + 1; flips > 0; flips--)
			((uint8_t *)&elf)[random_next(&seed) % sizeof(elf)] =
			    (uint8_t)random_next(&seed);
		symbols = read_bytes(&elf, sizeof(elf));
		for (size_t i = 0; i < symbols.count; i++)
			ck_assert_uint_lt(strlen(symbols.list[i].name), 64);
		symbols_find(&symbols, random_next(&seed));
		symbols_free(&symbols);
	}
	symbols = symbols_read("/nonexistent");
	ck_assert_uint_eq(symbols.count, 0);
	symbols = symbols_read("/tmp");
	ck_assert_uint_eq(symbols.count, 0);
	symbols = symbols_read("/dev/null");
	ck_assert_uint_eq(symbols.count, 0);
}
END_TEST

Suite *symbols_suite(void)
{
	Suite *suite = suite_create("symbols");
	TCase *tests = tcase_create("symbols");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, symbols_are_found);
	tcase_add_test(tests, a_label_where_a_function_is);
	tcase_add_test(tests, hostile_files);
	suite_add_tcase(suite, tests);
	return suite;
}
