/* What a run leaves behind in time: the rings in the guest's RAM, its clock, and each exit with
 * what the dispatcher noted of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/instruments/report/report_run.h"
#include "vmm/instruments/trace/tracer.h"
#include "vmm/run/exits.h"

static struct live_machine *live;
static struct machine *machine;
static struct tracer tracer;
static struct manner manner;
static char path[64], text[1 << 16];

static void setup(void)
{
	live = live_machine_make();
	machine = &live->machine;
	machine->boot.cpus = 2;
	machine->cpus[1].started = true;
	machine->image.noted = true;
	live->boot->free_end = LIVE_RAM;
	memset(&tracer, 0, sizeof(tracer));
	tracer.limit = 1 << 20;
	snprintf(path, sizeof(path), "/tmp/rs_tracer_%d", (int)getpid());
	ck_assert(outfile_open(&tracer.file, path, OUTFILE_SHARED));
}

static void teardown(void)
{
	outfile_abandon(&tracer.file);
	unlink(path);
	live_machine_free();
}

static void begin(void)
{
	ck_assert(trace_instrument.wanted(&tracer));
	ck_assert(trace_instrument.begin(&tracer, machine, &manner));
	ck_assert_ptr_eq(machine->observers, &tracer.observer);
}

static void finish(void)
{
	FILE *file;

	machine->outcome.reason = END_EXITED;
	ck_assert_int_eq(trace_instrument.end(&tracer, machine, &manner), INSTRUMENT_DONE);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
}

static unsigned occurrences(const char *what)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		count++;
	return count;
}

/* An exit of this CPU from KVM_RUN to what was done about it. */
static void serve(unsigned number, uint32_t reason, uint16_t port)
{
	struct cpu *cpu = &machine->cpus[number];
	const uint64_t entered = stats_now();

	stats_enter(&cpu->stats);
	stats_leave(&cpu->stats, reason);
	if (reason == KVM_EXIT_IO) {
		struct kvm_run *run = cpu->vcpu.run;

		run->exit_reason = KVM_EXIT_IO;
		run->io.direction = KVM_EXIT_IO_OUT;
		run->io.port = port;
		run->io.size = 1;
		run->io.count = 1;
		run->io.data_offset = LIVE_DATA;
		ck_assert(exit_dispatch(cpu));
	}
	observers_served(machine->observers, cpu, entered);
}

/* ---- Rings
 * --------------------------------------------------------------------------------------- */

START_TEST(rings_come_from_the_end_of_ram)
{
	const uint64_t size = trace_ring_size(LIVE_RAM, 2);

	begin();
	ck_assert_uint_eq(live->boot->trace[0], LIVE_RAM - size);
	ck_assert_uint_eq(live->boot->trace[1], LIVE_RAM - 2 * size);
	ck_assert_uint_eq(live->boot->free_end, LIVE_RAM - 2 * size);
	ck_assert_uint_eq(live->boot->trace[2], 0);
	/* They are empty ones. */
	for (unsigned i = 0; i < 2; i++) {
		const struct rs_trace *ring =
		    memory_at(&machine->memory, live->boot->trace[i], size);

		ck_assert_uint_gt(ring->capacity, 0);
		ck_assert_uint_eq(ring->head, 0);
	}
}
END_TEST

/* At most half of what is free is taken. */
START_TEST(a_guest_that_just_fits)
{
	const uint64_t size = trace_ring_size(LIVE_RAM, 2);

	machine->boot.next_frame = LIVE_RAM - 4 * size + (_i ? PAGE_SIZE : 0);
	begin();
	ck_assert_uint_eq(live->boot->trace[0], _i ? 0 : LIVE_RAM - size);
	ck_assert_uint_eq(live->boot->free_end, _i ? LIVE_RAM : LIVE_RAM - 2 * size);
}
END_TEST

START_TEST(a_guest_without_a_note_has_none)
{
	machine->image.noted = false;
	begin();
	ck_assert_uint_eq(live->boot->trace[0], 0);
	ck_assert_uint_eq(live->boot->free_end, LIVE_RAM);
}
END_TEST

START_TEST(nobody_asked)
{
	const struct tracer none = {.limit = 1 << 20};

	ck_assert(!trace_instrument.wanted(&none));
}
END_TEST

/* ---- Clocks
 * -------------------------------------------------------------------------------------- */

START_TEST(the_guests_clock)
{
	const uint64_t told = UINT64_C(1) << 60;
	uint64_t before, after, ahead;

	for (unsigned i = 0; i < 2; i++) {
		fake_kvm.vcpus[i].msr_count = 1;
		fake_kvm.vcpus[i].msrs[0] = (struct kvm_msr_entry){.index = 0x10, .data = told + i};
	}
	before = stats_now();
	begin();
	after = stats_now();
	for (unsigned i = 0; i < 2; i++) {
		ahead = tracer.trace.cpus[i].guest_ahead;
		ck_assert_uint_ge(ahead, told + i - after);
		ck_assert_uint_le(ahead, told + i - before);
	}
}
END_TEST

