#include "vmm/instruments/gdb/gdb_line.h"

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

#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/base/stop.h"
#include "vmm/instruments/gdb/gdb_packet.h"

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

static bool is_loopback(const union socket_address *address)
{
	const struct in6_addr *six = &address->in6.sin6_addr;

	if (address->any.sa_family == AF_INET)
		return ntohl(address->in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(six) ||
	       (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == IN_LOOPBACKNET);
}

static bool parse_path(const char *text, struct sockaddr_un *to)
{
	*to = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(text) >= sizeof(to->sun_path))
		return message_error("--gdb '%s': a socket's path has at most %zu bytes", text,
		                     sizeof(to->sun_path) - 1);
	memcpy(to->sun_path, text, strlen(text) + 1);
	return true;
}

/* Behind "any:": what others than this machine can reach is meant, and nothing is then all of it.
 */
static bool parse_inet(const char *text, bool anybody, union socket_address *to, socklen_t *size)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	const bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';
	char host[64] = "";
	uint16_t port;

	if (length >= sizeof(host))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)length - 2 * brackets, text + brackets);
	if (!*host && anybody)
		snprintf(host, sizeof(host), "0.0.0.0");
	return parse_port(colon ? colon + 1 : text, &port) && parse_host(host, port, to, size);
}

static bool parse_address(const char *text, union socket_address *to, socklen_t *size)
{
	static const char prefix[] = "any:";
	const bool anybody = strncmp(text, prefix, sizeof(prefix) - 1) == 0;

	if (strchr(text, '/')) {
		*size = sizeof(to->un);
		return parse_path(text, &to->un);
	}
	if (!parse_inet(anybody ? text + sizeof(prefix) - 1 : text, anybody, to, size))
		return message_error("--gdb '%s': must be PORT, HOST:PORT or any:[HOST:]PORT, the "
		                     "host as a number, or the path of a socket with a '/' in it",
		                     text);
	if (anybody || is_loopback(to))
		return true;
	return message_error("--gdb '%s': who reaches this address from another machine could "
	                     "read and write the guest; if that is meant, say so: --gdb any:%s",
	                     text, text);
}

bool gdb_check_address(const char *text)
{
	union socket_address address = {0};
	socklen_t size;

	return parse_address(text, &address, &size);
}

/* ---- Listening ------------------------------------------------------------------------------- */

/* A socket that nobody listens at any more stays as a file; anything else is not ours to remove. */
static void remove_stale(const struct sockaddr_un *address)
{
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	if (fd >= 0)
		close(fd);
}

/* What stands in the way of a socket of that name, which is left alone. */
static const char *what_is_there(const struct sockaddr_un *address)
{
	struct stat status;

	if (lstat(address->sun_path, &status) < 0)
		return "something";
	switch (status.st_mode & S_IFMT) {
	case S_IFSOCK:
		return "a socket that somebody listens at or that may not be tried";
	case S_IFREG:
		return "an ordinary file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	default:
		return "a special file";
	}
}

static bool say_why_not(const char *text, const union socket_address *address, int error)
{
	if (error == EADDRINUSE && address->any.sa_family == AF_UNIX)
		return message_error("--gdb %s: %s is there already; take another path", text,
		                     what_is_there(&address->un));
	if (error == EADDRINUSE)
		return message_error("--gdb %s: somebody listens there already; take another port, "
		                     "or 0 for any free one",
		                     text);
	return message_error("--gdb %s: cannot listen there: %s", text, strerror(error));
}

/* Before bind: who creates the socket's file is the only one who may connect to it (on Linux the
 * file gets the mode of the socket, less the umask). */
static bool keep_private(int fd, const union socket_address *address)
{
	return address->any.sa_family != AF_UNIX || fchmod(fd, S_IRUSR | S_IWUSR) == 0;
}

