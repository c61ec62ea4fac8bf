/* The run loop, with a KVM_RUN that does what a test says. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/stop.h"
#include "vmm/run/run.h"

static struct live_machine *live;
static struct machine *machine;
static struct cpu *cpu;

/* What KVM_RUN comes back with, one after the other; the last one again and again. */
static const struct answer {
	int result;
	uint32_t exit_reason;
	uint16_t port;
	uint8_t value;
} * answers;
static size_t answered;

static int answer(unsigned n)
{
	const struct answer *now = &answers[answered++];

	if (now->result)
		return now->result;
	if (now->exit_reason == KVM_EXIT_IO)
		live_machine_io(live, KVM_EXIT_IO_OUT, now->port, 1, now->value);
	fake_kvm.vcpus[n].run->exit_reason = now->exit_reason;
	return 0;
}

static void setup(void)
{
	live = live_machine_make();
	machine = &live->machine;
	cpu = &machine->cpus[0];
	answered = 0;
	fake_kvm_catch_runs();
	fake_kvm.run = answer;
}

static bool run(const struct answer *list)
{
	answers = list;
	return run_once(cpu);
}

static uint64_t counted(uint32_t reason)
{
	return cpu->stats.reasons[reason].count;
}

/* A shell's background job is started with some signals ignored, and they would stay so. */
static void begin_stopping(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	stop_begin();
}

START_TEST(an_exit_is_served)
{
	static const struct answer list[] = {{0, KVM_EXIT_IO, RS_PORT_PUTC, 'x'},
	                                     {0, KVM_EXIT_IO, RS_PORT_EXIT, 9}};

	ck_assert(run(list));
	ck_assert_uint_eq(machine->console.used, 1);
	ck_assert_uint_eq(counted(KVM_EXIT_IO), 1);
	ck_assert(!run_once(cpu));
	ck_assert_int_eq(machine->outcome.reason, END_EXITED);
	ck_assert_uint_eq(machine->outcome.guest_status, 9);
}
END_TEST

/* A CPU that runs by itself takes the short way: it is the same. */
START_TEST(the_short_way)
{
	static const struct answer list[] = {
	    {0, KVM_EXIT_IO, RS_PORT_PUTC, 'x'}, {-EAGAIN, 0, 0, 0}, {0, KVM_EXIT_SHUTDOWN, 0, 0}};

	answers = list;
	run_cpus(machine);
	ck_assert_uint_eq(machine->console.used, 1);
	ck_assert_int_eq(machine->outcome.reason, END_SHUTDOWN);
}
END_TEST

START_TEST(nothing_happened)
{
	static const struct answer list[] = {{-EINTR, 0, 0, 0}, {-EAGAIN, 0, 0, 0}};

	ck_assert(run(list));
	ck_assert(run_once(cpu));
	ck_assert_uint_eq(counted(STATS_EINTR), 1);
	ck_assert_uint_eq(counted(STATS_EAGAIN), 1);
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
}
END_TEST

START_TEST(kvm_fails)
{
	static const struct answer list[][1] = {{{-EFAULT, 0, 0, 0}}, {{-EIO, 0, 0, 0}}};

	ck_assert(!run(list[_i]));
	ck_assert_int_eq(machine->outcome.reason, END_VMM_FAILED);
	ck_assert_uint_eq(counted(STATS_ERROR), 1);
}
END_TEST

/* Its OUT is complete when KVM_RUN comes back without having entered. */
START_TEST(a_mark)
{
	static const struct answer list[] = {
	    {0, KVM_EXIT_IO, RS_PORT_MARK, 2}, {-EAGAIN, 0, 0, 0}, {-EINTR, 0, 0, 0}};

	fake_kvm.vcpus[0].regs.rip = 0x1234;
	ck_assert(run(list));
	ck_assert_uint_eq(live->pages[0].run.immediate_exit, 1);
	ck_assert(run_once(cpu));
	ck_assert(cpu->mark_due);
	ck_assert(run_once(cpu));
	ck_assert(!cpu->mark_due);
	ck_assert_uint_eq(live->pages[0].run.immediate_exit, 0);
	ck_assert_uint_eq(live->call[0]->marks[2].rip, 0x1234);
}
END_TEST

START_TEST(a_mark_that_fails_ends_the_run)
{
	static const struct answer list[] = {{0, KVM_EXIT_IO, RS_PORT_MARK, 2}, {-EINTR, 0, 0, 0}};

	ck_assert(run(list));
	fake_kvm.fails = KVM_GET_REGS;
	fake_kvm.error = EIO;
	ck_assert(!run_once(cpu));
	ck_assert_int_eq(machine->outcome.reason, END_VMM_FAILED);
}
END_TEST

START_TEST(somebody_stops_it)
{
	static const struct answer list[] = {{-EINTR, 0, 0, 0}};

	begin_stopping();
	ck_assert(stop_install(cpu->vcpu.run, _i ? 20000000 : 0));
	if (_i)
		usleep(300000);
	else
		raise(SIGTERM);
	ck_assert(!run(list));
	ck_assert_int_eq(machine->outcome.reason, _i ? END_TIMEOUT : END_SIGNAL);
	ck_assert_int_eq(machine->outcome.signal, _i ? SIGALRM : SIGTERM);
}
END_TEST

