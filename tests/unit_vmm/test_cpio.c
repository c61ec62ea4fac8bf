/* What vmm/boot/cpio.h writes, read by the description of the format. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include <check.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/boot/cpio.h"

enum {
	INODE,
	MODE,
	UID,
	GID,
	LINKS,
	TIME,
	SIZE,
	MAJOR,
	MINOR,
	R_MAJOR,
	R_MINOR,
	NAME,
	CHECK,
	FIELDS
};

struct read_entry {
	unsigned long field[FIELDS];
	const char *name, *bytes;
};

/* The entry at `at`, which becomes the next one's place. */
static struct read_entry read_entry(const char *archive, size_t size, size_t *at)
{
	struct read_entry entry;
	char digits[9] = "";

	ck_assert_uint_eq(*at % 4, 0);
	ck_assert_uint_le(*at + 110, size);
	ck_assert(!memcmp(archive + *at, "070701", 6));
	for (unsigned i = 0; i < FIELDS; i++) {
		memcpy(digits, archive + *at + 6 + i * 8, 8);
		ck_assert_uint_eq(strspn(digits, "0123456789abcdefABCDEF"), 8);
		entry.field[i] = strtoul(digits, NULL, 16);
	}
	entry.name = archive + *at + 110;
	*at += 110 + entry.field[NAME];
	ck_assert_uint_le(*at, size);
	ck_assert_uint_eq(strlen(entry.name) + 1, entry.field[NAME]);
	for (; *at % 4; ++*at)
		ck_assert_int_eq(archive[*at], 0);
	entry.bytes = archive + *at;
	*at += entry.field[SIZE];
	ck_assert_uint_le(*at, size);
	for (; *at % 4; ++*at)
		ck_assert_int_eq(archive[*at], 0);
	return entry;
}

START_TEST(entries_are_read_as_they_were_written)
{
	static const char content[] = "0123456";
	char *archive = NULL;
	size_t size = 0, at = 0;
	FILE *out = open_memstream(&archive, &size);
	struct cpio cpio = {.out = out};
	struct read_entry entry;

	cpio_folder(&cpio, "dev");
	cpio_device(&cpio, "dev/console", 0600, 5, 1);
	for (size_t length = 0; length <= 7; length++)
		cpio_file(&cpio, &"abcdefgh"[length], 0755, content, length);
	ck_assert(cpio_end(&cpio));
	fclose(out);
	ck_assert_uint_eq(size % 512, 0);
	ck_assert_uint_eq(size, cpio.size);

	entry = read_entry(archive, size, &at);
	ck_assert_str_eq(entry.name, "dev");
	ck_assert_uint_eq(entry.field[MODE], S_IFDIR | 0755);
	ck_assert_uint_eq(entry.field[LINKS], 2);
	entry = read_entry(archive, size, &at);
	ck_assert_str_eq(entry.name, "dev/console");
	ck_assert_uint_eq(entry.field[MODE], S_IFCHR | 0600);
	ck_assert_uint_eq(entry.field[R_MAJOR], 5);
	ck_assert_uint_eq(entry.field[R_MINOR], 1);
	ck_assert_uint_eq(entry.field[SIZE], 0);
	for (size_t length = 0; length <= 7; length++) {
		entry = read_entry(archive, size, &at);
		ck_assert_str_eq(entry.name, &"abcdefgh"[length]);
		ck_assert_uint_eq(entry.field[MODE], S_IFREG | 0755);
		ck_assert_uint_eq(entry.field[LINKS], 1);
		ck_assert_uint_eq(entry.field[SIZE], length);
		ck_assert(!memcmp(entry.bytes, content, length));
		ck_assert_uint_eq(entry.field[UID] | entry.field[GID] | entry.field[CHECK], 0);
		/* Files of one inode number would be links to one file. */
		ck_assert_uint_eq(entry.field[INODE], 3 + length);
	}
	entry = read_entry(archive, size, &at);
	ck_assert_str_eq(entry.name, "TRAILER!!!");
	for (; at < size; at++)
		ck_assert_int_eq(archive[at], 0);
	free(archive);
}
END_TEST

START_TEST(a_failure_is_known_at_the_end)
{
	FILE *out = fopen("/dev/full", "wb");
	struct cpio cpio = {.out = out};

	ck_assert_ptr_nonnull(out);
	cpio_folder(&cpio, "a");
	ck_assert(!cpio_end(&cpio));
	fclose(out);
}
END_TEST

/* The size has 32 bits; nothing of the file is looked at. */
START_TEST(a_file_that_is_too_large)
{
	char *archive = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&archive, &size);
	struct cpio cpio = {.out = out};

	cpio_file(&cpio, "a", 0644, NULL, (size_t)UINT32_MAX + 1);
	ck_assert(!cpio_end(&cpio));
	fclose(out);
	free(archive);
}
END_TEST

Suite *cpio_suite(void)
{
	Suite *suite = suite_create("cpio");
	TCase *tests = tcase_create("cpio");

	tcase_add_test(tests, entries_are_read_as_they_were_written);
	tcase_add_test(tests, a_failure_is_known_at_the_end);
	tcase_add_test(tests, a_file_that_is_too_large);
	suite_add_tcase(suite, tests);
	return suite;
}
