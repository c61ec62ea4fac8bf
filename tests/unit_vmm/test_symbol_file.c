#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/unit_vmm/made_file.h"
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/look/symbol_file.h"

static struct symbols symbols;
/* What the last one that was refused was refused for. */
static char said[1024];

static bool read_and_listen(const char *path)
{
	bool good;

	listen_begin();
	good = symbol_file_read(path, &symbols);
	listen_end(said, sizeof(said));
	ck_assert_int_eq(good, said[0] == '\0');
	ck_assert_int_eq(good, symbols.count + symbols.absolute > 0);
	return good;
}

static bool read_bytes(const void *bytes, size_t size)
{
	const char *path = made_file(bytes, size);
	const bool good = read_and_listen(path);

	unlink(path);
	return good;
}

static bool reads(const char *text)
{
	return read_bytes(text, strlen(text));
}

static void refuses(const char *text, const char *why)
{
	ck_assert(!reads(text));
	ck_assert_ptr_nonnull(strstr(said, "--symbols /tmp/rs_made_"));
	ck_assert_msg(strstr(said, why) != NULL, "%s lacks %s", said, why);
}

static void check_text(uint64_t address, const char *text)
{
	char buf[96];

	ck_assert_str_eq(symbols_text(&symbols, address, buf, sizeof(buf)), text);
}

/* ---- What there is --------------------------------------------------------------------------- */

static const char map[] = "0000000000000000 D __per_cpu_start\n"
                          "0000000000000000 D fixed_percpu_data\n"
                          "000000000001fb80 D current_task\n"
                          "0000000000034000 D __per_cpu_end\n"
                          "0000000001000000 A phys_startup_64\n"
                          "ffffffff81000000 T _stext\n"
                          "ffffffff81000000 T startup_64\n"
                          "ffffffff81c00080 T entry_SYSCALL_64\n"
                          "ffffffff81c00be0 T asm_exc_page_fault\n"
                          "ffffffff81c00c70 t last\n";

START_TEST(a_system_map)
{
	ck_assert(reads(map));
	ck_assert_uint_eq(symbols.count, 5);
	ck_assert_uint_eq(symbols.absolute, 5);
	check_text(UINT64_C(0xffffffff81000000), " <startup_64>");
	check_text(UINT64_C(0xffffffff8100ffff), " <startup_64+0xffff>");
	check_text(UINT64_C(0xffffffff81010000), "");
	check_text(UINT64_C(0xffffffff81c00bdf), " <entry_SYSCALL_64+0xb5f>");
	check_text(UINT64_C(0xffffffff81c00be0), " <asm_exc_page_fault>");
	check_text(UINT64_C(0xffffffff81c10c6f), " <last+0xffff>");
	check_text(UINT64_C(0xffffffff81c10c70), "");
	/* Per-CPU variables and constants are no addresses. */
	check_text(0, "");
	check_text(0x1fb80, "");
	check_text(0x34000, "");
	check_text(0x1000000, "");
	ck_assert_uint_eq(symbols_offset(&symbols, "current_task")->address, 0x1fb80);
	ck_assert_ptr_null(symbols_lookup(&symbols, "current_task"));
	ck_assert_ptr_null(symbols_offset(&symbols, "last"));
	ck_assert_uint_eq(symbols_lookup(&symbols, "last")->address, UINT64_C(0xffffffff81c00c70));
	symbols_free(&symbols);
	ck_assert_ptr_null(symbols_offset(&symbols, "current_task"));
}
END_TEST

