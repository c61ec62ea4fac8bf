/*
 * Interrupts from outside with vector 0x80, by KVM_INTERRUPT, while guest.elf crosses the boundary
 * in every way: none may be taken for a system call (CVE-2024-25744), none may change anything for
 * who is interrupted, and each is counted.
 *
 * Only where an INT 0x80 has just returned could the kernel not tell: there none is sent. RS_LOUD=1
 * shows what the guest says.
 */
#include <check.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "shared/x86.h"
#include "tests/kvm/common/kvm_suite.h"
#include "vmm/look/view.h"
#include "vmm/run/machine.h"
#include "vmm/run/run.h"

#define PERIOD_US 300

static struct machine machine;
static volatile sig_atomic_t due;

static void on_alarm(int signal)
{
	(void)signal;
	due = 1;
	machine.cpus[0].vcpu.run->immediate_exit = 1;
}

/* Two bytes of the guest's memory by its own tables: KVM_TRANSLATE of some kernels says of user
 * pages, for SMAP, that nothing is there. */
static bool bytes_at(const struct view *view, uint64_t va, uint16_t *bytes)
{
	struct pt_walk walk;
	const uint16_t *at;

	pt_walk(&view->pt, va, &walk);
	at = walk.mapped ? memory_at(&machine.memory, walk.pa, sizeof(*at)) : NULL;
	if (at)
		*bytes = *at;
	return at;
}

static bool may_send(const struct cpu *cpu)
{
	const uint16_t int80 = 0x80cd;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct view view;
	uint16_t before;

	if (!cpu->vcpu.run->ready_for_interrupt_injection || !cpu->vcpu.run->if_flag)
		return false;
	ck_assert_int_eq(ioctl(cpu->vcpu.fd, KVM_GET_REGS, &regs), 0);
	ck_assert_int_eq(ioctl(cpu->vcpu.fd, KVM_GET_SREGS, &sregs), 0);
	view = view_make(&machine.memory, &regs, &sregs, machine.boot.kernel.geo);
	return bytes_at(&view, regs.rip - 2, &before) && before != int80;
}

/* A run of `program` with an interrupt now and then.  How many were sent. */
static uint64_t run_with_interrupts(struct plan *plan, const char *program)
{
	const struct itimerval period = {{0, PERIOD_US}, {0, PERIOD_US}}, never = {{0, 0}, {0, 0}};
	const struct kvm_interrupt interrupt = {.irq = 0x80};
	char *arguments[] = {(char *)(uintptr_t)program};
	struct cpu *cpu = &machine.cpus[0];
	uint64_t sent = 0;

	plan->argv = arguments;
	memset(&machine, 0, sizeof(machine));
	ck_assert(run_create(&machine, plan));
	signal(SIGALRM, on_alarm);
	kvm_suite_silence();
	setitimer(ITIMER_REAL, &period, NULL);
	cpu->started = true;
	do {
		cpu->vcpu.run->immediate_exit = 0;
		if (due && may_send(cpu)) {
			due = 0;
			ck_assert_int_eq(ioctl(cpu->vcpu.fd, KVM_INTERRUPT, &interrupt), 0);
			sent++;
		}
	} while (run_once(cpu));
	setitimer(ITIMER_REAL, &never, NULL);
	console_flush(&machine.console);
	kvm_suite_speak();
	return sent;
}

static struct plan plan = {
    .mem = PLAN_MEM_DEFAULT,
    .cpus = 1,
    .no_apic = true, /* where it is in the kernel, KVM_INTERRUPT is not for it */
    .guest = "guest.elf",
    .argc = 1,
};

static const char *const programs[] = {"crossings", "hostile"};

START_TEST(none_is_a_system_call)
{
	const uint64_t sent = run_with_interrupts(&plan, programs[_i]);
	const struct rs_stats *stats = machine.boot.stats[0];

	ck_assert_int_eq(machine.outcome.reason, END_EXITED);
	ck_assert_uint_eq(machine.outcome.guest_status, 0);
	fprintf(stderr, "%s: %lu interrupts with vector 0x80\n", programs[_i], (unsigned long)sent);
	ck_assert_uint_gt(sent, 0);
	/* The last one may have come too late. */
	ck_assert_msg(stats->external80 == sent || stats->external80 + 1 == sent,
	              "%lu sent, %lu counted", (unsigned long)sent,
	              (unsigned long)stats->external80);
	ck_assert_uint_eq(stats->vectors[0x80], stats->int80 + stats->external80);
	machine_destroy(&machine);
}
END_TEST

int main(void)
{
	const struct kvm_suite_test test = {none_is_a_system_call,
	                                    sizeof(programs) / sizeof(programs[0])};

	return kvm_suite_run("external80", &test, 1);
}
