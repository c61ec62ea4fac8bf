#include "vmm/stop.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "shared/abi.h"
#include "vmm/message.h"

#ifndef sigev_notify_thread_id /* glibc names it from 2.38 on */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The only globals: a signal handler has no other way to what it needs. */
static struct runner {
	struct kvm_run *run; /* NULL: nobody runs this CPU */
	pthread_t thread;
} runners[RS_MAX_CPUS];
static volatile sig_atomic_t requested;

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

static void on_signal(int signal)
{
	if (!requested)
		requested = signal;
	stop_all();
}

int stop_requested(void)
{
	return requested;
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

bool stop_install(struct kvm_run *run, uint64_t timeout_ns)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
	/* No SA_RESTART: a write to a console that nobody reads must end too. */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	runners[0] = (struct runner){.run = run, .thread = pthread_self()};
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction old;

		if (signals[i] == SIGALRM && !timeout_ns)
			continue;
		/* What was ignored when we were started (nohup) stays ignored. */
		if (signals[i] != SIGALRM && sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		sigaction(signals[i], &action, NULL);
	}
	return !timeout_ns || start_clock(timeout_ns);
}
