#include "vmm/base/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/stop.h"

#define TEMP_NAME ".vmm-XXXXXX"

/* ---- Temporary names ----------------------------------------------------------------------- */

/* Those that are there now, for a signal handler; few files are open at a time. */
static char *volatile temp_names[8];
enum { TEMP_NAMES = sizeof(temp_names) / sizeof(temp_names[0]) };

static void remove_temps(void)
{
	for (unsigned i = 0; i < TEMP_NAMES; i++) {
		if (temp_names[i])
			unlink(temp_names[i]);
	}
}

static void note_temp(char *name)
{
	stop_at_death(remove_temps);
	for (unsigned i = 0; i < TEMP_NAMES; i++) {
		if (!temp_names[i]) {
			temp_names[i] = name;
			return;
		}
	}
}

static void forget_temp(struct outfile *out)
{
	for (unsigned i = 0; i < TEMP_NAMES; i++) {
		if (temp_names[i] == out->temp)
			temp_names[i] = NULL;
	}
	free(out->temp);
	out->temp = NULL;
}

/* A template for mkostemp beside `target`; owned by the caller; NULL without memory.  Not longer
 * than the file's own name need be: that may have the greatest length already. */
static char *temp_beside(const char *target)
{
	const size_t folder = (size_t)(strrchr(target, '/') + 1 - target);
	char *name = malloc(folder + sizeof(TEMP_NAME));

	if (name) {
		memcpy(name, target, folder);
		memcpy(name + folder, TEMP_NAME, sizeof(TEMP_NAME));
	}
	return name;
}

/* ---- What a name stands for ---------------------------------------------------------------- */

/* Into folder, of PATH_MAX bytes: what comes before the last component, "." for nothing. */
static const char *split(const char *path, char *folder)
{
	const char *slash = strrchr(path, '/');

	if (!slash) {
		memcpy(folder, ".", sizeof("."));
		return path;
	}
	snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	return slash + 1;
}

