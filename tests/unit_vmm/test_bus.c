/* Devices and instruments of one's own, as CONTRIBUTING says that they are made: each is what
 * stands here, and a row; and the bus's rules. */
#include <string.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/devices/bus.h"
#include "vmm/instruments/instrument.h"
#include "vmm/run/exits.h"
#include "vmm/run/run.h"

static struct live_machine *live;
static struct machine *machine;
static struct cpu *cpu;
static struct kvm_run *run;

static void setup(void)
{
	live = live_machine_make();
	machine = &live->machine;
	cpu = &machine->cpus[0];
	run = cpu->vcpu.run;
}

/* ---- A device: two ports, and a register in memory that adds -----------------------------------
 */

struct adder {
	uint64_t sum;
	unsigned accesses;
};

static bool adder_write(struct cpu *by, uint64_t at, unsigned size, uint64_t value, void *ctx)
{
	struct adder *adder = ctx;

	(void)at;
	(void)size;
	adder->accesses++;
	adder->sum += value;
	return adder->sum < 1000 || machine_end(by->machine, END_EXITED);
}

static uint64_t adder_read(struct cpu *by, uint64_t at, unsigned size, void *ctx)
{
	struct adder *adder = ctx;

	(void)by;
	(void)size;
	adder->accesses++;
	return at % 2 ? adder->sum >> 8 : adder->sum;
}

static struct adder adder;
static const struct device adder_ports = {
    .name = "adder",
    .bus = BUS_PORTS,
    .first = 0x80,
    .last = 0x81,
    .write = adder_write,
    .read = adder_read,
    .ctx = &adder,
};
static const struct device adder_memory = {
    .name = "adder in memory",
    .bus = BUS_MEMORY,
    .first = 0xfe000000,
    .last = 0xfe000007,
    .write = adder_write,
    .read = adder_read,
    .ctx = &adder,
};

static void add_adder(void)
{
	adder = (struct adder){0};
	ck_assert(bus_add(&machine->bus, &adder_ports) && bus_add(&machine->bus, &adder_memory));
}

static bool access_port(uint8_t direction, uint16_t port, uint8_t size, uint32_t value)
{
	live_machine_io(live, direction, port, size, value);
	return exit_dispatch(cpu);
}

static uint32_t port_data(void)
{
	uint32_t value;

	memcpy(&value, (uint8_t *)run + run->io.data_offset, sizeof(value));
	return value;
}

static bool access_memory(bool write, uint64_t at, uint32_t size, uint64_t value)
{
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = at;
	run->mmio.len = size;
	run->mmio.is_write = write;
	memcpy(run->mmio.data, &value, sizeof(value));
	return exit_dispatch(cpu);
}

START_TEST(ports)
{
	add_adder();
	ck_assert(access_port(KVM_EXIT_IO_OUT, 0x80, 4, 300));
	ck_assert(access_port(KVM_EXIT_IO_OUT, 0x81, 1, 0xabcdef05)); /* AL */
	ck_assert(access_port(KVM_EXIT_IO_IN, 0x80, 2, UINT32_MAX));
	ck_assert_uint_eq(port_data(), 0xffff0000 | 305);
	ck_assert(access_port(KVM_EXIT_IO_IN, 0x81, 1, 0));
	ck_assert_uint_eq(port_data(), 305 >> 8);
	ck_assert_uint_eq(cpu->stats.unknown_io, 0);
	/* Its neighbours are nobody's, though it was found last. */
	ck_assert(access_port(KVM_EXIT_IO_OUT, 0x7f, 1, 1));
	ck_assert(access_port(KVM_EXIT_IO_OUT, 0x82, 1, 1));
	ck_assert(access_port(KVM_EXIT_IO_IN, 0x82, 4, 0));
	ck_assert_uint_eq(port_data(), UINT32_MAX);
	ck_assert_uint_eq(cpu->stats.unknown_io, 3);
	ck_assert_uint_eq(adder.accesses, 4);
	/* What ends the run ends it. */
	ck_assert(!access_port(KVM_EXIT_IO_OUT, 0x80, 4, 999));
	ck_assert_int_eq(machine->outcome.reason, END_EXITED);
}
END_TEST

START_TEST(memory)
{
	add_adder();
	ck_assert(access_memory(true, 0xfe000000, 1, 0x1107)); /* a byte of it */
	ck_assert(access_memory(true, 0xfe000007, 8, 100));
	ck_assert(access_memory(false, 0xfe000004, 8, 0));
	ck_assert_int_eq(memcmp(run->mmio.data, &(uint64_t){107}, 8), 0);
	ck_assert_uint_eq(cpu->stats.unknown_mmio, 0);
	ck_assert(access_memory(false, 0xfe000008, 4, 0) && access_memory(true, 0xfdffffff, 4, 0));
	ck_assert_uint_eq(cpu->stats.unknown_mmio, 2);
	/* A port of the same number is another place. */
	ck_assert(access_memory(true, 0x80, 1, 1) && adder.sum == 107);
}
END_TEST