/* Input at this socket, a connection or bytes, sends SIGIO to this thread. */
static bool watch_input(int fd)
{
	const struct sigaction action = {.sa_handler = on_input};
	const struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = (pid_t)syscall(SYS_gettid)};

	return sigaction(SIGIO, &action, NULL) == 0 && fcntl(fd, F_SETOWN_EX, &owner) == 0 &&
	       fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) == 0;
}

static int listen_at(const char *text, const union socket_address *address, socklen_t size)
{
	const int on = 1;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (address->any.sa_family == AF_UNIX)
		remove_stale(&address->un);
	if (fd >= 0 && address->any.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd >= 0 && keep_private(fd, address) && bind(fd, &address->any, size) == 0 &&
	    listen(fd, 1) == 0 && watch_input(fd))
		return fd;
	say_why_not(text, address, errno);
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

bool gdb_line_open(struct gdb_line *line, const char *address, const char *guest, bool quiet)
{
	union socket_address where = {0};
	socklen_t size = 0;

	*line = (struct gdb_line){.fd = -1, .listening = -1, .address = address};
	if (!parse_address(address, &where, &size))
		return false;
	line->listening = listen_at(address, &where, size);
	if (line->listening < 0)
		return false;
	line->is_file = where.any.sa_family == AF_UNIX;
	if (!quiet)
		say_waiting(line->listening, address, guest);
	return true;
}

void gdb_line_close(struct gdb_line *line)
{
	gdb_line_drop(line);
	if (line->listening >= 0)
		close(line->listening);
	if (line->is_file)
		unlink(line->address);
	*line = (struct gdb_line){.fd = -1, .listening = -1};
}

/* ---- Connections ----------------------------------------------------------------------------- */

/* Takes the next connection in place of the one there is.  False: there is none. */
static bool take_next(struct gdb_line *line)
{
	const int on = 1;
	int fd = accept4(line->listening, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	gdb_line_drop(line);
	line->fd = fd;
	/* Packets are small, and each waits for its answer. */
	if (!line->is_file)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (watch_input(fd))
		return true;
	message_error("--gdb %s: no signal for input: %s", line->address, strerror(errno));
	gdb_line_drop(line);
	return false;
}

void gdb_line_drop(struct gdb_line *line)
{
	if (line->fd >= 0)
		close(line->fd);
	line->fd = -1;
	line->at = line->used = 0;
	line->speaks = false;
}

void gdb_line_refuse(struct gdb_line *line)
{
	char text[48];

	message_error("--gdb %s: dropped a connection that does not speak gdb's protocol (it says "
	              "'%s'); gdb can still connect",
	              line->address,
	              printable(text, sizeof(text), (const char *)line->input, line->used));
	gdb_line_drop(line);
}

bool gdb_line_is_called(struct gdb_line *line)
{
	while (line->fd >= 0 || take_next(line)) {
		ssize_t count = read(line->fd, line->input, sizeof(line->input));

		line->at = 0;
		line->used = count > 0 ? (size_t)count : 0;
		line->speaks = count > 0 && gdb_packet_may_begin(line->input[0]);
		if (line->speaks)
			return true;
		if (count > 0)
			gdb_line_refuse(line);
		else if (count == 0 || (errno != EAGAIN && errno != EINTR))
			gdb_line_drop(line);
		/* One that says nothing does not keep the door: it gives way to the next. */
		else if (!take_next(line))
			return false;
	}
	return false;
}

bool gdb_line_wait(const struct gdb_line *line)
{
	struct pollfd wanted[] = {{.fd = line->fd, .events = POLLIN},
	                          {.fd = line->listening, .events = POLLIN}};

	while (!stop_requested()) {
		/* A stop request just before poll would wait for the next second. */
		int ready = poll(wanted, line->speaks ? 1 : 2, 1000);

		if (ready > 0)
			return true;
		if (ready < 0 && errno != EINTR)
			return false;
	}
	return false;
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

		if (!gdb_line_wait(line))
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
