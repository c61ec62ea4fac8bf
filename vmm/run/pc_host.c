#include "vmm/run/pc_host.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/stop.h"

#define NS_IN_MS UINT64_C(1000000)

/* ---- What the guest says ------------------------------------------------------------------- */

/* Linux's words (kernel/panic.c): the first says why, and the last that nothing comes any more. */
static bool look_at_line(struct pc_host *host)
{
	host->line[host->line_used] = '\0';
	if (strstr(host->line, "Kernel panic - not syncing"))
		host->panicked = true;
	host->line_used = 0;
	return host->panicked && strstr(host->line, "end Kernel panic");
}

bool pc_host_say(struct pc_host *host, uint8_t byte)
{
	const char character = (char)byte;
	bool last = false;

	if (byte != '\r')
		host->tail[host->said++ % PC_TAIL] = character;
	if (byte == '\n')
		last = look_at_line(host);
	else if (host->line_used + 1 < PC_LINE)
		host->line[host->line_used++] = character;
	console_write(&host->machine->console, STDOUT_FILENO, &character, 1);
	if (!host->unwritten) {
		host->unwritten = true;
		pc_host_wake(host);
	}
	return last;
}

size_t pc_host_tail(const struct pc_host *host, char *to, size_t size)
{
	uint64_t kept = host->said < PC_TAIL ? host->said : PC_TAIL;

	if (kept > size)
		kept = size;
	for (uint64_t i = 0; i < kept; i++)
		to[i] = host->tail[(host->said - kept + i) % PC_TAIL];
	return kept;
}

void pc_host_wake(struct pc_host *host)
{
	const uint64_t one = 1;

	if (host->wake >= 0 && write(host->wake, &one, sizeof(one)) < 0)
		return; /* it is full: the thread is awake */
}

/* ---- What it is told ----------------------------------------------------------------------- */

enum { ESCAPE = 'A' & 0x1f, BATCH = 64 };

/* Ctrl-A: then x ends the run, Ctrl-A is itself. */
static void take_terminal(struct pc_host *host, uint8_t *bytes, size_t *count)
{
	size_t kept = 0;

	for (size_t i = 0; i < *count; i++) {
		const uint8_t byte = bytes[i];

		if (host->escaped && (byte == 'x' || byte == 'X'))
			kill(getpid(), SIGINT);
		else if (!host->escaped && byte == ESCAPE) {
			host->escaped = true;
			continue;
		} else
			bytes[kept++] = byte;
		host->escaped = false;
	}
	*count = kept;
}

/* One Ctrl-D ends an input; behind an unfinished line the first one only hands that over. */
static const uint8_t input_end[] = {'D' & 0x1f, 'D' & 0x1f};

static void end_input(struct pc_host *host)
{
	host->input_over = true;
	if (host->machine->plan->holds_input && !host->raw)
		uart_receive(host->uart, input_end, host->in_line ? 2 : 1);
}

/* As many of the keys as the serial port has room for. */
static void give_keys(struct pc_host *host)
{
	size_t count = uart_room(host->uart);

	if (count > host->key_count)
		count = host->key_count;
	if (!count)
		return;
	uart_receive(host->uart, host->keys, count);
	host->key_count -= count;
	memmove(host->keys, host->keys + count, host->key_count);
}

/* Room for bytes of standard input. */
static size_t room(const struct pc_host *host)
{
	const size_t size = host->raw ? PC_KEYS - host->key_count : uart_room(host->uart);

	return size < BATCH ? size : BATCH;
}

static void take_input(struct pc_host *host)
{
	uint8_t bytes[BATCH];
	const ssize_t got = read(STDIN_FILENO, bytes, room(host));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0) {
		end_input(host);
		return;
	}
	host->in_line = bytes[got - 1] != '\n';

	size_t count = (size_t)got;

	if (!host->raw) {
		uart_receive(host->uart, bytes, count);
		return;
	}
	take_terminal(host, bytes, &count);
	memcpy(host->keys + host->key_count, bytes, count);
	host->key_count += count;
	give_keys(host);
}

/* Who does not ask is told nothing: what stands in a file or pipe may be meant for others. */
static bool wants_input(const struct pc_host *host)
{
	enum { RECEIVE = 1, RTS = 2, OUT1 = 4 };
	const bool held = host->machine->plan->holds_input && !host->raw;
	const uint8_t ready = held ? RTS | OUT1 : 0;

	if (host->input_over || room(host) < (held ? sizeof(input_end) : 1))
		return false;
	return host->raw || (host->uart->ier & RECEIVE && (host->uart->mcr & ready) == ready);
}