START_TEST(other_texts)
{
	/* As /proc/kallsyms has it, in any order, the last line without an end. */
	ck_assert(reads("ffffffffc0001000 t in_a_module\t[ext4]\n"
	                "0000000000001000 A irq_stack\n"
	                "ffffffff81000000 T _text\r\n"
	                "ffffffff81000040 T p\033rint"));
	ck_assert_uint_eq(symbols.count, 3);
	check_text(UINT64_C(0xffffffffc0001008), " <in_a_module+0x8>");
	check_text(UINT64_C(0xffffffff81000041), " <p?rint+0x1>");
	check_text(0x1001, "");
	symbols_free(&symbols);
	/* Another kernel, and 32 bits. */
	ck_assert(reads("c0100000 T _text\n100040 t low\n"));
	check_text(0xc0100001, " <_text+0x1>");
	check_text(0x100041, " <low+0x1>");
	symbols_free(&symbols);
}
END_TEST

START_TEST(an_elf_file)
{
	const char *path = test_elf_file();

	ck_assert(read_and_listen(path));
	check_text(UINT64_C(0xffffffff80008001), " <start+0x1>");
	unlink(path);
	symbols_free(&symbols);
}
END_TEST

/* ---- What there is not ----------------------------------------------------------------------- */

START_TEST(texts_that_are_none)
{
	static char line[2000];

	refuses("", "empty");
	refuses("\n", "neither an ELF file nor lines");
	refuses("hello\n", "neither an ELF file nor lines");
	refuses("1 T\n", "neither");
	refuses("1 T \n", "neither");
	refuses("1 TT x\n", "neither");
	refuses("1 1 x\n", "neither");
	refuses(" 1 T x\n", "neither");
	refuses("T x\n", "neither");
	refuses("0x1 T x\n", "neither");
	refuses("11112222333344445 T x\n", "neither");
	refuses("1 T x\n1 T x y\n", "line 2 is not \"ADDRESS TYPE NAME\"");
	refuses("1 T x\n\n", "line 2");
	refuses("1 T x\n1\033 T x\n", "'1? T x'");
	refuses("0000000000000000 T _text\n0000000000000000 t x\t[m]\n", "kptr_restrict");
	/* A line may be long, within a limit. */
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "1 T ", 4);
	refuses(line, "neither");
	line[1022] = '\n';
	line[1023] = '\0';
	ck_assert(reads(line));
	symbols_free(&symbols);
	ck_assert(!read_bytes("1 T x\0\n", 7));
}
END_TEST

START_TEST(debians_stub)
{
	static const char text[] = "ffffffffffffffff B The real System.map is in the "
	                           "linux-image-<version>-dbg package\n";
	char folder[] = "/tmp/rs_made_XXXXXX", path[128];
	FILE *file;

	refuses(text, "package linux-image-VERSION-dbg");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/System.map-6.1.0-56-cloud-amd64", folder);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert(!read_and_listen(path));
	ck_assert_ptr_nonnull(strstr(said, "package linux-image-6.1.0-56-cloud-amd64-dbg"));
	unlink(path);
	rmdir(folder);
}
END_TEST

START_TEST(files_that_are_none)
{
	char bytes[1024] = "MZ", folder[] = "/tmp/rs_made_XXXXXX", path[64];

	memcpy(bytes + 0x202, "HdrS", 4);
	ck_assert(!read_bytes(bytes, sizeof(bytes)));
	ck_assert_ptr_nonnull(strstr(said, "a bzImage"));
	memcpy(bytes, "\177ELF", 4);
	ck_assert(!read_bytes(bytes, sizeof(bytes)));
	ck_assert_ptr_nonnull(strstr(said, "without a symbol table"));
	ck_assert(!read_bytes("\177ELF", 4));
	ck_assert_ptr_nonnull(strstr(said, "without a symbol table"));
	ck_assert(!read_and_listen("/nonexistent"));
	ck_assert_ptr_nonnull(strstr(said, "--symbols /nonexistent: cannot open: No such file"));
	ck_assert(!read_and_listen("/tmp"));
	ck_assert_ptr_nonnull(strstr(said, "not a regular file"));
	ck_assert(!read_and_listen("/dev/zero"));
	/* Nobody writes to it, and nobody waits. */
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert(!read_and_listen(path));
	unlink(path);
	rmdir(folder);
}
END_TEST

