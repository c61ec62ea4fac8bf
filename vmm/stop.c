#include "vmm/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "vmm/message.h"

#ifndef sigev_notify_thread_id /* glibc names it from 2.38 on */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* The only globals: a signal handler has no other way to what it needs. */
static struct kvm_run *running;
static volatile sig_atomic_t requested;

static void on_signal(int signal)
{
	if (!requested)
		requested = signal;
	__atomic_store_n(&running->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

int stop_requested(void)
{
	return requested;
}

static bool start_clock(uint64_t timeout_ns)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	const struct itimerspec when = {
	    .it_value.tv_sec = (time_t)(timeout_ns / 1000000000),
	    .it_value.tv_nsec = (long)(timeout_ns % 1000000000),
	};
	timer_t timer;

	/* To the thread that runs the vCPU, whatever other threads there may be one day. */
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

	running = run;
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