/* A link of procfs does not lead to a name: it stands for somebody's open file. */
static bool is_open_file(const char *folder)
{
	struct statfs status;

	return statfs(folder, &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

enum { LINKS_MAX = 40 }; /* as many as the kernel follows */

/* Follows symbolic links, also to where nothing is yet: from path, of PATH_MAX bytes, to path.
 * *opened: the last one stands for an open file.  False with errno. */
static bool follow_links(char *path, bool *opened)
{
	char folder[PATH_MAX], link[PATH_MAX], joined[2 * PATH_MAX];

	*opened = false;
	for (int i = 0; i < LINKS_MAX; i++) {
		const ssize_t length = readlink(path, link, sizeof(link) - 1);

		if (length < 0)
			return true; /* no link; or what is wrong opening it will say */
		link[length] = '\0';
		split(path, folder);
		*opened = is_open_file(folder);
		if (*opened)
			return true;
		snprintf(joined, sizeof(joined), "%s/%s", folder, link);
		errno = ENAMETOOLONG;
		if (strlen(joined) >= PATH_MAX)
			return false;
		memcpy(path, link[0] == '/' ? link : joined, PATH_MAX);
	}
	errno = ELOOP;
	return false;
}

/* The absolute path of a file whose folder is there; owned by the caller.  NULL with errno. */
static char *absolute(const char *path)
{
	char folder[PATH_MAX], resolved[PATH_MAX];
	const char *name = split(path, folder);
	char *whole;

	errno = EISDIR;
	if (!*name || !realpath(folder, resolved))
		return NULL;
	if (asprintf(&whole, "%s/%s", strcmp(resolved, "/") != 0 ? resolved : "", name) < 0)
		return NULL;
	return whole;
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* For writing, without harm to what is there.  A FIFO's reader may come a little later than we do.
 */
static int open_former(const char *path)
{
	const struct timespec nap = {.tv_nsec = 10000000};
	const int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct stat status;
	int fd = open(path, flags);

	for (int naps = 0; fd < 0 && errno == ENXIO && naps < 100; naps++) {
		if (stat(path, &status) < 0 || !S_ISFIFO(status.st_mode)) {
			errno = ENXIO;
			break;
		}
		nanosleep(&nap, NULL);
		fd = open(path, flags);
	}
	return fd;
}

/* A link of procfs.  If it is one of our own descriptors then that one, with its position: who
 * started us and we write one behind the other. */
static int open_opened(struct outfile *out, const char *path)
{
	char folder[PATH_MAX];
	const int number = atoi(split(path, folder));
	struct stat own, wanted;

	out->own = stat(path, &wanted) == 0 && fstat(number, &own) == 0 &&
	           own.st_dev == wanted.st_dev && own.st_ino == wanted.st_ino;
	if (out->own)
		return fcntl(number, F_DUPFD_CLOEXEC, 3);
	return open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Without a name, in the folder of target if that can be; else with one.  -1 with errno. */
static int open_beside(struct outfile *out, mode_t mode)
{
	char folder[PATH_MAX];
	int fd;

	split(out->target, folder);
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	/* It gets its name by /proc (open(2)). */
	if (fd >= 0 && access("/proc/self/fd", X_OK) == 0)
		return fd;
	if (fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return -1;
	if (fd >= 0)
		close(fd);
	out->temp = temp_beside(out->target);
	fd = out->temp ? mkostemp(out->temp, O_CLOEXEC) : -1;
	if (fd < 0) {
		const int error = errno;

		forget_temp(out);
		errno = error;
		return -1;
	}
	note_temp(out->temp);
	mode_t mask = umask(0);

	umask(mask);
	fchmod(fd, mode & ~mask);
	return fd;
}

/* For what is written in place at the end: in a folder for such files, else in memory. */
static int open_elsewhere(void)
{
	const char *folder = getenv("TMPDIR");
	int fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd >= 0 ? fd : memfd_create("vmm", MFD_CLOEXEC);
}

/* The mode of what takes the place of a file that is there. */
static mode_t mode_of(const struct outfile *out)
{
	const mode_t mode = out->status.st_mode & 0777;

	return out->readers == OUTFILE_OWNER ? mode & 0700 : mode;
}

/* The new file for a regular one, or for nothing.  -1 with errno. */
static int open_new(struct outfile *out)
{
	const mode_t mode = out->readers == OUTFILE_OWNER ? 0600 : 0666;
	int fd = open_beside(out, out->former < 0 ? mode : 0600);

	if (out->former < 0)
		return fd;
	if (fd < 0) {
		out->kept = errno;
		return open_elsewhere();
	}
	/* Whose it was it must be again, and nobody may read it who could not before. */
	if (fchown(fd, out->status.st_uid, out->status.st_gid) < 0 || fchmod(fd, mode_of(out)) < 0)
		out->kept = errno;
	return fd;
}

/* The kernel may refuse to follow a link (proc_sys_fs(5), protected_symlinks), so it is asked
 * first; and what it opened must be what the links that we followed lead to. */
static bool is_still(const char *path, const struct stat *status)
{
	struct stat now;

	errno = EAGAIN;
	return lstat(path, &now) == 0 && now.st_dev == status->st_dev &&
	       now.st_ino == status->st_ino;
}

/* Written at once: all but regular files.  -1 with errno. */
static int open_at_once(struct outfile *out, int fd)
{
	if (fd < 0 || fstat(fd, &out->status) == 0) {
		/* A standard stream that was closed when we started (main.c). */
		if (fd < 0 || !S_ISDIR(out->status.st_mode))
			return fd;
		errno = EBADF;
	}
	out->status = (struct stat){0};
	close(fd);
	return -1;
}

/* Whatever the name stands for.  -1 with errno. */
static int open_any(struct outfile *out)
{
	char path[PATH_MAX];
	bool opened;
	int error;

	errno = ENAMETOOLONG;
	if (strlen(out->path) >= sizeof(path))
		return -1;
	memcpy(path, out->path, strlen(out->path) + 1);
	out->former = open_former(path);
	error = errno;
	if (out->former >= 0 && fstat(out->former, &out->status) < 0)
		return -1;
	if (!follow_links(path, &opened))
		return -1;
	if (opened)
		return open_at_once(out, open_opened(out, path));
	errno = error;
	if (out->former < 0 && error != ENOENT)
		return -1;
	if (out->former >= 0 && !S_ISREG(out->status.st_mode)) {
		const int fd = out->former;

		out->former = -1;
		return open_at_once(out, fd);
	}
	if (out->former >= 0 && !is_still(path, &out->status))
		return -1;
	out->target = absolute(path);
	return out->target ? open_new(out) : -1;
}

/* ---- Interface ----------------------------------------------------------------------------- */

static void forget(struct outfile *out)
{
	if (out->stream)
		fclose(out->stream);
	if (out->output.fd >= 0)
		close(out->output.fd);
	if (out->former >= 0)
		close(out->former);
	if (out->temp)
		unlink(out->temp);
	forget_temp(out);
	free(out->target);
	*out = (struct outfile){.former = -1, .output = {.fd = -1}, .path = out->path};
}

static bool refuse(struct outfile *out, int error)
{
	struct stat status;

	if (error == ENXIO && stat(out->path, &status) == 0 && S_ISFIFO(status.st_mode))
		message_error("%s: cannot write: nobody reads this FIFO: open it for reading first",
		              out->path);
	else
		message_error("%s: cannot write: %s", out->path, strerror(error));
	forget(out);
	return false;
}

bool outfile_open(struct outfile *out, const char *path, enum outfile_readers readers)
{
	*out = (struct outfile)OUTFILE_CLOSED;
	out->path = path;
	out->readers = readers;
	out->output.fd = open_any(out);
	if (out->output.fd < 0)
		return refuse(out, errno);
	out->output.waits = !out->target;
	out->stream = output_stream(&out->output);
	return out->stream || refuse(out, errno);
}

bool outfile_is(const struct outfile *out, const struct stat *status)
{
	return out->stream && out->status.st_nlink && out->status.st_dev == status->st_dev &&
	       out->status.st_ino == status->st_ino && !S_ISCHR(status->st_mode);
}

bool outfile_same(const struct outfile *a, const struct outfile *b)
{
	if (!a->stream || !b->stream || (a->own && b->own))
		return false;
	return outfile_is(a, &b->status) ||
	       (a->target && b->target && !strcmp(a->target, b->target));
}

void outfile_abandon(struct outfile *out)
{
	if (out->stream)
		forget(out);
}

/* ---- Putting it in its place --------------------------------------------------------------- */

/* Gives the new file a name of its own beside target.  False with errno. */
static bool name_it(struct outfile *out)
{
	char from[40];

	if (out->temp)
		return true;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", out->output.fd);
	for (unsigned tries = 0; tries < 100; tries++) {
		out->temp = temp_beside(out->target);
		if (!out->temp)
			return false;
		snprintf(strrchr(out->temp, '/') + 1, sizeof(TEMP_NAME), ".vmm-%06x",
		         (unsigned)(clock_ns() / 64 + (uint64_t)getpid() * 7919) & 0xffffff);
		if (linkat(AT_FDCWD, from, AT_FDCWD, out->temp, AT_SYMLINK_FOLLOW) == 0)
			return true;
		forget_temp(out);
		if (errno != EEXIST)
			return false;
	}
	return false;
}

/* False with errno.  Signals wait: the name would outlive a death between the two calls. */
static bool replace(struct outfile *out)
{
	sigset_t all, before;
	bool good;
	int error;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	good = name_it(out) && rename(out->temp, out->target) == 0;
	error = errno;
	if (!good && out->temp)
		unlink(out->temp);
	forget_temp(out);
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return good;
}

/* One extent of data.  False with errno. */
static bool copy_data(int from, int to, off_t at, off_t end)
{
	struct output output = {.fd = to};
	char buffer[65536];

	if (lseek(to, at, SEEK_SET) < 0)
		return false;
	while (at < end) {
		const size_t wanted =
		    end - at < (off_t)sizeof(buffer) ? (size_t)(end - at) : sizeof(buffer);
		const ssize_t got = pread(from, buffer, wanted, at);

		if (got <= 0) {
			errno = got < 0 ? errno : EIO;
			return false;
		}
		if (!output_write(&output, buffer, (size_t)got, NULL)) {
			errno = output.error;
			return false;
		}
		at += got;
	}
	return true;
}

/* All of one file, holes left out, in place of all of another.  False with errno. */
static bool copy(int from, int to)
{
	const off_t size = lseek(from, 0, SEEK_END);
	off_t end = 0;

	if (size < 0 || ftruncate(to, 0) < 0)
		return false;
	for (;;) {
		off_t at = lseek(from, end, SEEK_DATA);

		if (at < 0 && errno == ENXIO)
			break; /* no more data */
		end = at < 0 ? size : lseek(from, at, SEEK_HOLE);
		if (!copy_data(from, to, at < 0 ? 0 : at, end))
			return false;
		if (at < 0)
			break; /* it has no notion of holes */
	}
	/* A device of /proc or /sys has no length to set. */
	return ftruncate(to, size) == 0 || lseek(from, 0, SEEK_DATA) < 0 || errno == EINVAL;
}

/* Puts back what was there.  Returns in words what became of it. */
static const char *restore(struct outfile *out, int backup)
{
	if (out->status.st_size ? backup >= 0 && copy(backup, out->former)
	                        : ftruncate(out->former, 0) == 0)
		return "is as it was";
	return "has lost what was in it";
}

/* The file keeps its name, and what it holds becomes another: what it held is kept until that has
 * succeeded. */
static bool overwrite(struct outfile *out)
{
	const int old = open(out->target, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int backup = old >= 0 && out->status.st_size ? open_elsewhere() : -1;
	sigset_t all, before;
	bool good = true;

	if (backup >= 0 && !copy(old, backup)) {
		close(backup);
		backup = -1;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	if (out->readers == OUTFILE_OWNER && fchmod(out->former, mode_of(out)) < 0)
		good = message_error("%s: cannot write: others may read it, and that cannot be "
		                     "changed: %s",
		                     out->path, strerror(errno));
	else if (!copy(out->output.fd, out->former)) {
		const int error = errno;

		good = message_error("%s: cannot write: %s; it %s", out->path, strerror(error),
		                     restore(out, backup));
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (backup >= 0)
		close(backup);
	if (old >= 0)
		close(old);
	if (good)
		message_error("%s: written in place: it cannot be replaced: %s", out->path,
		              strerror(out->kept));
	return good;
}

/* The new file takes the place of what is there, or what it holds does. */
static bool put(struct outfile *out)
{
	if (!out->kept && replace(out))
		return true;
	if (!out->kept)
		out->kept = errno;
	/* What is there no more, nobody would find. */
	if (out->former >= 0 && is_still(out->target, &out->status))
		return overwrite(out);
	return message_error("%s: cannot write: %s", out->path, strerror(out->kept));
}

/* Some file systems say only here that there was no room. */
static bool close_written(struct outfile *out)
{
	const int fd = out->output.fd;

	out->output.fd = -1;
	return close(fd) == 0 || message_error("%s: cannot write: %s", out->path, strerror(errno));
}

bool outfile_commit(struct outfile *out)
{
	bool good = fflush(out->stream) == 0 && !out->output.error;

	if (!good)
		message_error("%s: cannot write: %s", out->path, output_why(&out->output));
	else
		good = out->target ? put(out) : close_written(out);
	forget(out);
	return good;
}