/* A request that came while a mark was due is not forgotten with it. */
START_TEST(a_stop_on_a_mark)
{
	static const struct answer list[] = {{0, KVM_EXIT_IO, RS_PORT_MARK, 0}, {-EINTR, 0, 0, 0}};

	begin_stopping();
	ck_assert(stop_install(cpu->vcpu.run, 0));
	ck_assert(run(list));
	raise(SIGINT);
	ck_assert(!run_once(cpu));
	ck_assert_int_eq(machine->outcome.reason, END_SIGNAL);
	ck_assert_uint_eq(live->call[0]->marks[0].count, 1);
}
END_TEST

/* A signal handler that only wants to have the CPUs back. */
START_TEST(called_back)
{
	static const struct answer list[] = {{-EINTR, 0, 0, 0}, {-EINTR, 0, 0, 0}};
	static volatile sig_atomic_t attention;

	machine->attention = &attention;
	ck_assert(run(list));
	attention = 1;
	ck_assert(!run_once(cpu));
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	ck_assert_uint_eq(counted(STATS_DEBUGGER), 1);
}
END_TEST

START_TEST(the_cpu_that_ended_it)
{
	static const struct answer list[] = {{0, KVM_EXIT_SHUTDOWN, 0, 0},
	                                     {0, KVM_EXIT_MMIO, 0, 0}};

	machine->boot.cpus = 2;
	machine->cpus[1].started = true;
	begin_stopping();
	ck_assert(stop_install(cpu->vcpu.run, 0));
	answers = list;
	ck_assert(!run_once(&machine->cpus[1]));
	ck_assert_uint_eq(machine->outcome.cpu, 1);
	ck_assert_int_eq(machine->outcome.reason, END_SHUTDOWN);
	/* The others come back, and their exits are nobody's any more. */
	ck_assert_uint_eq(cpu->vcpu.run->immediate_exit, 1);
	ck_assert(!run_once(cpu));
	ck_assert_uint_eq(machine->outcome.cpu, 1);
	ck_assert_int_eq(machine->outcome.reason, END_SHUTDOWN);
	ck_assert_uint_eq(cpu->stats.unknown_mmio, 0);
}
END_TEST

static void run_all(void)
{
	run_begin(machine);
	run_cpus(machine);
	run_end(machine);
}

START_TEST(from_beginning_to_end)
{
	static const struct answer list[] = {{0, KVM_EXIT_IO, RS_PORT_PUTC, 'h'},
	                                     {0, KVM_EXIT_IO, RS_PORT_PUTC, 'i'},
	                                     {-EINTR, 0, 0, 0},
	                                     {0, KVM_EXIT_IO, RS_PORT_EXIT, 3}};
	char text[8] = "";
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDOUT_FILENO);
	cpu->started = false;
	answers = list;
	run_all();
	ck_assert_int_eq(machine->outcome.reason, END_EXITED);
	ck_assert_uint_eq(machine->outcome.guest_status, 3);
	ck_assert(cpu->started);
	ck_assert_uint_gt(cpu->stats.ticks, 0);
	ck_assert_int_eq(read(ends[0], text, sizeof(text)), 2);
	ck_assert_str_eq(text, "hi");
}
END_TEST

/* Output that cannot go out is the VMM's failure, whatever the guest says. */
START_TEST(output_that_is_lost)
{
	static const struct answer list[] = {{0, KVM_EXIT_IO, RS_PORT_PUTC, 'h'},
	                                     {0, KVM_EXIT_IO, RS_PORT_EXIT, 3}};
	int full = open("/dev/full", O_WRONLY);

	ck_assert_int_ge(full, 0);
	dup2(full, STDOUT_FILENO);
	answers = list;
	run_all();
	ck_assert_int_eq(machine->outcome.reason, END_VMM_FAILED);
}
END_TEST

Suite *run_suite(void)
{
	Suite *suite = suite_create("run");
	TCase *tests = tcase_create("run");

	tcase_add_checked_fixture(tests, setup, live_machine_free);
	tcase_add_test(tests, an_exit_is_served);
	tcase_add_test(tests, the_short_way);
	tcase_add_test(tests, nothing_happened);
	tcase_add_loop_test(tests, kvm_fails, 0, 2);
	tcase_add_test(tests, a_mark);
	tcase_add_test(tests, a_mark_that_fails_ends_the_run);
	tcase_add_loop_test(tests, somebody_stops_it, 0, 2);
	tcase_add_test(tests, a_stop_on_a_mark);
	tcase_add_test(tests, called_back);
	tcase_add_test(tests, the_cpu_that_ended_it);
	tcase_add_test(tests, from_beginning_to_end);
	tcase_add_test(tests, output_that_is_lost);
	suite_add_tcase(suite, tests);
	return suite;
}