/* A text of 2^20 symbols is read, one more is not. */
START_TEST(too_many_symbols)
{
	const size_t most = 1 << 20, size = strlen("1 T x\n");
	char *text = malloc((most + 1) * size + 1);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < most; i++)
		memcpy(text + i * size, "1 T x\n", size);
	ck_assert(read_bytes(text, most * size));
	ck_assert_uint_eq(symbols.count, most);
	symbols_free(&symbols);
	memcpy(text + most * size, "1 T x\n", size);
	ck_assert(!read_bytes(text, (most + 1) * size));
	ck_assert_ptr_nonnull(strstr(said, "more than 1,048,576 symbols"));
	free(text);
}
END_TEST

START_TEST(hostile_texts)
{
	uint64_t seed = 13;

	for (int round = 0; round < 1000; round++) {
		char text[sizeof(map)];

		memcpy(text, map, sizeof(map));
		for (uint64_t flips = random_size(&seed, 5) + 1; flips > 0; flips--)
			text[random_next(&seed) % sizeof(text)] = (char)random_next(&seed);
		read_bytes(text, random_next(&seed) % 2 ? random_next(&seed) % sizeof(text)
		                                        : sizeof(text));
		symbols_find(&symbols, random_next(&seed));
		symbols_free(&symbols);
	}
}
END_TEST

/* ---- A kernel that has moved ----------------------------------------------------------------- */

static bool slide_of(const struct symbol_place *places, size_t count, uint64_t *slide)
{
	return symbols_slide(&symbols, places, count, slide);
}

START_TEST(a_slide)
{
	struct symbol_place places[] = {{"nobody", 0x1234},
	                                {"entry_SYSCALL_64", UINT64_C(0xffffffffbb200080)},
	                                {"asm_exc_page_fault", UINT64_C(0xffffffffbb200be0)}};
	uint64_t slide = 0;

	ck_assert(reads(map));
	ck_assert(!slide_of(places, 0, &slide));
	ck_assert(!slide_of(places, 1, &slide));
	ck_assert(slide_of(places, 2, &slide));
	ck_assert(slide_of(places, 3, &slide));
	ck_assert_uint_eq(slide, 0x39600000);
	symbols_shift(&symbols, slide);
	check_text(UINT64_C(0xffffffffbb200081), " <entry_SYSCALL_64+0x1>");
	check_text(UINT64_C(0xffffffff81c00080), "");
	ck_assert_uint_eq(symbols_offset(&symbols, "current_task")->address, 0x1fb80);
	ck_assert(slide_of(places, 3, &slide));
	ck_assert_uint_eq(slide, 0);
	/* And back. */
	symbols_shift(&symbols, -UINT64_C(0x39600000));
	check_text(UINT64_C(0xffffffff81c00080), " <entry_SYSCALL_64>");
	/* Another build: the two do not fit together, or not to pages. */
	places[2].address += 0x1000;
	ck_assert(!slide_of(places, 3, &slide));
	ck_assert(slide_of(places, 2, &slide));
	places[1].address += 0x40;
	ck_assert(!slide_of(places, 2, &slide));
	symbols_free(&symbols);
	ck_assert(!slide_of(places, 3, &slide));
}
END_TEST

Suite *symbol_file_suite(void)
{
	Suite *suite = suite_create("symbol_file");
	TCase *tests = tcase_create("symbol_file");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_system_map);
	tcase_add_test(tests, other_texts);
	tcase_add_test(tests, an_elf_file);
	tcase_add_test(tests, texts_that_are_none);
	tcase_add_test(tests, debians_stub);
	tcase_add_test(tests, files_that_are_none);
	tcase_add_test(tests, too_many_symbols);
	tcase_add_test(tests, hostile_texts);
	tcase_add_test(tests, a_slide);
	suite_add_tcase(suite, tests);
	return suite;
}
