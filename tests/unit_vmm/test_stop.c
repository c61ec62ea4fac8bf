/* Stopping from outside: real signals, to a process that each test has for itself. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/wait.h>

#include "shared/abi.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/clock.h"
#include "vmm/base/stop.h"
#include "vmm/run/outcome.h"

static struct kvm_run run[2];

/* A shell's background job is started with some of them ignored. */
static void ignore_nothing(void)
{
	for (int signal_number = 1; signal_number < 32; signal_number++)
		signal(signal_number, SIG_DFL);
}

/* A child for what ends a process: its status as a shell sees it. */
static int status_of(void (*what)(void))
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		/* Nobody reads what it says; and it shall not wait for ever. */
		what();
		for (int i = 0; i < 200; i++)
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void pause_ms(long ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		continue;
}

/* ---- Before there is a guest -------------------------------------------------------------------
 */

static int signal_sent;

static void be_signalled(void)
{
	stop_begin();
	raise(signal_sent);
}

START_TEST(a_signal_ends_it_at_once)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,   SIGQUIT, SIGALRM,
	                              SIGUSR1, SIGUSR2, SIGXCPU,  SIGPROF, SIGVTALRM,
	                              SIGPOLL, SIGPWR,  SIGSTKFLT};

	signal_sent = signals[_i];
	ck_assert_int_eq(status_of(be_signalled), 128 + signals[_i]);
}
END_TEST

static void run_out_of_time(void)
{
	stop_begin();
	stop_limit(30000000);
}

START_TEST(a_limit_ends_it_at_once)
{
	ck_assert_int_eq(status_of(run_out_of_time), STATUS_TIMEOUT);
}
END_TEST

static void be_alarmed(void)
{
	stop_begin();
	alarm(1);
}

/* Not ours: somebody started us with one. */
START_TEST(another_ones_alarm_is_no_limit)
{
	ck_assert_int_eq(status_of(be_alarmed), 128 + SIGALRM);
}
END_TEST

static void no_limit(void)
{
	stop_begin();
	_exit(stop_limit(0) ? 7 : 8);
}

START_TEST(no_limit_is_none)
{
	ck_assert_int_eq(status_of(no_limit), 7);
}
END_TEST

static void say_goodbye(void)
{
	_exit(55);
}
static void die_with_a_last_wish(void)
{
	stop_begin();
	stop_at_death(say_goodbye);
	raise(SIGTERM);
}

START_TEST(a_last_wish)
{
	ck_assert_int_eq(status_of(die_with_a_last_wish), 55);
}
END_TEST

/* nohup, a shell's background job. */
START_TEST(what_was_ignored_stays_ignored)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGALRM, SIG_IGN);
	stop_begin();
	ck_assert(stop_install(&run[0], 0));
	raise(SIGHUP);
	raise(SIGINT);
	ck_assert_int_eq(stop_requested(), 0);
	/* But nobody means our own clock. */
	raise(SIGALRM);
	ck_assert_int_eq(stop_requested(), SIGALRM);
}
END_TEST

START_TEST(an_option_may_want_one_all_the_same)
{
	signal(SIGHUP, SIG_IGN);
	stop_begin();
	stop_catch(SIGHUP);
	ck_assert(stop_install(&run[0], 0));
	raise(SIGHUP);
	ck_assert_int_eq(stop_requested(), SIGHUP);
}
END_TEST

START_TEST(what_was_blocked_comes)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	stop_begin();
	ck_assert(stop_install(&run[0], 0));
	raise(SIGTERM);
	ck_assert_int_eq(stop_requested(), SIGTERM);
}
END_TEST

