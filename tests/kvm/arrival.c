/*
 * The debugger's engine, when a signal ends KVM_RUN at each plant that the guest arrives at: behind
 * the gate and before the OUT.  Whoever is interrupted there must find its INT3 and its trap flag
 * again, or the guest gets a #BP or a #DB that nobody has raised.
 *
 * Linked with --wrap=engine_takes_exit: an OUT of the engine's, which has been put back before the
 * guest's next instruction by then, becomes a return of KVM_RUN without an exit.  RS_LOUD=1 shows
 * what the guest says.
 */
#include <check.h>
#include <string.h>

#include "tests/kvm/common/kvm_suite.h"
#include "vmm/engine/engine.h"
#include "vmm/look/symbols.h"
#include "vmm/run/machine.h"
#include "vmm/run/run.h"

enum { STEPS = 1500 };

static struct machine machine;
static struct engine engine;

static bool signals;      /* one comes at every arrival at an entry of the guest's ... */
static unsigned arrivals; /* ... of which there were so many */

bool __real_engine_takes_exit(struct engine *with);
bool __wrap_engine_takes_exit(struct engine *with);

bool __wrap_engine_takes_exit(struct engine *with)
{
	if (!__real_engine_takes_exit(with))
		return false;
	if (with->event == ENGINE_EVENT_PLANT && engine_entry(with, with->state.regs.rip) >= 0) {
		arrivals++;
		if (signals)
			with->event = ENGINE_EVENT_NONE;
	}
	return true;
}

static uint64_t address_of(const char *name)
{
	struct symbols symbols = symbols_read("guest.elf");
	uint64_t address = 0;

	for (size_t i = 0; i < symbols.count; i++) {
		if (!strcmp(symbols.list[i].name, name))
			address = symbols.list[i].address;
	}
	symbols_free(&symbols);
	ck_assert_msg(address, "guest.elf has no %s", name);
	return address;
}

/* The tour with the engine attached and a point in ring 3. */
static void begin(bool with_signals, const char *point)
{
	static char tour[] = "tour", rounds[] = "5";
	static char *arguments[] = {tour, rounds};
	static const struct plan plan = {
	    .mem = PLAN_MEM_DEFAULT,
	    .cpus = 1,
	    .no_apic = true, /* no timer: the same instructions in every run */
	    .guest = "guest.elf",
	    .argv = arguments,
	    .argc = 2,
	};

	memset(&machine, 0, sizeof(machine));
	memset(&engine, 0, sizeof(engine));
	ck_assert(run_create(&machine, &plan));
	machine.cpus[0].started = true;
	ck_assert(engine_attach(&engine, &machine));
	ck_assert_int_eq(engine_add_point(&engine, address_of(point)), ENGINE_OK);
	kvm_suite_silence();
	signals = with_signals;
	arrivals = 0;
}

static void end(void)
{
	console_flush(&machine.console);
	kvm_suite_speak();
	ck_assert_int_eq(machine.outcome.reason, END_EXITED);
	ck_assert_uint_eq(machine.outcome.guest_status, 0);
	machine_destroy(&machine);
}

/* How often the guest comes to the point until it ends. */
static unsigned count_stops(bool with_signals)
{
	struct engine_stop stop;
	unsigned stops = 0;

	begin(with_signals, "user_raw_syscall");
	while ((stop = engine_continue(&engine)).why == ENGINE_POINT) {
		ck_assert_uint_eq(engine.state.regs.rip, address_of("user_raw_syscall"));
		ck_assert_uint_eq(engine_cpl(&engine), 3);
		stops++;
	}
	ck_assert_int_eq(stop.why, ENGINE_ENDED);
	end();
	return stops;
}

START_TEST(each_point_is_met)
{
	const unsigned stops = count_stops(false);

	ck_assert_uint_ge(stops, 10);
	ck_assert_uint_eq(count_stops(true), stops);
	ck_assert_uint_ge(arrivals, stops);
}
END_TEST

struct moment {
	uint64_t rip, rsp, rflags;
	unsigned cpl;
};

/* Where the guest is after each of STEPS steps from its first stop. */
static void walk(bool with_signals, struct moment *moments)
{
	begin(with_signals, "user_mark_syscall");
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_POINT);
	ck_assert_int_eq(engine_remove_point(&engine, engine.state.regs.rip), ENGINE_OK);
	for (unsigned i = 0; i < STEPS; i++) {
		ck_assert_int_eq(engine_step(&engine).why, ENGINE_STEPPED);
		ck_assert(engine_know(&engine));
		moments[i] = (struct moment){engine.state.regs.rip, engine.state.regs.rsp,
		                             engine.state.regs.rflags, engine_cpl(&engine)};
	}
	ck_assert_int_eq(engine_continue(&engine).why, ENGINE_ENDED);
	end();
}

START_TEST(each_step_ends_where_it_should)
{
	static struct moment plain[STEPS], disturbed[STEPS];
	unsigned crossings = 0;

	walk(false, plain);
	walk(true, disturbed);
	for (unsigned i = 0; i < STEPS; i++) {
		ck_assert_msg(
		    plain[i].rip == disturbed[i].rip && plain[i].cpl == disturbed[i].cpl &&
		        plain[i].rsp == disturbed[i].rsp && plain[i].rflags == disturbed[i].rflags,
		    "step %u: %#lx in ring %u, with signals %#lx in ring %u", i,
		    (unsigned long)plain[i].rip, plain[i].cpl, (unsigned long)disturbed[i].rip,
		    disturbed[i].cpl);
		crossings += i && plain[i].cpl != plain[i - 1].cpl;
	}
	ck_assert_uint_ge(crossings, 4);
	ck_assert_uint_gt(arrivals, 100); /* a #DB for every instruction of ring 3 */
}
END_TEST

int main(void)
{
	const struct kvm_suite_test tests[] = {{each_point_is_met, 1},
	                                       {each_step_ends_where_it_should, 1}};

	return kvm_suite_run("arrival", tests, 2);
}