void pc_host_accessed(struct pc_host *host)
{
	give_keys(host);
	if (!host->listens && wants_input(host))
		pc_host_wake(host);
}

/* ---- The thread ---------------------------------------------------------------------------- */

enum {
	GATHER_MS = 20, /* what the guest says in this time goes out together */
	WATCH_MS = 500, /* how often CPUs are called back, to see whether they can go on */
};

static struct timespec time_to(uint64_t due, bool unwritten)
{
	const uint64_t now = clock_ns();
	uint64_t left = due > now ? due - now : 0;

	if (unwritten && left > GATHER_MS * NS_IN_MS)
		left = GATHER_MS * NS_IN_MS;
	return (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
}

static void serve(struct pc_host *host, bool readable)
{
	if (readable && wants_input(host))
		take_input(host);
	pit_advance(host->pit, clock_ns());
}

/* Nobody reads any more: a guest that says nothing more would never find out. */
static void flush(struct machine *machine)
{
	if (console_flush(&machine->console) || machine->outcome.reason != END_RUNNING)
		return;
	machine_end(machine, END_VMM_FAILED);
	stop_all();
}

static void *run_thread(void *ctx)
{
	struct pc_host *host = ctx;
	struct machine *machine = host->machine;
	uint64_t count;
	bool gathered = false;
	uint64_t watch = clock_ns() + WATCH_MS * NS_IN_MS;

	machine_lock(machine);
	while (!host->ending) {
		host->listens = wants_input(host);

		struct pollfd fds[2] = {
		    {.fd = host->wake, .events = POLLIN},
		    {.fd = host->listens ? STDIN_FILENO : -1, .events = POLLIN},
		};
		const uint64_t due = pit_due(host->pit);
		const struct timespec left = time_to(due < watch ? due : watch, host->unwritten);

		machine_unlock(machine);
		const int ready = ppoll(fds, 2, &left, NULL);

		if (ready > 0 && fds[0].revents && read(host->wake, &count, sizeof(count)) < 0)
			count = 0;
		machine_lock(machine);
		serve(host, ready > 0 && fds[1].revents);
		if (clock_ns() >= watch) {
			watch = clock_ns() + WATCH_MS * NS_IN_MS;
			host->round++;
			for (unsigned i = 0; i < machine->boot.cpus; i++)
				stop_interrupt(i);
		}
		/* A wake-up begins the time in which more may come. */
		if (host->unwritten && gathered) {
			host->unwritten = false;
			flush(machine);
		}
		gathered = host->unwritten;
	}
	machine_unlock(machine);
	return NULL;
}

/* ---- The terminal -------------------------------------------------------------------------- */

/* Keys go to the guest as they are; what it writes still gets its carriage returns. */
static void make_raw(struct pc_host *host)
{
	struct termios raw;

	/* In the background the terminal is not ours to change. */
	if (tcgetattr(STDIN_FILENO, &host->before) < 0 || tcgetpgrp(STDIN_FILENO) != getpgrp())
		return;
	raw = host->before;
	raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON | INLCR | IGNCR | ISTRIP | BRKINT);
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	host->raw = true;
	stop_keep_terminal(&host->before);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	message_error("the terminal is the guest's: Ctrl-A x ends it");
}

bool pc_host_begin(struct pc_host *host)
{
	pthread_attr_t attributes;
	sigset_t none;
	int error;

	host->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (host->wake < 0)
		return message_error("cannot make an eventfd for the devices: %s", strerror(errno));
	make_raw(host); /* before the thread looks at it */
	sigfillset(&none);
	error = pthread_attr_init(&attributes);
	if (!error)
		error = pthread_attr_setsigmask_np(&attributes, &none);
	if (!error)
		error = pthread_create(&host->thread, &attributes, run_thread, host);
	pthread_attr_destroy(&attributes);
	if (error)
		return message_error("cannot start a thread for the devices: %s", strerror(error));
	host->has_thread = true;
	return true;
}

void pc_host_end(struct pc_host *host)
{
	if (host->has_thread) {
		machine_lock(host->machine);
		host->ending = true;
		pc_host_wake(host);
		machine_unlock(host->machine);
		pthread_join(host->thread, NULL);
		host->has_thread = false;
	}
	if (host->wake >= 0)
		close(host->wake);
	host->wake = -1;
	if (host->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &host->before);
	host->raw = false;
	stop_keep_terminal(NULL);
}