START_TEST(a_reader_that_has_gone_is_an_error_of_write)
{
	int ends[2];

	stop_begin();
	ck_assert_int_eq(pipe(ends), 0);
	close(ends[0]);
	ck_assert_int_eq(write(ends[1], "x", 1), -1);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

/* ---- With a guest
 * -------------------------------------------------------------------------------- */

static void begin(uint64_t timeout)
{
	memset(run, 0, sizeof(run));
	stop_begin();
	ck_assert(stop_install(&run[0], timeout));
	ck_assert_int_eq(stop_requested(), 0);
}

START_TEST(a_signal_is_a_request)
{
	uint64_t before, after;

	begin(0);
	before = clock_ns();
	errno = 77;
	raise(SIGUSR1);
	ck_assert_int_eq(errno, 77);
	after = clock_ns();
	ck_assert_int_eq(stop_requested(), SIGUSR1);
	ck_assert_uint_eq(run[0].immediate_exit, 1);
	ck_assert_uint_ge(stop_requested_at(), before);
	ck_assert_uint_le(stop_requested_at(), after);
}
END_TEST

/* What came first is the reason. */
START_TEST(another_signal_changes_nothing)
{
	begin(0);
	raise(SIGTERM);
	raise(SIGINT);
	raise(SIGHUP);
	ck_assert_int_eq(stop_requested(), SIGTERM);
}
END_TEST

static void be_signalled_twice(void)
{
	stop_begin();
	stop_install(&run[0], 0);
	raise(SIGTERM);
	raise(SIGINT);
	raise(SIGINT);
}

START_TEST(a_second_of_the_same_kind_ends_it_at_once)
{
	ck_assert_int_eq(status_of(be_signalled_twice), 128 + SIGINT);
}
END_TEST

/* A request that came just before a system call that waits comes again, and is no second signal. */
START_TEST(a_request_comes_again)
{
	begin(0);
	raise(SIGINT);
	for (int i = 0; i < 2; i++) {
		run[0].immediate_exit = 0;
		pause_ms(2 * STOP_TICK_MS + 50);
		ck_assert_uint_eq(run[0].immediate_exit, 1);
	}
	ck_assert_int_eq(stop_requested(), SIGINT);
}
END_TEST

START_TEST(the_time_is_over)
{
	const uint64_t limit = 60000000;
	const uint64_t before = clock_ns();

	begin(limit);
	pause_ms(20);
	ck_assert_int_eq(stop_requested(), 0);
	for (int i = 0; i < 200 && !stop_requested(); i++)
		pause_ms(10);
	ck_assert_int_eq(stop_requested(), STOP_TIMEOUT);
	ck_assert_uint_ge(stop_requested_at() - before, limit);
	ck_assert_uint_eq(run[0].immediate_exit, 1);
}
END_TEST

/* Longer than a second: nobody waits for it here. */
START_TEST(the_time_is_not_over)
{
	begin(UINT64_C(100000000001));
	pause_ms(30);
	ck_assert_int_eq(stop_requested(), 0);
}
END_TEST

/* ---- Several CPUs
 * -------------------------------------------------------------------------------- */

static volatile bool waits;

static void *wait_long(void *ctx)
{
	int *interrupted = ctx;

	waits = true;
	*interrupted = nanosleep(&(struct timespec){.tv_sec = 3}, NULL) < 0 && errno == EINTR;
	return NULL;
}

START_TEST(requests_reach_other_threads)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t mask;
	int interrupted = 0;

	begin(0);
	stop_mask(&mask);
	pthread_attr_init(&attributes);
	pthread_attr_setsigmask_np(&attributes, &mask);
	ck_assert_int_eq(pthread_create(&thread, &attributes, wait_long, &interrupted), 0);
	stop_add(1, &run[1], thread);
	while (!waits)
		pause_ms(1);
	pause_ms(20);
	kill(getpid(), SIGTERM);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	ck_assert(interrupted);
	ck_assert_uint_eq(run[0].immediate_exit, 1);
	ck_assert_uint_eq(run[1].immediate_exit, 1);
}
END_TEST

START_TEST(who_comes_late_is_stopped_too)
{
	begin(0);
	stop_add(1, &run[1], pthread_self());
	ck_assert_uint_eq(run[1].immediate_exit, 0);
	raise(SIGTERM);
	run[1].immediate_exit = 0;
	stop_add(1, &run[1], pthread_self());
	ck_assert_uint_eq(run[1].immediate_exit, 1);
}
END_TEST

START_TEST(who_has_gone_is_left_alone)
{
	begin(0);
	stop_add(RS_MAX_CPUS - 1, &run[1], pthread_self());
	stop_all();
	ck_assert_uint_eq(run[1].immediate_exit, 1);
	run[1].immediate_exit = 0;
	stop_remove(RS_MAX_CPUS - 1);
	stop_all();
	ck_assert_uint_eq(run[1].immediate_exit, 0);
}
END_TEST

START_TEST(a_thread_hears_of_its_own_signal_only)
{
	sigset_t mask;

	stop_mask(&mask);
	for (int signal = 1; signal < 32; signal++)
		ck_assert_int_ne(sigismember(&mask, signal), 0);
	ck_assert_int_eq(sigismember(&mask, SIGRTMIN), 0);
}
END_TEST

Suite *stop_suite(void)
{
	Suite *suite = suite_create("stop");
	TCase *tests = tcase_create("stop");

	tcase_add_checked_fixture(tests, ignore_nothing, NULL);
	tcase_add_loop_test(tests, a_signal_ends_it_at_once, 0, 13);
	tcase_add_test(tests, a_limit_ends_it_at_once);
	tcase_add_test(tests, another_ones_alarm_is_no_limit);
	tcase_add_test(tests, no_limit_is_none);
	tcase_add_test(tests, a_last_wish);
	tcase_add_test(tests, what_was_ignored_stays_ignored);
	tcase_add_test(tests, an_option_may_want_one_all_the_same);
	tcase_add_test(tests, what_was_blocked_comes);
	tcase_add_test(tests, a_reader_that_has_gone_is_an_error_of_write);
	tcase_add_test(tests, a_signal_is_a_request);
	tcase_add_test(tests, another_signal_changes_nothing);
	tcase_add_test(tests, a_second_of_the_same_kind_ends_it_at_once);
	tcase_add_test(tests, a_request_comes_again);
	tcase_add_test(tests, the_time_is_over);
	tcase_add_test(tests, the_time_is_not_over);
	tcase_add_test(tests, requests_reach_other_threads);
	tcase_add_test(tests, who_comes_late_is_stopped_too);
	tcase_add_test(tests, who_has_gone_is_left_alone);
	tcase_add_test(tests, a_thread_hears_of_its_own_signal_only);
	suite_add_tcase(suite, tests);
	return suite;
}