static const struct device elsewhere[] = {
    {.name = "before", .bus = BUS_PORTS, .first = 0x70, .last = 0x7f, .write = adder_write},
    {.name = "behind", .bus = BUS_PORTS, .first = 0x82, .last = 0x82, .write = adder_write},
    {.name = "other bus", .bus = BUS_MEMORY, .first = 0x80, .last = 0x81, .write = adder_write},
};
static const struct device in_the_way[] = {
    {.name = "over its first", .bus = BUS_PORTS, .first = 0, .last = 0x80, .write = adder_write},
    {.name = "over its last", .bus = BUS_PORTS, .first = 0x81, .last = 0x90, .write = adder_write},
    {.name = "around", .bus = BUS_PORTS, .first = 0, .last = 0xff, .write = adder_write},
    {.name = "the guest's", .bus = BUS_PORTS, .first = 0x510, .last = 0x510, .write = adder_write},
};

START_TEST(every_place_is_one_devices)
{
	add_adder();
	for (size_t i = 0; i < 3; i++)
		ck_assert(bus_add(&machine->bus, &elsewhere[i]));
	for (size_t i = 0; i < 4; i++)
		ck_assert(!bus_add(&machine->bus, &in_the_way[i]));
}
END_TEST

START_TEST(no_more_than_there_is_room_for)
{
	static struct device many[BUS_DEVICES];
	struct bus bus = {.count = 0};

	for (unsigned i = 0; i < BUS_DEVICES; i++) {
		many[i] = (struct device){.name = "one", .first = i, .last = i};
		ck_assert(bus_add(&bus, &many[i]));
	}
	ck_assert(!bus_add(&bus, &adder_ports));
}
END_TEST

/* ---- An instrument: counts exits, and drives one KVM_RUN after the other ------------------------
 */

struct counter {
	struct observer observer;
	bool asked;
	unsigned limit, exits;
};

static void count(struct observer *observer, struct cpu *of, uint64_t entered)
{
	(void)of;
	(void)entered;
	((struct counter *)observer)->exits++;
}

static bool counter_wanted(const void *mine)
{
	return ((const struct counter *)mine)->asked;
}

static bool counter_begin(void *mine, struct machine *of, struct manner *manner)
{
	struct counter *counter = mine;

	(void)manner;
	counter->observer = (struct observer){.served = count};
	machine_observe(of, &counter->observer);
	return true;
}

static enum instrument_result counter_end(void *mine, struct machine *of, struct manner *manner)
{
	const struct counter *counter = mine;

	(void)of;
	(void)manner;
	return counter->exits <= counter->limit ? INSTRUMENT_DONE : INSTRUMENT_FAULT;
}

static const struct instrument counter_instrument = {
    .option = "count", .wanted = counter_wanted, .begin = counter_begin, .end = counter_end};

static unsigned puts_left;

static int put_and_exit(unsigned n)
{
	(void)n;
	live_machine_io(live, KVM_EXIT_IO_OUT, puts_left ? RS_PORT_NOP : RS_PORT_EXIT, 1, 0);
	if (puts_left)
		puts_left--;
	return 0;
}

START_TEST(an_instrument)
{
	struct counter counter = {.asked = true, .limit = 10};
	struct manner manner = {.quiet = true};

	ck_assert(counter_instrument.wanted(&counter));
	ck_assert(counter_instrument.begin(&counter, machine, &manner));
	puts_left = 9 + (unsigned)_i;
	fake_kvm_catch_runs();
	fake_kvm.run = put_and_exit;
	run_begin(machine);
	run_cpus(machine);
	run_end(machine);
	ck_assert_uint_eq(counter.exits, 10 + (unsigned)_i);
	ck_assert_int_eq(counter_instrument.end(&counter, machine, &manner),
	                 _i ? INSTRUMENT_FAULT : INSTRUMENT_DONE);
	machine_unobserve(machine, &counter.observer);
	ck_assert_ptr_null(machine->observers);
}
END_TEST

Suite *bus_suite(void)
{
	Suite *suite = suite_create("bus");
	TCase *tests = tcase_create("bus");

	tcase_add_checked_fixture(tests, setup, live_machine_free);
	tcase_add_test(tests, ports);
	tcase_add_test(tests, memory);
	tcase_add_test(tests, every_place_is_one_devices);
	tcase_add_test(tests, no_more_than_there_is_room_for);
	tcase_add_loop_test(tests, an_instrument, 0, 2);
	suite_add_tcase(suite, tests);
	return suite;
}
