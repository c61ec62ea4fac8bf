#include "vmm/debug/gdb_line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "vmm/debug/gdb.h"
#include "vmm/message.h"
#include "vmm/stop.h"

/* A signal handler has no other way to what it needs. */
volatile sig_atomic_t gdb_line_attention;

static void on_input(int signal)
{
	(void)signal;
	gdb_line_attention = 1;
	stop_all();
}

/* ---- Addresses ---------------------------------------------------------------------------------
 */

union socket_address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

static bool parse_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long number;

	if (*text < '0' || *text > '9')
		return false;
	number = strtoul(text, &end, 10);
	*port = (uint16_t)number;
	return !*end && number <= UINT16_MAX;
}

/* Numbers only, and one name: looking others up would need what a static program does not have. */
static bool parse_host(const char *host, uint16_t port, union socket_address *to, socklen_t *size)
{
	if (!*host || !strcmp(host, "localhost"))
		host = "127.0.0.1";
	*size = sizeof(to->in4);
	to->in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	if (inet_pton(AF_INET, host, &to->in4.sin_addr) == 1)
		return true;
	*size = sizeof(to->in6);
	to->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	return inet_pton(AF_INET6, host, &to->in6.sin6_addr) == 1;
}

static bool parse_address(const char *text, union socket_address *to, socklen_t *size)
{
	const char *colon = strrchr(text, ':');
	char host[64] = "";
	uint16_t port;

	if (strchr(text, '/')) {
		*size = sizeof(to->un);
		to->un = (struct sockaddr_un){.sun_family = AF_UNIX};
		if (strlen(text) >= sizeof(to->un.sun_path))
			return message_error("--gdb '%s': a socket's path has at most %zu bytes",
			                     text, sizeof(to->un.sun_path) - 1);
		memcpy(to->un.sun_path, text, strlen(text) + 1);
		return true;
	}
	if (colon) {
		size_t length = (size_t)(colon - text);
		bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';

		if (length < sizeof(host))
			snprintf(host, sizeof(host), "%.*s", (int)length - 2 * brackets,
			         text + brackets);
	}
	if (parse_port(colon ? colon + 1 : text, &port) && parse_host(host, port, to, size))
		return true;
	return message_error("--gdb '%s': must be PORT or HOST:PORT, the host as a number, or the "
	                     "path of a socket with a '/' in it",
	                     text);
}

bool gdb_check_address(const char *text)
{
	union socket_address address = {0};
	socklen_t size;

	return parse_address(text, &address, &size);
}

/* ---- Connecting
 * ---------------------------------------------------------------------------------- */

/* A socket that nobody listens at any more stays as a file; anything else is not ours to remove. */
static void remove_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	if (fd >= 0)
		close(fd);
}

static int listen_at(const char *text, union socket_address *address, socklen_t size)
{
	const int on = 1;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (address->any.sa_family == AF_UNIX)
		remove_stale(&address->un);
	if (fd >= 0 && address->any.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd >= 0 && bind(fd, &address->any, size) == 0 && listen(fd, 1) == 0)
		return fd;
	if (errno == EADDRINUSE)
		message_error("--gdb %s: somebody listens there already; take another %s", text,
		              address->any.sa_family == AF_UNIX ? "path"
		                                                : "port, or 0 for any free one");
	else
		message_error("--gdb %s: cannot listen there: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static void say_waiting(int fd, const char *text, const char *guest)
{
	union socket_address address = {0};
	socklen_t size = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "";

	if (getsockname(fd, &address.any, &size) < 0)
		return;
	if (address.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &address.in4.sin_addr, host, sizeof(host));
		fprintf(stderr, "vmm: waiting for gdb: gdb %s -ex 'target remote %s:%u'\n", guest,
		        host, ntohs(address.in4.sin_port));
	} else if (address.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &address.in6.sin6_addr, host, sizeof(host));
		fprintf(stderr, "vmm: waiting for gdb: gdb %s -ex 'target remote [%s]:%u'\n", guest,
		        host, ntohs(address.in6.sin6_port));
	} else {
		fprintf(stderr, "vmm: waiting for gdb: gdb %s -ex 'target remote %s'\n", guest,
		        text);
	}
}

/* Waits until the descriptor can be read.  False: the VMM is to stop. */
static bool wait_for(int fd)
{
	struct pollfd wanted = {.fd = fd, .events = POLLIN};

	while (!stop_requested()) {
		/* A stop request just before poll would wait for the next second. */
		int ready = poll(&wanted, 1, 1000);

		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
	return false;
}

static bool watch_input(int fd)
{
	const struct sigaction action = {.sa_handler = on_input};
	const struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid)};

	return sigaction(SIGIO, &action, NULL) == 0 && fcntl(fd, F_SETOWN_EX, &owner) == 0 &&
	       fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) == 0;
}

bool gdb_line_open(struct gdb_line *line, const char *address, const char *guest, bool quiet)
{
	const int on = 1;
	union socket_address where = {0};
	socklen_t size = 0;
	int listening;

	*line = (struct gdb_line){.fd = -1};
	if (!parse_address(address, &where, &size))
		return false;
	listening = listen_at(address, &where, size);
	if (listening < 0)
		return false;
	if (where.any.sa_family == AF_UNIX)
		line->path = address;
	if (!quiet)
		say_waiting(listening, address, guest);
	if (wait_for(listening))
		line->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	close(listening);
	if (line->fd < 0)
		return stop_requested() ? false
		                        : message_error("--gdb %s: %s", address, strerror(errno));
	/* Packets are small, and each waits for its answer. */
	if (where.any.sa_family != AF_UNIX)
		setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return watch_input(line->fd) ||
	       message_error("--gdb %s: no signal for input: %s", address, strerror(errno));
}

void gdb_line_close(struct gdb_line *line)
{
	if (line->fd >= 0)
		close(line->fd);
	if (line->path)
		unlink(line->path);
	*line = (struct gdb_line){.fd = -1};
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

bool gdb_line_has_input(const struct gdb_line *line)
{
	struct pollfd wanted = {.fd = line->fd, .events = POLLIN};

	return line->at < line->used || poll(&wanted, 1, 0) != 0;
}

int gdb_line_get(struct gdb_line *line)
{
	while (line->at == line->used) {
		ssize_t count;

		if (!wait_for(line->fd))
			return -1;
		count = read(line->fd, line->input, sizeof(line->input));
		if (count < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (count <= 0)
			return -1;
		line->at = 0;
		line->used = (size_t)count;
	}
	return line->input[line->at++];
}

bool gdb_line_put(struct gdb_line *line, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	while (count) {
		ssize_t done = write(line->fd, at, count);

		if (done < 0 && errno == EAGAIN) {
			struct pollfd wanted = {.fd = line->fd, .events = POLLOUT};

			if (stop_requested())
				return false;
			poll(&wanted, 1, 1000);
			continue;
		}
		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			at += done;
			count -= (size_t)done;
		}
	}
	return true;
}
