#include "vmm/base/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <sys/types.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/stop.h"

struct output output_stdout = {.fd = STDOUT_FILENO, .waits = true};
struct output output_stderr = {.fd = STDERR_FILENO, .waits = true};

/* ---- Waiting ------------------------------------------------------------------------------- */

/* Of what all outputs together may wait once a stop is requested. */
static int64_t patience_ns = INT64_C(1000000) * OUTPUT_PATIENCE_MS;

/* Until there is room, or a signal came while nobody wants to stop.  False: patience is at an end.
 */
static bool wait_for_room(int fd)
{
	struct pollfd wanted = {.fd = fd, .events = POLLOUT};
	int ready = -1;

	/* A request that comes just before poll comes again (vmm/base/stop.h). */
	if (!stop_requested())
		return poll(&wanted, 1, -1) != 0;
	while (ready < 0) {
		const int64_t left = __atomic_load_n(&patience_ns, __ATOMIC_RELAXED);
		const uint64_t began = clock_ns();

		ready = poll(&wanted, 1, left > 0 ? (int)(left / 1000000) : 0);
		if (ready < 0 && errno != EINTR)
			return true; /* the write will say it */
		if (ready <= 0)
			__atomic_sub_fetch(&patience_ns, (int64_t)(clock_ns() - began),
			                   __ATOMIC_RELAXED);
	}
	return ready > 0;
}

/* How many bytes to write now; 0: they cannot go out.  Once there is a request a write must not
 * wait, and a pipe that has any room takes this much at once. */
static size_t share(const struct output *output, size_t count)
{
	if (!output->waits || !stop_requested())
		return count;
	if (!wait_for_room(output->fd))
		return 0;
	return count < PIPE_BUF ? count : PIPE_BUF;
}

/* ---- Writing ------------------------------------------------------------------------------- */

bool output_write(struct output *output, const void *bytes, size_t count, size_t *left)
{
	const char *at = bytes;

	while (count && !output->error) {
		const size_t now = share(output, count);
		const ssize_t written = now ? write(output->fd, at, now) : 0;

		if (written > 0) {
			at += written;
			count -= (size_t)written;
		} else if (now == 0) {
			output->error = ETIME;
		} else if (written < 0 && errno == EAGAIN) {
			/* Somebody who shares the descriptor made it so. */
			if (!wait_for_room(output->fd))
				output->error = ETIME;
		} else if (written == 0 || errno != EINTR) {
			output->error = written == 0 ? EIO : errno;
		}
	}
	if (left)
		*left = count;
	return !output->error;
}

const char *output_why(const struct output *output)
{
	return output->error == ETIME ? "nobody reads it, and it was time to stop: the rest is lost"
	                              : strerror(output->error);
}

/* ---- Streams ------------------------------------------------------------------------------- */

static ssize_t stream_write(void *cookie, const char *bytes, size_t count)
{
	struct output *output = cookie;
	const bool good = output_write(output, bytes, count, NULL);

	errno = output->error;
	return good ? (ssize_t)count : 0;
}

static int stream_seek(void *cookie, off64_t *offset, int whence)
{
	const struct output *output = cookie;
	off_t at = lseek(output->fd, *offset, whence);

	*offset = at;
	return at < 0 ? -1 : 0;
}

FILE *output_stream(struct output *output)
{
	const cookie_io_functions_t functions = {.write = stream_write, .seek = stream_seek};

	return fopencookie(output, "w", functions);
}

void output_take_streams(void)
{
	FILE *out = output_stream(&output_stdout), *err = output_stream(&output_stderr);

	/* Without memory stdio's own serve; they only wait longer. */
	if (out)
		stdout = out;
	if (!err)
		return;
	setvbuf(err, NULL, _IONBF, 0);
	stderr = err;
}

bool output_finish(const char *what)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	return message_error("cannot write %s to standard output: %s", what,
	                     output_why(&output_stdout));
}