START_TEST(a_clock_that_kvm_does_not_tell)
{
	begin();
	ck_assert_uint_eq(tracer.trace.cpus[0].guest_ahead, 0);
}
END_TEST

/* ---- Exits
 * --------------------------------------------------------------------------------------- */

START_TEST(exits_with_what_was_noted)
{
	begin();
	serve(0, KVM_EXIT_IO, RS_PORT_PUTC);
	serve(1, KVM_EXIT_IO, RS_PORT_NOP); /* the first of that CPU's own */
	serve(0, STATS_EINTR, 0);           /* of which nothing was noted */
	for (unsigned i = 0; i < EXIT_RING_SIZE + 1; i++)
		serve(1, KVM_EXIT_IO, RS_PORT_NOP);
	serve(0, KVM_EXIT_IO, RS_PORT_PUTC);
	finish();
	ck_assert_uint_eq(occurrences("\"IO putc\""), 2);
	ck_assert_uint_eq(occurrences("\"IO nop\""), EXIT_RING_SIZE + 2);
	ck_assert_uint_ge(occurrences("\"EINTR\""), 1);
	ck_assert_uint_eq(occurrences("\"name\":\"IO\""), 0);
	ck_assert_str_eq(tracer.figures.file, path);
	ck_assert_uint_gt(tracer.figures.events, EXIT_RING_SIZE);
}
END_TEST

START_TEST(exits_in_a_picture)
{
	struct outfile page = {.path = "page.html"};
	struct report report = {.stats = STATS_NONE, .page = page};
	const struct timeline *timeline = &report.timeline;
	uint64_t io = 0, other = 0;

	ck_assert(report_instrument.wanted(&report));
	ck_assert(report_instrument.begin(&report, machine, &manner));
	serve(0, KVM_EXIT_IO, RS_PORT_NOP);
	serve(0, STATS_EINTR, 0);
	serve(1, KVM_EXIT_IO, RS_PORT_NOP);
	for (unsigned i = 0; i < TIMELINE_SLOTS; i++) {
		io += timeline->slots[i].exits[TIMELINE_IO];
		other += timeline->slots[i].exits[TIMELINE_OTHER];
	}
	ck_assert_uint_eq(io, 2);
	ck_assert_uint_eq(other, 1);
}
END_TEST

/* A picture of constant size: when a run outgrows it, neighbours are added up. */
START_TEST(a_picture_that_is_outgrown)
{
	static struct timeline timeline;
	const uint64_t slot = UINT64_C(1) << 14;

	timeline_start(&timeline, 1000);
	timeline_add(&timeline, 1000, KVM_EXIT_IO);
	timeline_add(&timeline, 1000 + slot, KVM_EXIT_IO);
	timeline_add(&timeline, 1000 + 2 * slot - 1, KVM_EXIT_MMIO);
	timeline_add(&timeline, 5, KVM_EXIT_HLT); /* before the start is at the start */
	ck_assert_uint_eq(timeline.used, 2);
	ck_assert_uint_eq(timeline.slots[0].exits[TIMELINE_IO], 1);
	ck_assert_uint_eq(timeline.slots[0].exits[TIMELINE_OTHER], 1);
	ck_assert_uint_eq(timeline.slots[1].exits[TIMELINE_IO], 1);
	ck_assert_uint_eq(timeline.slots[1].exits[TIMELINE_MMIO], 1);
	timeline_reach(&timeline, 1000 + TIMELINE_SLOTS * slot - 1);
	ck_assert_uint_eq(timeline.used, TIMELINE_SLOTS);
	ck_assert_uint_eq(timeline.shift, 14);
	timeline_reach(&timeline, 1000 + TIMELINE_SLOTS * slot);
	ck_assert_uint_eq(timeline.used, TIMELINE_SLOTS / 2 + 1);
	ck_assert_uint_eq(timeline.shift, 15);
	ck_assert_uint_eq(timeline.slots[0].exits[TIMELINE_IO], 2);
	ck_assert_uint_eq(timeline.slots[0].exits[TIMELINE_MMIO], 1);
	ck_assert_uint_eq(timeline.slots[0].exits[TIMELINE_OTHER], 1);
	ck_assert_uint_eq(timeline.slots[1].exits[TIMELINE_IO], 0);
}
END_TEST

Suite *tracer_suite(void)
{
	Suite *suite = suite_create("tracer");
	TCase *tests = tcase_create("tracer");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, rings_come_from_the_end_of_ram);
	tcase_add_loop_test(tests, a_guest_that_just_fits, 0, 2);
	tcase_add_test(tests, a_guest_without_a_note_has_none);
	tcase_add_test(tests, nobody_asked);
	tcase_add_test(tests, the_guests_clock);
	tcase_add_test(tests, a_clock_that_kvm_does_not_tell);
	tcase_add_test(tests, exits_with_what_was_noted);
	tcase_add_test(tests, exits_in_a_picture);
	tcase_add_test(tests, a_picture_that_is_outgrown);
	suite_add_tcase(suite, tests);
	return suite;
}
