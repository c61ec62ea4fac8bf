#include "tests/unit_vmm/made_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>

#include <check.h>

static int heard, before;

const char *made_file(const void *bytes, size_t size)
{
	static char paths[4][32];
	static unsigned next;
	char *path = paths[next++ % 4];
	int fd;

	strcpy(path, "/tmp/rs_made_XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	close(fd);
	return path;
}

void listen_begin(void)
{
	heard = memfd_create("stderr", 0);
	before = dup(STDERR_FILENO);
	ck_assert(heard >= 0 && before >= 0);
	dup2(heard, STDERR_FILENO);
}

void listen_end(char *said, size_t size)
{
	ssize_t length;

	dup2(before, STDERR_FILENO);
	length = pread(heard, said, size - 1, 0);
	said[length < 0 ? 0 : length] = '\0';
	close(heard);
	close(before);
}
