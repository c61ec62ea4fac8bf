/*
 * The first process of `vmm linux -- PROGRAM`: mounts what programs expect, opens the serial line
 * as PROGRAM's terminal, runs it, and ends the machine with its status (0 to 255, or 128 + n when
 * signal n ended it) through the debug exit port, 0xf4.  What is to run stands in a file
 * (shared/linux_start.h).
 *
 * There is no library below it: system calls are made by hand (System V ABI, x86-64, A.2.1).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <asm/signal.h>
#include <asm/termios.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/reboot.h>
#include <linux/wait.h>

#include "shared/linux_start.h"

enum {
	EXIT_PORT = 0xf4,
	NOT_FOUND = 127, /* a shell's status when there is no such command ... */
	NOT_RUN = 126,   /* ... and when it cannot be run */
};

static const char line[] = "/dev/ttyS0";

/* ---- System calls -------------------------------------------------------------------------- */

static long call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
	                 : "rcx", "r11", "memory");
	return result;
}

#define CALL(name, a, b, c) call(__NR_##name, (long)(a), (long)(b), (long)(c), 0, 0)

static size_t length(const char *text)
{
	size_t count = 0;

	while (text[count])
		count++;
	return count;
}

static void say(const char *text)
{
	CALL(write, 2, text, length(text));
}

static void say_number(unsigned number)
{
	char digits[12];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	say(digits + at);
}

/* ---- The end ------------------------------------------------------------------------------- */

/* With what was written on its way.  A kernel that is locked down lets nobody near a port. */
__attribute__((noreturn)) static void end(unsigned status)
{
	CALL(ioctl, 2, TCSBRK, 1);
	if (CALL(iopl, 3, 0, 0) == 0)
		__asm__ volatile("outl %0, %1" : : "a"(status), "Nd"((uint16_t)EXIT_PORT));
	say("ringscope: this kernel lets no process end the machine with a status: ");
	say_number(status);
	say("\n");
	CALL(ioctl, 2, TCSBRK, 1);
	call(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0,
	     0);
	for (;;)
		CALL(pause, 0, 0, 0);
}

__attribute__((noreturn)) static void fail(const char *what, const char *why, unsigned status)
{
	say("ringscope: ");
	say(what);
	say(why);
	say("\n");
	end(status);
}

/* ---- What is to run ------------------------------------------------------------------------ */

struct order {
	const struct linux_start *start;
	char *program;
	char *argv[LINUX_START_WORDS + 1], *envp[LINUX_START_WORDS + 1];
};

static char file[LINUX_START_MAX + 1];
static struct order order;

static size_t read_file(void)
{
	const long fd = CALL(open, "/" LINUX_START, O_RDONLY, 0);
	size_t size = 0;
	long got;

	if (fd < 0)
		return 0;
	while ((got = CALL(read, fd, file + size, LINUX_START_MAX - size)) > 0)
		size += (size_t)got;
	CALL(close, fd, 0, 0);
	return size;
}

/* The word at `at`; NULL: there is none any more. */
static char *take_word(char **at, const char *end)
{
	char *word = *at;

	if (word >= end)
		return NULL;
	*at += length(word) + 1;
	return word;
}

/* False: it is not as shared/linux_start.h has it. */
static bool read_order(void)
{
	const size_t size = read_file();
	const struct linux_start *start = (const void *)file;
	char *at = file + sizeof(*start);

	if (size < sizeof(*start) || start->magic != LINUX_START_MAGIC ||
	    start->argc > LINUX_START_WORDS || start->envc > LINUX_START_WORDS)
		return false;
	order.start = start;
	order.program = take_word(&at, file + size);
	for (uint32_t i = 0; i < start->argc; i++)
		order.argv[i] = take_word(&at, file + size);
	for (uint32_t i = 0; i < start->envc; i++)
		order.envp[i] = take_word(&at, file + size);
	return order.program != NULL;
}

/* ---- The terminal -------------------------------------------------------------------------- */

/* Bytes go out as they are written: the host's terminal makes its own carriage returns.  Those of
 * a file or pipe come in as they are, line by line, so that a Ctrl-D behind the last is the end. */
static void set_line(void)
{
	const uint32_t flags = order.start->flags;
	const struct winsize size = {.ws_row = order.start->rows, .ws_col = order.start->columns};
	struct termios set;

	if (CALL(ioctl, 2, TCGETS, &set) < 0)
		return;
	set.c_oflag &= ~(tcflag_t)OPOST;
	/* RTS says whether there is room for more. */
	set.c_cflag |= CRTSCTS | CREAD | CLOCAL;
	if (!(flags & LINUX_START_ECHO))
		set.c_lflag &= ~(tcflag_t)ECHO;
	if (!(flags & LINUX_START_KEYS)) {
		set.c_iflag = 0;
		set.c_lflag = ICANON;
		for (unsigned i = 0; i < sizeof(set.c_cc); i++)
			set.c_cc[i] = i == VEOF ? 'D' & 0x1f : 0;
	}
	CALL(ioctl, 2, TCSETS, &set);
	if (size.ws_row && size.ws_col)
		CALL(ioctl, 2, TIOCSWINSZ, &size);
}

