/* The way back, over a small processor: places, what is given again, points, watches, other ways.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit_vmm/fake_cpu.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/engine/history.h"

static struct live_machine *live;
static struct fake_vcpu *vcpu;
static struct engine engine;
static struct history *history;
static uint64_t ticks; /* RDTSC's */
/* RIP at which RBX gets another value each time, a device is asked, an interrupt comes, the machine
 * dies; 0: nowhere. */
static uint64_t turns_at, device_at, interrupt_at, dies_at;

#define CODE  FAKE_CODE(0)
#define STACK FAKE_STACK(0)

/* What the small processor does not have. */
static int run(unsigned n)
{
	const uint8_t *code = fake_cpu_at(live, vcpu->regs.rip);

	if (code[0] == 0x0f && code[1] == 0x31)
		vcpu->regs.rax = ++ticks;
	if (vcpu->regs.rip == turns_at)
		vcpu->regs.rbx++;
	if (vcpu->regs.rip == device_at)
		live->machine.cpus[0].stats.reasons[KVM_EXIT_MMIO].count++;
	if (vcpu->regs.rip == interrupt_at)
		vcpu->regs.rip = FAKE_VECTORS + 0x20 * FAKE_STRIDE;
	if (vcpu->regs.rip == dies_at) {
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	}
	return fake_cpu_run(n);
}

static void begin(const void *code, size_t size)
{
	live = live_machine_make();
	vcpu = &fake_kvm.vcpus[0];
	ticks = turns_at = device_at = interrupt_at = dies_at = 0;
	fake_cpu_make(live, 0);
	fake_cpu_code(live, code, size);
	fake_kvm.run = run;
	ck_assert(engine_attach(&engine, &live->machine));
	history = history_begin(&engine);
	ck_assert_ptr_nonnull(history);
}

static void teardown(void)
{
	history_end(history);
	history = NULL;
	engine_detach(&engine);
	live_machine_free();
}

static void steps(unsigned count)
{
	while (count--)
		ck_assert_int_eq(history_step(history).why, ENGINE_STEPPED);
}

static void go(uint64_t place)
{
	ck_assert(history_go(history, place));
	ck_assert_uint_eq(history_here(history), place);
	ck_assert(engine_know(&engine));
}

static uint64_t pushed(unsigned n)
{
	uint64_t word;

	memcpy(&word, fake_cpu_at(live, STACK - 8 * (uint64_t)n), sizeof(word));
	return word;
}

/* PUSHF, ten times. */
#define PUSHES "\x9c\x9c\x9c\x9c\x9c\x9c\x9c\x9c\x9c\x9c", 10

START_TEST(back_and_forth)
{
	begin("", 0);
	steps(200);
	ck_assert_uint_eq(history_last(history), 200);
	ck_assert_uint_eq(history_kept(history), 1 + 200 / HISTORY_SPACING);
	go(150);
	ck_assert_uint_eq(engine.state.regs.rip, CODE + 150);
	go(0);
	ck_assert_uint_eq(engine.state.regs.rip, CODE);
	go(200);
	ck_assert_uint_eq(engine.state.regs.rip, CODE + 200);
	ck_assert_uint_eq(history_last(history), 200);
}
END_TEST

START_TEST(memory_goes_with_it)
{
	begin(PUSHES);
	steps(10);
	ck_assert_uint_ne(pushed(10), 0);
	go(3);
	ck_assert_uint_ne(pushed(3), 0);
	ck_assert_uint_eq(pushed(4), 0);
	steps(1);
	ck_assert_uint_ne(pushed(4), 0);
	ck_assert_uint_eq(history_last(history), 10);
}
END_TEST

/* RDTSC, NOP. */
START_TEST(time_is_given_again)
{
	begin("\x0f\x31\x90", 3);
	fake_cpu.size = 2;
	steps(2);
	ck_assert_uint_eq(ticks, 1);
	ck_assert_uint_eq(history_kept(history), 2);
	go(0);
	steps(2);
	ck_assert_uint_eq(engine.state.regs.rax, 1);
	ck_assert_uint_eq(ticks, 1);
}
END_TEST

