/* The host's side of a PC: the thread, standard input and output, a terminal. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/clock.h"
#include "vmm/base/stop.h"
#include "vmm/run/pc.h"

static struct machine *machine;
static struct pc *pc;

static void setup(void)
{
	struct live_machine *live = live_machine_make();

	machine = &live->machine;
	machine->bus = (struct bus){0};
	machine->shared = true;
	pc = pc_create(machine);
	ck_assert_ptr_nonnull(pc);
	machine->pc = pc;
}

static void teardown(void)
{
	pc_end(pc);
	pc_destroy(pc);
	live_machine_free();
}

static void out(uint16_t port, uint8_t value)
{
	const struct device *device = bus_find(&machine->bus, BUS_PORTS, port);

	machine_lock(machine);
	device->write(&machine->cpus[0], port, 1, value, device->ctx);
	machine_unlock(machine);
}

static uint8_t in(uint16_t port)
{
	const struct device *device = bus_find(&machine->bus, BUS_PORTS, port);
	uint64_t value;

	machine_lock(machine);
	value = device->read(&machine->cpus[0], port, 1, device->ctx);
	machine_unlock(machine);
	return (uint8_t)value;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Waits for it; 5 s are for ever. */
#define WAIT_FOR(what)                                                                             \
	do {                                                                                       \
		for (unsigned tries = 0; !(what) && tries < 1000; tries++)                         \
			pause_ms(5);                                                               \
		ck_assert(what);                                                                   \
	} while (0)

static size_t waiting_in(void)
{
	size_t count;

	machine_lock(machine);
	count = pc->uart.waiting;
	machine_unlock(machine);
	return count;
}

/* Standard input becomes a pipe with these bytes; its other end. */
static int pipe_in(const char *bytes)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(write(ends[1], bytes, strlen(bytes)), (ssize_t)strlen(bytes));
	ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
	return ends[1];
}

static int unread(void)
{
	int count = -1;

	ck_assert_int_eq(ioctl(STDIN_FILENO, FIONREAD, &count), 0);
	return count;
}

/* ---- Output ---------------------------------------------------------------------------------- */

START_TEST(output_is_gathered)
{
	const int file = memfd_create("stdout", 0), before = dup(STDOUT_FILENO);
	uint64_t since;

	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	close(pipe_in(""));
	ck_assert(pc_begin(pc));
	machine_lock(machine); /* as an exit does: nothing goes out meanwhile */
	for (const char *at = "several bytes\n"; *at; at++)
		uart_write(&pc->uart, 0, (uint8_t)*at);
	ck_assert_int_eq(lseek(file, 0, SEEK_END), 0);
	machine_unlock(machine);
	since = clock_ns();
	WAIT_FOR(lseek(file, 0, SEEK_END) == 14);
	ck_assert_uint_lt(clock_ns() - since, 2000000000); /* 20 ms, on a busy machine */
	out(0xe9, '!'); /* the debug console is another way to the same place */
	WAIT_FOR(lseek(file, 0, SEEK_END) == 15);
	dup2(before, STDOUT_FILENO);
}
END_TEST

/* A guest that waits would never find out that nobody reads any more. */
START_TEST(output_that_nobody_reads_ends_the_run)
{
	const int nowhere = open("/dev/null", O_WRONLY), before = dup(STDOUT_FILENO);
	int ends[2];

	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[0]);
	close(ends[1]);
	close(pipe_in(""));
	dup2(nowhere, STDERR_FILENO);
	ck_assert(pc_begin(pc));
	machine_lock(machine);
	machine->boot.cpus = 0; /* none that the watch calls back */
	machine_unlock(machine);
	out(0x3f8, 'x');
	WAIT_FOR(__atomic_load_n(&machine->outcome.reason, __ATOMIC_SEQ_CST) == END_VMM_FAILED);
	WAIT_FOR(machine->cpus[0].vcpu.run->immediate_exit == 1);
	dup2(before, STDOUT_FILENO);
}
END_TEST

/* ---- Input ----------------------------------------------------------------------------------- */

#define LETTERS "abcdefghijklmnopqrstuvwxyz"

START_TEST(who_does_not_ask_is_told_nothing)
{
	const int end = pipe_in(LETTERS);

	ck_assert(pc_begin(pc));
	machine_lock(machine);
	pc_host_wake(&pc->host); /* it looks */
	machine_unlock(machine);
	in(0x3fd);
	pause_ms(60);
	ck_assert_int_eq(unread(), 26);
	ck_assert_uint_eq(waiting_in(), 0);
	close(end);
}
END_TEST

