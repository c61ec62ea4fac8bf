#include "vmm/base/stop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/syscall.h>
#include <sys/time.h>

#include "shared/abi.h"
#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/status.h"

#ifndef sigev_notify_thread_id /* glibc names it from 2.38 on */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The only globals: a signal handler has no other way to what it needs. */
static struct runner {
	struct kvm_run *run; /* NULL: nobody runs this CPU */
	pthread_t thread;
} runners[RS_MAX_CPUS];
static volatile sig_atomic_t requested;
static volatile sig_atomic_t asks; /* a signal is a request: stop_install was called */
static volatile uint64_t seen;     /* requests so far, by signal */
static volatile uint64_t requested_at;
static void (*volatile at_death)(void);
static const struct termios *volatile terminal; /* NULL: it is as it was */

static void interrupt(const struct runner *runner)
{
	struct kvm_run *run = __atomic_load_n(&runner->run, __ATOMIC_SEQ_CST);

	if (!run)
		return;
	__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	/* Who stops himself is not in KVM_RUN. */
	if (!pthread_equal(runner->thread, pthread_self()))
		pthread_kill(runner->thread, SIGRTMIN);
}

void stop_all(void)
{
	for (unsigned i = 0; i < RS_MAX_CPUS; i++)
		interrupt(&runners[i]);
}

void stop_interrupt(unsigned cpu)
{
	interrupt(&runners[cpu]);
}

int stop_requested(void)
{
	return requested;
}

uint64_t stop_requested_at(void)
{
	return requested_at;
}

/* ---- What is caught ------------------------------------------------------------------------ */

/* All whose default is to end a process without a fault of its own.  The names: strsignal is not
 * for handlers. */
static const struct caught {
	int signal;
	const char *name;
} caught[] = {
    {SIGINT, "SIGINT"},       {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"},   {SIGQUIT, "SIGQUIT"},
    {SIGALRM, "SIGALRM"},     {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"}, {SIGXCPU, "SIGXCPU"},
    {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGPOLL, "SIGPOLL"}, {SIGPWR, "SIGPWR"},
    {SIGSTKFLT, "SIGSTKFLT"},
};

static const char *name_of(int signal)
{
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		if (caught[i].signal == signal)
			return caught[i].name;
	}
	return "a signal";
}

/* ---- The end at once ----------------------------------------------------------------------- */

/* Standard error as it is, if there is room: nothing may hold a handler up. */
static void say_end(int signal)
{
	struct pollfd wanted = {.fd = STDERR_FILENO, .events = POLLOUT};
	char text[80] = "vmm: the time is over\n";
	ssize_t written;

	if (signal != STOP_TIMEOUT) {
		stpcpy(stpcpy(stpcpy(text, "vmm: ended at once by "), name_of(signal)), "\n");
	}
	if (poll(&wanted, 1, 0) <= 0)
		return;
	written = write(STDERR_FILENO, text, strlen(text));
	(void)written;
}

static _Noreturn void end_at_once(int signal)
{
	say_end(signal);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, (const struct termios *)terminal);
	if (at_death)
		at_death();
	_exit(signal == STOP_TIMEOUT ? STATUS_TIMEOUT : STATUS_SIGNAL + signal);
}

/* ---- Requests ------------------------------------------------------------------------------ */

/* Again and again, for whoever was just about to wait. */
static void start_ticks(void)
{
	const struct timeval every = {.tv_usec = STOP_TICK_MS * 1000};

	setitimer(ITIMER_REAL, &(struct itimerval){every, every}, NULL);
}

static void request(int reason)
{
	requested_at = clock_ns();
	requested = reason;
	start_ticks();
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	const uint64_t bit = UINT64_C(1) << signal;
	const bool limit = signal == SIGALRM && info->si_code == SI_TIMER;
	/* Any other alarm is somebody's who started us with one. */
	const bool tick = signal == SIGALRM && info->si_code == SI_KERNEL && requested;
	const int error = errno;

	(void)context;
	if (!asks || (!limit && !tick && seen & bit))
		end_at_once(limit ? STOP_TIMEOUT : signal);
	if (!limit && !tick)
		seen |= bit;
	if (!requested)
		request(limit ? STOP_TIMEOUT : signal);
	stop_all();
	errno = error;
}

/* ---- Other CPUs ---------------------------------------------------------------------------- */

/* It has done its work by ending a system call. */
static void on_interrupt(int signal)
{
	(void)signal;
}

void stop_mask(sigset_t *mask)
{
	sigfillset(mask);
	sigdelset(mask, SIGRTMIN);
}

void stop_add(unsigned cpu, struct kvm_run *run, pthread_t thread)
{
	const struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART */

	sigaction(SIGRTMIN, &action, NULL);
	runners[cpu].thread = thread;
	__atomic_store_n(&runners[cpu].run, run, __ATOMIC_SEQ_CST);
	/* A handler that came before did not see it. */
	if (requested)
		interrupt(&runners[cpu]);
}

void stop_remove(unsigned cpu)
{
	__atomic_store_n(&runners[cpu].run, NULL, __ATOMIC_SEQ_CST);
}

/* ---- The start ----------------------------------------------------------------------------- */

/* What was ignored when we were started (nohup, a shell's background) stays ignored; but nobody
 * means our own clock, nor the warning before RLIMIT_CPU's SIGKILL. */
static bool stays_ignored(int signal, const struct sigaction *old)
{
	return old->sa_handler == SIG_IGN && signal != SIGALRM && signal != SIGXCPU;
}

/* No SA_RESTART: a write to a console that nobody reads must end too. */
static struct sigaction catching(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	sigfillset(&action.sa_mask);
	return action;
}

void stop_catch(int signal)
{
	const struct sigaction action = catching();

	sigaction(signal, &action, NULL);
}

void stop_begin(void)
{
	const struct sigaction action = catching();
	struct sigaction old;
	sigset_t none;

	/* One that is ignored must not come while it is not. */
	sigprocmask(SIG_SETMASK, &action.sa_mask, NULL);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		if (sigaction(caught[i].signal, &action, &old) == 0 &&
		    stays_ignored(caught[i].signal, &old))
			sigaction(caught[i].signal, &old, NULL);
	}
	/* A reader that has gone, a file that may not grow: what write(2) says about it is enough.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* Some job managers start programs with signals blocked. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool start_clock(uint64_t timeout_ns)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	const struct itimerspec when = {
	    .it_value.tv_sec = (time_t)(timeout_ns / 1000000000),
	    .it_value.tv_nsec = (long)(timeout_ns % 1000000000),
	};
	timer_t timer;

	/* To this thread, and to no other. */
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
	    timer_settime(timer, 0, &when, NULL) < 0)
		return message_error("cannot start the clock of --timeout: %s", strerror(errno));
	return true;
}

bool stop_limit(uint64_t timeout_ns)
{
	return !timeout_ns || start_clock(timeout_ns);
}

bool stop_install(struct kvm_run *run, uint64_t timeout_ns)
{
	runners[0] = (struct runner){.run = run, .thread = pthread_self()};
	asks = 1;
	return !timeout_ns || start_clock(timeout_ns);
}

void stop_keep_terminal(const struct termios *attributes)
{
	terminal = attributes;
}

void stop_at_death(void (*remove)(void))
{
	at_death = remove;
}