/* A device that was asked by an access to memory, and an interrupt, which nobody has asked for. */
START_TEST(devices_and_interrupts_are_given_again)
{
	begin("", 0);
	device_at = CODE + 2;
	interrupt_at = CODE + 5;
	steps(4);
	ck_assert_uint_eq(history_kept(history), 2);
	steps(2);
	ck_assert_uint_eq(history_kept(history), 3);
	ck_assert_uint_eq(engine.state.regs.rip, FAKE_VECTORS + 0x20 * FAKE_STRIDE);
	go(1);
	interrupt_at = 0;
	steps(5);
	ck_assert_uint_eq(engine.state.regs.rip, FAKE_VECTORS + 0x20 * FAKE_STRIDE);
	ck_assert_uint_eq(live->machine.cpus[0].stats.reasons[KVM_EXIT_MMIO].count, 1);
}
END_TEST

START_TEST(back_from_the_end)
{
	begin("", 0);
	dies_at = CODE + 10;
	steps(10);
	ck_assert_int_eq(history_step(history).why, ENGINE_ENDED);
	ck_assert(history_is_beyond(history));
	ck_assert_uint_eq(history_here(history), 10);
	go(10);
	ck_assert(!history_is_beyond(history));
	ck_assert_int_eq(live->machine.outcome.reason, END_RUNNING);
	ck_assert_int_eq(history_step(history).why, ENGINE_ENDED);
	/* The last instruction is one of those that can be come to. */
	ck_assert_int_eq(engine_add_point(&engine, CODE + 10), ENGINE_OK);
	ck_assert_int_eq(history_back(history).why, ENGINE_POINT);
	ck_assert_uint_eq(history_here(history), 10);
}
END_TEST

/* What cannot be kept ends the history, and not the guest. */
START_TEST(no_snapshot)
{
	begin("\x0f\x31", 2);
	fake_cpu.size = 2;
	fake_kvm.fails = KVM_GET_DIRTY_LOG;
	fake_kvm.error = EINVAL;
	ck_assert_int_eq(history_step(history).why, ENGINE_FAILED);
	ck_assert_int_eq(live->machine.outcome.reason, END_RUNNING);
	ck_assert_uint_eq(vcpu->regs.rip, CODE + 2);
	ck_assert_uint_eq(history_kept(history), 1);
}
END_TEST

START_TEST(to_a_point)
{
	begin("", 0);
	ck_assert_int_eq(engine_add_point(&engine, CODE + 5), ENGINE_OK);
	ck_assert_int_eq(engine_add_point(&engine, CODE + 90), ENGINE_OK);
	steps(100);
	ck_assert_int_eq(history_back(history).why, ENGINE_POINT);
	ck_assert_uint_eq(history_here(history), 90);
	ck_assert_int_eq(history_back(history).why, ENGINE_POINT);
	ck_assert_uint_eq(history_here(history), 5);
	ck_assert_int_eq(history_back(history).why, ENGINE_STEPPED);
	ck_assert_uint_eq(history_here(history), 0);
	/* What is planted stays so, and is in no machine that was kept. */
	ck_assert_uint_eq(*fake_cpu_at(live, CODE + 5), 0xee);
	ck_assert_int_eq(engine_remove_point(&engine, CODE + 5), ENGINE_OK);
	ck_assert_int_eq(engine_remove_point(&engine, CODE + 90), ENGINE_OK);
	go(100);
	go(0);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE + 5), 0x90);
}
END_TEST

/* A point is no part of the guest, whenever it was there. */
START_TEST(points_are_not_kept)
{
	const uint8_t nop = 0x90;

	begin("", 0);
	history_end(history); /* RAM is to be copied with the point in it */
	ck_assert_int_eq(engine_add_point(&engine, CODE + 5), ENGINE_OK);
	history = history_begin(&engine);
	ck_assert_ptr_nonnull(history);
	steps(1);
	/* The page is one that differs. */
	ck_assert_uint_eq(engine_write(&engine, CODE + 9, &nop, 1), 1);
	ck_assert(history_branch(history));
	ck_assert_int_eq(engine_remove_point(&engine, CODE + 5), ENGINE_OK);
	go(0);
	ck_assert_uint_eq(*fake_cpu_at(live, CODE + 5), 0x90);
}
END_TEST