/* The interrupt is enabled by an OUT alone, and no more is read than there is room for. */
START_TEST(input_comes_as_there_is_room)
{
	const unsigned size = _i ? UART_FIFO_SIZE : 1;
	const int end = pipe_in(LETTERS);

	ck_assert(pc_begin(pc));
	pause_ms(20); /* the thread waits, and not for input */
	if (_i)
		out(0x3fa, 1); /* the FIFO */
	out(0x3f9, 1);
	WAIT_FOR(waiting_in() == size);
	ck_assert_int_eq(unread(), 26 - (int)size);
	for (int i = 0; i < 26; i++) {
		WAIT_FOR(waiting_in() > 0);
		ck_assert_int_eq(in(0x3f8), LETTERS[i]);
	}
	close(end);
	WAIT_FOR(__atomic_load_n(&pc->host.input_over, __ATOMIC_SEQ_CST));
	ck_assert_uint_eq(waiting_in(), 0);
}
END_TEST

/* The thread is told of what it does not wait for, and of nothing else. */
START_TEST(who_begins_to_listen_wakes_the_thread)
{
	uint64_t count;

	close(pipe_in(""));
	pc->host.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	in(0x3fd);
	out(0x3fc, 8);
	ck_assert_int_lt(read(pc->host.wake, &count, sizeof(count)), 0);
	out(0x3f9, 1);
	ck_assert_int_eq(read(pc->host.wake, &count, sizeof(count)), sizeof(count));
	pc->host.listens = true;
	in(0x3fd);
	ck_assert_int_lt(read(pc->host.wake, &count, sizeof(count)), 0);
}
END_TEST

START_TEST(a_pipe_has_no_escape)
{
	const int end = pipe_in("\x01x\x03");

	out(0x3fa, 1);
	out(0x3f9, 1);
	ck_assert(pc_begin(pc));
	WAIT_FOR(waiting_in() == 3);
	ck_assert_int_eq(in(0x3f8), 1);
	ck_assert_int_eq(in(0x3f8), 'x');
	ck_assert_int_eq(in(0x3f8), 3);
	ck_assert_int_eq(stop_requested(), 0);
	close(end);
}
END_TEST

/* ---- The timer ------------------------------------------------------------------------------- */

START_TEST(the_thread_is_the_pits_clock)
{
	close(pipe_in(""));
	ck_assert(pc_begin(pc));
	pause_ms(20); /* it waits, for nothing */
	out(0x21, 0xfe);
	stop_add(0, machine->cpus[0].vcpu.run, pthread_self());
	out(0x43, 0x34); /* counter 0, a pulse every ... */
	out(0x40, 0xa9);
	out(0x40, 0x04); /* ... ms */
	WAIT_FOR(__atomic_load_n(&machine->cpus[0].vcpu.run->immediate_exit, __ATOMIC_SEQ_CST));
	machine_lock(machine);
	ck_assert(pic_has_interrupt(&pc->pic));
	ck_assert_uint_eq(pic_acknowledge(&pc->pic), 8);
	machine_unlock(machine);
}
END_TEST

/* ---- Beginning and end ----------------------------------------------------------------------- */

START_TEST(the_thread_ends)
{
	close(pipe_in(""));
	for (unsigned i = 0; i < 20; i++) {
		ck_assert(pc_begin(pc));
		ck_assert(pc->host.has_thread);
		ck_assert_int_ge(pc->host.wake, 0);
		pc_end(pc);
		ck_assert(!pc->host.has_thread);
		ck_assert_int_eq(pc->host.wake, -1);
		pc->host.ending = false;
	}
	pc_host_wake(&pc->host); /* nobody is there */
}
END_TEST

/* ---- A terminal ------------------------------------------------------------------------------ */

/* In a child whose standard input and output are a terminal that `master` is the other side of:
 * its status when it is over. */
static int master;

static pid_t with_terminal(int (*what)(void))
{
	pid_t child = forkpty(&master, NULL, NULL, NULL);

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		signal(SIGINT, SIG_DFL);
		stop_begin();
		_exit(stop_install(machine->cpus[0].vcpu.run, 0) && pc_begin(pc) ? what() : 99);
	}
	return child;
}

