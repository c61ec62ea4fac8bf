#include "vmm/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "vmm/message.h"

static void forget(struct outfile *out)
{
	free(out->path);
	free(out->temp);
	*out = (struct outfile){0};
}

static bool cannot(struct outfile *out, const char *path, const char *what)
{
	int error = errno;

	if (out->stream)
		fclose(out->stream);
	if (out->temp)
		unlink(out->temp);
	forget(out);
	return message_error("%s: cannot %s: %s", path, what, strerror(error));
}

/* What cannot be replaced, or must not be: devices, pipes, folders, and the names below /dev and
 * /proc that stand for somebody's open file. */
static bool is_in_place(const char *path)
{
	struct stat stat_of;

	if (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
		return true;
	return stat(path, &stat_of) == 0 && !S_ISREG(stat_of.st_mode);
}

static int open_in_place(const char *path)
{
	/* O_NONBLOCK: a FIFO without a reader is an error, not a wait.  Writes then do wait. */
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd >= 0)
		fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}

/* A new file beside out->path; its name goes to out->temp. */
static int open_temp(struct outfile *out)
{
	static const char suffix[] = ".tmp-XXXXXX";
	size_t length = strlen(out->path);

	out->temp = malloc(length + sizeof(suffix));
	if (!out->temp)
		return -1;
	memcpy(out->temp, out->path, length);
	memcpy(out->temp + length, suffix, sizeof(suffix));

	int fd = mkostemp(out->temp, O_CLOEXEC);

	if (fd < 0) {
		free(out->temp);
		out->temp = NULL;
		return -1;
	}

	/* mkostemp gives 0600; a report is an ordinary file. */
	mode_t mask = umask(0);

	umask(mask);
	fchmod(fd, 0666 & ~mask);
	return fd;
}

bool outfile_open(struct outfile *out, const char *path)
{
	*out = (struct outfile){0};

	bool in_place = is_in_place(path);

	/* Behind a symbolic link lies what is to be replaced. */
	if (!in_place)
		out->path = realpath(path, NULL);
	if (!out->path)
		out->path = strdup(path);
	if (!out->path)
		return cannot(out, path, "write");

	int fd = in_place ? open_in_place(path) : open_temp(out);

	if (fd < 0)
		return cannot(out, path, "write");
	out->stream = fdopen(fd, "w");
	if (!out->stream) {
		int error = errno;

		close(fd);
		errno = error;
		return cannot(out, path, "write");
	}
	return true;
}

/* Opening a FIFO for a moment would be an end of file to whoever reads it: only ask. */
static bool check_in_place(const char *path)
{
	struct stat stat_of;

	if (stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode))
		errno = EISDIR;
	else if (access(path, W_OK) == 0)
		return true;
	return message_error("%s: cannot write: %s", path, strerror(errno));
}

bool outfile_check(const char *path)
{
	struct outfile out;

	if (is_in_place(path))
		return check_in_place(path);
	if (!outfile_open(&out, path))
		return false;
	outfile_abandon(&out);
	return true;
}

void outfile_abandon(struct outfile *out)
{
	fclose(out->stream);
	if (out->temp)
		unlink(out->temp);
	forget(out);
}

bool outfile_commit(struct outfile *out)
{
	char *path = out->path;
	bool failed = ferror(out->stream) != 0;

	failed |= fclose(out->stream) != 0;
	out->stream = NULL;
	out->path = NULL;
	failed = failed || (out->temp && rename(out->temp, path) < 0);
	if (failed)
		cannot(out, path, "write");
	else
		forget(out);
	free(path);
	return !failed;
}