START_TEST(to_a_change)
{
	begin(PUSHES);
	steps(10);
	ck_assert_int_eq(engine_add_watch(&engine, STACK - 24, 8), ENGINE_OK);
	ck_assert_int_eq(history_back(history).why, ENGINE_WATCHED);
	ck_assert_uint_eq(history_here(history), 2);
	ck_assert_uint_eq(pushed(3), 0);
	/* Forth again it is the third instruction that changes it. */
	ck_assert_int_eq(history_step(history).why, ENGINE_WATCHED);
	ck_assert_int_eq(history_step(history).why, ENGINE_STEPPED);
}
END_TEST

START_TEST(a_future_of_its_own)
{
	const uint64_t word = 77;

	begin(PUSHES);
	steps(10);
	go(3);
	ck_assert_uint_eq(engine_write(&engine, STACK - 8, &word, sizeof(word)), sizeof(word));
	ck_assert(history_branch(history));
	ck_assert_uint_eq(history_last(history), 3);
	steps(2);
	go(3);
	ck_assert_uint_eq(pushed(1), 77);
	go(2);
	ck_assert_uint_ne(pushed(1), 77);
}
END_TEST

/* Who is stepped is a part of the place. */
START_TEST(another_cpu)
{
	begin("", 0);
	steps(3);
	go(1);
	live->machine.cpus[1].started = true;
	fake_kvm.vcpus[1].regs = vcpu->regs;
	fake_kvm.vcpus[1].sregs = vcpu->sregs;
	ck_assert(engine_select(&engine, &live->machine.cpus[1]));
	ck_assert(history_branch(history));
	ck_assert_uint_eq(history_last(history), 1);
	go(0);
	ck_assert_ptr_eq(engine.cpu, &live->machine.cpus[0]);
	go(1);
	ck_assert_ptr_eq(engine.cpu, &live->machine.cpus[1]);
}
END_TEST

/* What is not kept decides: it is said, and not taken for what was. */
START_TEST(another_way)
{
	begin("", 0);
	turns_at = CODE + 20;
	vcpu->regs.rbx = 0;
	steps(40);
	turns_at = CODE + 30;
	ck_assert(!history_go(history, 35));
	ck_assert_uint_eq(history_here(history), 0); /* where it is sure */
	ck_assert_uint_eq(engine.state.regs.rip, CODE);
	ck_assert_int_eq(live->machine.outcome.reason, END_RUNNING);
	ck_assert(history_go(history, 10));
	ck_assert_uint_eq(engine.state.regs.rip, CODE + 10);
}
END_TEST

/* Not more machines than there may be; the first ones go. */
START_TEST(no_more_than_are_kept)
{
	static uint8_t code[2 * (HISTORY_KEPT + 20)];

	for (size_t i = 0; i < sizeof(code); i += 2) {
		code[i] = 0x0f;
		code[i + 1] = 0x31;
	}
	begin(code, sizeof(code));
	fake_cpu.size = 2;
	steps(HISTORY_KEPT + 10);
	ck_assert_uint_le(history_kept(history), HISTORY_KEPT);
	ck_assert_uint_gt(history_first(history), 0);
	go(history_first(history));
	ck_assert_uint_eq(engine.state.regs.rax, history_first(history));
	go(history_last(history));
	ck_assert_uint_eq(engine.state.regs.rax, HISTORY_KEPT + 10);
}
END_TEST

START_TEST(far)
{
	begin("", 0);
	steps(3000);
	go(1);
	go(2999);
	ck_assert_uint_eq(engine.state.regs.rip, CODE + 2999);
}
END_TEST

Suite *history_suite(void)
{
	Suite *suite = suite_create("history");
	TCase *tcase = tcase_create("history");

	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, back_and_forth);
	tcase_add_test(tcase, memory_goes_with_it);
	tcase_add_test(tcase, time_is_given_again);
	tcase_add_test(tcase, devices_and_interrupts_are_given_again);
	tcase_add_test(tcase, back_from_the_end);
	tcase_add_test(tcase, no_snapshot);
	tcase_add_test(tcase, to_a_point);
	tcase_add_test(tcase, points_are_not_kept);
	tcase_add_test(tcase, to_a_change);
	tcase_add_test(tcase, a_future_of_its_own);
	tcase_add_test(tcase, another_cpu);
	tcase_add_test(tcase, another_way);
	tcase_add_test(tcase, no_more_than_are_kept);
	tcase_add_test(tcase, far);
	suite_add_tcase(suite, tcase);
	return suite;
}