static int status_of(pid_t child)
{
	char bytes[1000];
	int status;

	/* What it says has to go somewhere. */
	fcntl(master, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 4000 && waitpid(child, &status, WNOHANG) != child; i++) {
		if (read(master, bytes, sizeof(bytes)) <= 0)
			pause_ms(5);
		if (i == 3999)
			kill(child, SIGKILL);
	}
	close(master);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void wait_for_raw(void)
{
	struct termios now = {.c_lflag = ICANON};

	WAIT_FOR(tcgetattr(master, &now) == 0 && !(now.c_lflag & ICANON));
	ck_assert_uint_eq(now.c_lflag & (ECHO | ISIG), 0);
	ck_assert_uint_eq(now.c_iflag & (ICRNL | IXON), 0);
	ck_assert_uint_eq(now.c_oflag & OPOST, OPOST); /* carriage returns are still made */
}

static void type(const char *keys)
{
	ck_assert_int_eq(write(master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* Whether these come, one by one. */
static bool comes(const char *keys)
{
	for (; *keys; keys++) {
		for (unsigned tries = 0; !waiting_in() && tries < 1000; tries++)
			pause_ms(5);
		if (!waiting_in() || in(0x3f8) != (uint8_t)*keys)
			return false;
	}
	return true;
}

/* Whether the terminal is as it was. */
static bool is_restored(void)
{
	struct termios now;

	pc_end(pc);
	return tcgetattr(STDIN_FILENO, &now) == 0 && now.c_lflag & ICANON && now.c_lflag & ECHO &&
	       now.c_lflag & ISIG;
}

static int wait_for_stop(void)
{
	for (unsigned tries = 0; !stop_requested() && tries < 1000; tries++)
		pause_ms(5);
	return stop_requested() == SIGINT && is_restored() ? 0 : 2;
}

static int expect_keys(void)
{
	out(0x3fa, 1);
	if (!comes("a\r\x03\x1a\x01"
	           "b"))
		return 1;
	return wait_for_stop();
}

/* Ctrl-C and Ctrl-Z are keys, as is Ctrl-A twice; Ctrl-A x is the end. */
START_TEST(keys_go_to_the_guest)
{
	const pid_t child = with_terminal(expect_keys);

	wait_for_raw();
	type("a\r\x03\x1a\x01\x01"
	     "b\x01x");
	ck_assert_int_eq(status_of(child), 0);
}
END_TEST

/* A guest that takes nothing from its serial port. */
START_TEST(the_escape_works_when_nobody_listens)
{
	const pid_t child = with_terminal(wait_for_stop);

	wait_for_raw();
	type("all that is typed while the guest hangs");
	pause_ms(50);
	type("\x01");
	pause_ms(50);
	type("X");
	ck_assert_int_eq(status_of(child), 0);
}
END_TEST

static int expect_late(void)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		size_t count;

		machine_lock(machine);
		count = pc->host.key_count + pc->uart.waiting;
		machine_unlock(machine);
		if (count == 26)
			break;
		pause_ms(5);
	}
	return comes(LETTERS) && is_restored() ? 0 : 1;
}

START_TEST(what_was_typed_early_is_not_lost)
{
	const pid_t child = with_terminal(expect_late);

	wait_for_raw();
	type(LETTERS);
	ck_assert_int_eq(status_of(child), 0);
}
END_TEST

/* More than there is room for anywhere waits in the terminal. */
static int expect_much(void)
{
	size_t count = 0;

	pause_ms(300);
	machine_lock(machine);
	count = pc->host.key_count;
	machine_unlock(machine);
	return count <= PC_KEYS && comes(LETTERS) && is_restored() ? 0 : 1;
}

START_TEST(a_long_paste)
{
	const pid_t child = with_terminal(expect_much);

	wait_for_raw();
	fcntl(master, F_SETFL, O_NONBLOCK);
	for (unsigned i = 0; i < 400; i++) {
		if (write(master, LETTERS, 26) != 26) /* it is full */
			break;
	}
	ck_assert_int_eq(status_of(child), 0);
}
END_TEST

Suite *pc_host_suite(void)
{
	Suite *suite = suite_create("pc_host");
	TCase *tests = tcase_create("pc_host");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, output_is_gathered);
	tcase_add_test(tests, output_that_nobody_reads_ends_the_run);
	tcase_add_test(tests, who_does_not_ask_is_told_nothing);
	tcase_add_loop_test(tests, input_comes_as_there_is_room, 0, 2);
	tcase_add_test(tests, who_begins_to_listen_wakes_the_thread);
	tcase_add_test(tests, a_pipe_has_no_escape);
	tcase_add_test(tests, the_thread_is_the_pits_clock);
	tcase_add_test(tests, the_thread_ends);
	tcase_add_test(tests, keys_go_to_the_guest);
	tcase_add_test(tests, the_escape_works_when_nobody_listens);
	tcase_add_test(tests, what_was_typed_early_is_not_lost);
	tcase_add_test(tests, a_long_paste);
	suite_add_tcase(suite, tests);
	return suite;
}