/* The session is init's: when its first process ends the line is hung up, and what is on its way is
 * lost.  The VMM holds back what is for us until the line is as it is to be, which OUT1 says. */
static void open_line(void)
{
	const int ready = TIOCM_OUT1;
	const long fd = CALL(open, line, O_RDWR | O_NOCTTY, 0);

	if (fd < 0)
		return;
	CALL(setsid, 0, 0, 0);
	CALL(ioctl, fd, TIOCSCTTY, 0);
	for (long i = 0; i <= 2; i++) {
		if (i != fd)
			CALL(dup2, fd, i, 0);
	}
	if (fd > 2)
		CALL(close, fd, 0, 0);
	set_line();
	CALL(ioctl, 2, TIOCMBIS, &ready);
}

/* ---- The program --------------------------------------------------------------------------- */

/* What is SIGTTOU for who is not in the foreground: init writes all the same. */
static void handle_ttou(__sighandler_t handler)
{
	const struct sigaction action = {.sa_handler = handler};

	call(__NR_rt_sigaction, SIGTTOU, (long)&action, 0, sizeof(sigset_t), 0);
}

/* In the foreground, in a process group of its own. */
__attribute__((noreturn)) static void become_program(void)
{
	const int group = (int)CALL(getpid, 0, 0, 0);
	long error;

	CALL(setpgid, 0, 0, 0);
	CALL(ioctl, 0, TIOCSPGRP, &group);
	handle_ttou(SIG_DFL);
	error = CALL(execve, order.program, order.argv, order.envp);
	say("ringscope: cannot start ");
	say(order.argv[0] ? order.argv[0] : order.program);
	say(error == -ENOENT ? ": it needs a file that is not there (its loader, or interpreter)\n"
	    : error == -ENOEXEC ? ": this kernel runs no programs of this kind\n"
	    : error == -ENOMEM  ? ": there is not enough memory: give more with --mem\n"
	    : error == -E2BIG   ? ": its arguments are too long\n"
	                        : ": the kernel refuses it\n");
	CALL(exit_group, error == -ENOENT ? NOT_FOUND : NOT_RUN, 0, 0);
	for (;;)
		;
}

/* By number, from 1; what is longer than the others is not in use. */
static const char signals[][5] = {"HUP",  "INT",  "QUIT", "ILL",  "TRAP", "ABRT", "BUS",  "FPE",
                                  "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKF",
                                  "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",  "XCPU",
                                  "XFSZ", "VTAL", "PROF", "WINC", "IO",   "PWR",  "SYS"};

static unsigned tell_signal(unsigned number)
{
	set_line();
	say("ringscope: ");
	say(order.argv[0] ? order.argv[0] : order.program);
	say(" died of signal ");
	say_number(number);
	if (number >= 1 && number <= sizeof(signals) / sizeof(signals[0])) {
		say(" (SIG");
		say(signals[number - 1]);
		say(")");
	}
	say("\n");
	return 128 + number;
}

/* Waits for the program, and for those whose parents have ended.  Its status. */
static unsigned wait_for(long program)
{
	int status = 0;
	long ended;

	do
		ended = call(__NR_wait4, -1, (long)&status, 0, 0, 0);
	while (ended != program && ended != -ECHILD);
	if (ended < 0)
		return NOT_RUN;
	return status & 0x7f ? tell_signal(status & 0x7f) : status >> 8 & 0xff;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static void mount(const char *type, const char *where)
{
	CALL(mkdir, where, 0755, 0);
	call(__NR_mount, (long)type, (long)where, (long)type, 0, 0);
}

void init(void);
void init(void)
{
	long program;

	mount("devtmpfs", "/dev");
	mount("proc", "/proc");
	mount("sysfs", "/sys");
	if (!read_order())
		fail(LINUX_START, ": is not what vmm puts there", NOT_RUN);
	handle_ttou(SIG_IGN);
	open_line();
	program = CALL(fork, 0, 0, 0);
	if (program < 0)
		fail(order.program, ": no memory to start it", NOT_RUN);
	if (program == 0)
		become_program();
	end(wait_for(program));
}

__asm__(".globl _start\n"
        "_start:\n"
        "	xorl %ebp, %ebp\n"
        "	andq $-16, %rsp\n"
        "	call init\n");
