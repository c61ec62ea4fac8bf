/* Outputs: what takes the place of what, and that nothing is harmed or left behind. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit_vmm/suites.h"
#include "vmm/base/outfile.h"

/* Each test has a folder of its own, which is the current one. */
static char folder[PATH_MAX];

static void enter(const char *where)
{
	snprintf(folder, sizeof(folder), "%s/unit_outfile.XXXXXX", where);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	/* Messages are for people. */
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
}

static void setup(void)
{
	enter("/tmp");
}

static void teardown(void)
{
	char command[PATH_MAX + 16];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(system(command), 0);
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void holds(const char *path, const char *text)
{
	char got[256] = "";
	FILE *file = fopen(path, "r");

	ck_assert_msg(file, "%s: %s", path, strerror(errno));
	got[fread(got, 1, sizeof(got) - 1, file)] = '\0';
	fclose(file);
	ck_assert_str_eq(got, text);
}

static struct stat status_of(const char *path)
{
	struct stat status;

	ck_assert_msg(lstat(path, &status) == 0, "%s: %s", path, strerror(errno));
	return status;
}

static unsigned mode_of(const char *path)
{
	return status_of(path).st_mode & 07777;
}

/* How many names there are, hidden ones too. */
static void names_are(unsigned wanted)
{
	FILE *list = popen("ls -A | wc -l", "r");
	unsigned got = 0;

	ck_assert_ptr_nonnull(list);
	ck_assert_int_eq(fscanf(list, "%u", &got), 1);
	pclose(list);
	ck_assert_uint_eq(got, wanted);
}

static bool write_text(const char *path, const char *text, enum outfile_readers readers)
{
	struct outfile out;

	if (!outfile_open(&out, path, readers))
		return false;
	fputs(text, out.stream);
	return outfile_commit(&out);
}

START_TEST(a_file_appears_in_the_end)
{
	struct outfile out;

	umask(022);
	ck_assert(outfile_open(&out, "new", OUTFILE_SHARED));
	fputs("text", out.stream);
	names_are(0);
	ck_assert(outfile_commit(&out));
	ck_assert_ptr_null(out.stream);
	holds("new", "text");
	ck_assert_uint_eq(mode_of("new"), 0644);
	names_are(1);
	ck_assert(write_text("core", "text", OUTFILE_OWNER));
	ck_assert_uint_eq(mode_of("core"), 0600);
	umask(077);
	ck_assert(write_text("private", "text", OUTFILE_SHARED));
	ck_assert_uint_eq(mode_of("private"), 0600);
	umask(022);
}
END_TEST

START_TEST(what_is_there_is_replaced_whole)
{
	struct outfile out;
	struct stat before;

	put("file", "former, and longer");
	ck_assert_int_eq(chmod("file", 0640), 0);
	before = status_of("file");
	ck_assert(outfile_open(&out, "file", OUTFILE_SHARED));
	fputs("text", out.stream);
	fflush(out.stream);
	holds("file", "former, and longer");
	ck_assert(outfile_commit(&out));
	holds("file", "text");
	ck_assert_uint_eq(mode_of("file"), 0640);
	ck_assert_uint_ne(status_of("file").st_ino, before.st_ino);
	/* What others could read, but a core is not theirs to read. */
	ck_assert(write_text("file", "core", OUTFILE_OWNER));
	ck_assert_uint_eq(mode_of("file"), 0600);
	names_are(1);
}
END_TEST

START_TEST(an_abandoned_one_harms_nothing)
{
	struct outfile out;

	put("file", "former");
	ck_assert(outfile_open(&out, "file", OUTFILE_SHARED));
	fputs("text", out.stream);
	outfile_abandon(&out);
	outfile_abandon(&out);
	holds("file", "former");
	names_are(1);
	ck_assert(outfile_open(&out, "new", OUTFILE_SHARED));
	outfile_abandon(&out);
	names_are(1);
}
END_TEST

START_TEST(links_stay_links)
{
	ck_assert_int_eq(mkdir("folder", 0755), 0);
	put("folder/file", "former");
	ck_assert_int_eq(symlink("folder/file", "one"), 0);
	ck_assert_int_eq(symlink("one", "two"), 0);
	ck_assert(write_text("two", "text", OUTFILE_SHARED));
	ck_assert(S_ISLNK(status_of("one").st_mode) && S_ISLNK(status_of("two").st_mode));
	holds("folder/file", "text");
	/* To where nothing is yet. */
	ck_assert_int_eq(symlink("folder/new", "three"), 0);
	ck_assert(write_text("three", "text", OUTFILE_SHARED));
	ck_assert(S_ISLNK(status_of("three").st_mode));
	holds("folder/new", "text");
	ck_assert_int_eq(symlink("circle", "circle"), 0);
	ck_assert(!write_text("circle", "text", OUTFILE_SHARED));
}
END_TEST

START_TEST(what_cannot_be_a_file_is_refused)
{
	char longest[NAME_MAX + 2];

	ck_assert_int_eq(mkdir("folder", 0755), 0);
	put("file", "former");
	ck_assert(!write_text("folder", "text", OUTFILE_SHARED));
	ck_assert(!write_text("folder/", "text", OUTFILE_SHARED));
	ck_assert(!write_text("new/", "text", OUTFILE_SHARED));
	ck_assert(!write_text("nowhere/new", "text", OUTFILE_SHARED));
	ck_assert(!write_text("file/new", "text", OUTFILE_SHARED));
	ck_assert(!write_text("", "text", OUTFILE_SHARED));
	holds("file", "former");
	memset(longest, 'x', sizeof(longest));
	longest[NAME_MAX + 1] = '\0';
	ck_assert(!write_text(longest, "text", OUTFILE_SHARED));
	names_are(2);
	/* The longest name that can be, can be written. */
	longest[NAME_MAX] = '\0';
	ck_assert(write_text(longest, "text", OUTFILE_SHARED));
	names_are(3);
}
END_TEST

/* Names below /dev are as good as others. */
START_TEST(a_tmpfs_has_regular_files)
{
	teardown();
	enter("/dev/shm");
	ck_assert(write_text("new", "text", OUTFILE_OWNER));
	ck_assert_uint_eq(mode_of("new"), 0600);
	ck_assert(write_text("new", "other", OUTFILE_SHARED));
	holds("new", "other");
	names_are(1);
}
END_TEST

START_TEST(a_file_that_may_not_grow)
{
	const struct rlimit limit = {4096, 4096};
	struct outfile out;

	signal(SIGXFSZ, SIG_IGN);
	put("file", "former");
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert(outfile_open(&out, "file", OUTFILE_SHARED));
	for (int i = 0; i < 1000; i++)
		fputs("more than fits", out.stream);
	ck_assert(!outfile_commit(&out));
	holds("file", "former");
	names_are(1);
}
END_TEST

START_TEST(devices_and_pipes_are_written_at_once)
{
	char got[8] = "";
	int reader;

	ck_assert(write_text("/dev/null", "text", OUTFILE_SHARED));
	ck_assert(!write_text("/dev/full", "text", OUTFILE_SHARED));
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	ck_assert(!write_text("fifo", "text", OUTFILE_SHARED)); /* after a second */
	reader = open("fifo", O_RDONLY | O_NONBLOCK);
	ck_assert(write_text("fifo", "text", OUTFILE_SHARED));
	ck_assert_int_eq(read(reader, got, sizeof(got)), 4);
	close(reader);
	names_are(1);
}
END_TEST

/* As /dev/stdout does. */
START_TEST(an_open_file_is_added_to)
{
	char path[40];
	int fd = open("file", O_RDWR | O_CREAT, 0600);

	ck_assert_int_eq(write(fd, "before ", 7), 7);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(symlink(path, "link"), 0);
	ck_assert(write_text("link", "text", OUTFILE_SHARED));
	ck_assert_int_eq(write(fd, " behind", 7), 7);
	holds("file", "before text behind");
	close(fd);
}
END_TEST

/* A folder in which nothing can be made: the file in it is kept, and what it holds is new. */
START_TEST(what_cannot_be_replaced_is_overwritten)
{
	struct outfile out;
	struct stat before;
	char name[32];

	ck_assert_int_eq(mkdir("folder", 0777), 0);
	put("folder/file", "former, and longer");
	ck_assert_int_eq(chmod("folder/file", 0666), 0);
	ck_assert_int_eq(chmod("folder", 0555), 0);
	ck_assert_int_eq(chmod(".", 0755), 0);
	before = status_of("folder/file");
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	ck_assert(outfile_open(&out, "folder/file", OUTFILE_SHARED));
	fputs("text", out.stream);
	holds("folder/file", "former, and longer");
	ck_assert(outfile_commit(&out));
	ck_assert(!outfile_open(&out, "folder/new", OUTFILE_SHARED));
	ck_assert_int_eq(seteuid(getuid()), 0);
	holds("folder/file", "text");
	ck_assert_uint_eq(status_of("folder/file").st_ino, before.st_ino);
	snprintf(name, sizeof(name), "folder");
	ck_assert_int_eq(chmod(name, 0755), 0);
}
END_TEST

/* What is protected from writing stays so, although its folder is ours. */
START_TEST(a_read_only_file_stays)
{
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(".", 65534, 65534), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
	put("file", "former");
	ck_assert_int_eq(chmod("file", 0444), 0);
	ck_assert(!write_text("file", "text", OUTFILE_SHARED));
	holds("file", "former");
	ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

START_TEST(the_owner_stays)
{
	if (geteuid() != 0)
		return;
	put("file", "former");
	ck_assert_int_eq(chown("file", 1234, 4321), 0);
	ck_assert_int_eq(chmod("file", 0604), 0);
	ck_assert(write_text("file", "text", OUTFILE_SHARED));
	ck_assert_uint_eq(status_of("file").st_uid, 1234);
	ck_assert_uint_eq(status_of("file").st_gid, 4321);
	ck_assert_uint_eq(mode_of("file"), 0604);
}
END_TEST

START_TEST(two_names_of_one_file)
{
	struct outfile a, b, c;
	struct stat status;

	put("file", "former");
	ck_assert_int_eq(symlink("file", "link"), 0);
	ck_assert(outfile_open(&a, "file", OUTFILE_SHARED));
	ck_assert(outfile_open(&b, "./link", OUTFILE_SHARED));
	ck_assert(outfile_open(&c, "other", OUTFILE_SHARED));
	status = status_of("file");
	ck_assert(outfile_same(&a, &b));
	ck_assert(!outfile_same(&a, &c));
	ck_assert(outfile_is(&b, &status));
	ck_assert(!outfile_is(&c, &status));
	outfile_abandon(&b);
	ck_assert(!outfile_same(&a, &b));
	ck_assert(outfile_open(&b, "../other/../other", OUTFILE_SHARED) == 0);
	ck_assert(outfile_open(&b, ".//other", OUTFILE_SHARED));
	ck_assert(outfile_same(&b, &c));
	outfile_abandon(&a);
	outfile_abandon(&b);
	outfile_abandon(&c);
	ck_assert(outfile_open(&a, "/dev/null", OUTFILE_SHARED));
	ck_assert(outfile_open(&b, "/dev/null", OUTFILE_SHARED));
	ck_assert(!outfile_same(&a, &b));
	outfile_abandon(&a);
	outfile_abandon(&b);
}
END_TEST

Suite *outfile_suite(void)
{
	Suite *suite = suite_create("outfile");
	TCase *tc = tcase_create("outfile");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_file_appears_in_the_end);
	tcase_add_test(tc, what_is_there_is_replaced_whole);
	tcase_add_test(tc, an_abandoned_one_harms_nothing);
	tcase_add_test(tc, links_stay_links);
	tcase_add_test(tc, what_cannot_be_a_file_is_refused);
	tcase_add_test(tc, a_tmpfs_has_regular_files);
	tcase_add_test(tc, a_file_that_may_not_grow);
	tcase_add_test(tc, devices_and_pipes_are_written_at_once);
	tcase_add_test(tc, an_open_file_is_added_to);
	tcase_add_test(tc, what_cannot_be_replaced_is_overwritten);
	tcase_add_test(tc, a_read_only_file_stays);
	tcase_add_test(tc, the_owner_stays);
	tcase_add_test(tc, two_names_of_one_file);
	suite_add_tcase(suite, tc);
	return suite;
}
