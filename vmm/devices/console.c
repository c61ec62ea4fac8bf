#include "vmm/devices/console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/message.h"
#include "vmm/base/output.h"
#include "vmm/base/visible.h"

void console_init(struct console *console)
{
	console->terminal = isatty(STDOUT_FILENO);
	console->visible[STDOUT_FILENO] = console->terminal;
	console->visible[STDERR_FILENO] = isatty(STDERR_FILENO);
	console->failed = false;
	console->used = 0;
}

static bool write_all(struct console *console, struct output *output, const char *bytes,
                      size_t count)
{
	size_t left;

	if (console->failed || output_write(output, bytes, count, &left))
		return !console->failed;
	console->failed = true;
	if (output->error == ETIME)
		return message_error("nobody reads the guest's output: %zu bytes of it are lost",
		                     left);
	return message_error("cannot write the guest's output to standard %s: %s",
	                     output == &output_stderr ? "error" : "output", output_why(output));
}

/* As it is, or as a terminal may get it. */
static bool put(struct console *console, struct output *output, const char *bytes, size_t count)
{
	bool good = true;

	if (!console->visible[output->fd])
		return write_all(console, output, bytes, count);
	while (count && good) {
		char text[1024];
		size_t taken, size = visible(text, sizeof(text), bytes, count, &taken);

		good = write_all(console, output, text, size);
		bytes += taken;
		count -= taken;
	}
	return good;
}

bool console_flush(struct console *console)
{
	size_t used = console->used;

	console->used = 0;
	return put(console, &output_stdout, console->buffer, used);
}

bool console_write(struct console *console, int fd, const char *bytes, size_t count)
{
	if (fd == STDERR_FILENO)
		return console_flush(console) && put(console, &output_stderr, bytes, count);
	if (count > sizeof(console->buffer) - console->used && !console_flush(console))
		return false;
	if (count > sizeof(console->buffer))
		return put(console, &output_stdout, bytes, count);
	memcpy(console->buffer + console->used, bytes, count);
	console->used += count;
	if (console->terminal && memchr(bytes, '\n', count))
		return console_flush(console);
	return !console->failed;
}

/* Until standard input can be read without waiting.  Blocked signals come only while this sleeps,
 * so that none can slip in between the question and the wait. */
static bool wait_for_input(bool (*given_up)(void *ctx), void *ctx)
{
	struct pollfd poll_fd = {.fd = STDIN_FILENO, .events = POLLIN};
	sigset_t all, before;
	bool ready = false;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	while (!ready && !given_up(ctx))
		ready = ppoll(&poll_fd, 1, NULL, &before) >= 0 || errno != EINTR;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ready;
}

int64_t console_read(char *bytes, size_t count, bool (*given_up)(void *ctx), void *ctx)
{
	ssize_t result;

	if (!count)
		return 0;
	do {
		if (!wait_for_input(given_up, ctx))
			return -EINTR;
		result = read(STDIN_FILENO, bytes, count);
	} while (result < 0 && (errno == EINTR || errno == EAGAIN));
	return result < 0 ? -errno : result;
}
