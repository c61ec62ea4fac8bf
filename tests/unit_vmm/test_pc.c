/* A PC's devices on a machine's bus: lines to interrupt controllers, these to KVM, and how a run
 * ends. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit_vmm/live_machine.h"
#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/base/stop.h"
#include "vmm/run/exits.h"
#include "vmm/run/pc.h"
#include "vmm/run/snapshot.h"

static struct machine *machine;
static struct cpu *cpu;
static struct kvm_run *run;
static struct pc *pc;

static void setup(void)
{
	struct live_machine *live = live_machine_make();

	machine = &live->machine;
	machine->bus = (struct bus){0}; /* not Ringscope's own ports */
	machine->shared = true;
	cpu = &machine->cpus[0];
	run = cpu->vcpu.run;
	pc = pc_create(machine);
	ck_assert_ptr_nonnull(pc);
	machine->pc = pc;
	stop_add(0, run, pthread_self());
}

static void teardown(void)
{
	stop_remove(0);
	pc_destroy(pc);
	live_machine_free();
}

/* What exits.c does with an access: true, the guest goes on. */
static bool access_out(enum bus_kind bus, uint64_t at, unsigned size, uint64_t value)
{
	const struct device *device = bus_find(&machine->bus, bus, at);

	ck_assert_ptr_nonnull(device);
	return device->write(cpu, at, size, value, device->ctx);
}

static bool out(uint16_t port, uint32_t value)
{
	return access_out(BUS_PORTS, port, 1, value);
}

static uint64_t ports_in(uint16_t port, unsigned size)
{
	const struct device *device = bus_find(&machine->bus, BUS_PORTS, port);

	ck_assert_ptr_nonnull(device);
	return device->read(cpu, port, size, device->ctx);
}

static uint64_t in(uint16_t port)
{
	return ports_in(port, 1);
}

static void set_entry(unsigned pin, uint64_t entry)
{
	for (unsigned half = 0; half < 2; half++) {
		access_out(BUS_MEMORY, PC_IOAPIC, 4, 0x10 + 2 * pin + half);
		access_out(BUS_MEMORY, PC_IOAPIC + 0x10, 4, (uint32_t)(entry >> 32 * half));
	}
}

static const struct kvm_msi *last_message(void)
{
	ck_assert_uint_gt(fake_kvm.message_count, 0);
	return &fake_kvm.messages[(fake_kvm.message_count - 1) % FAKE_MESSAGES];
}

/* ---- Lines to the I/O APIC ------------------------------------------------------------------- */

enum { LEVEL = 1 << 15, MASKED = 1 << 16 };

/* Of devices that each have a line: what raises it, and to which pin it goes. */
static void raise_serial(void)
{
	out(0x3f9, 2); /* the transmitter is empty */
}

static void raise_keyboard(void)
{
	out(0x64, 0x60); /* the command byte: bit 0, interrupts */
	out(0x60, 1);
	out(0x64, 0xd2); /* the next byte comes back as if it were a key */
	out(0x60, 0x1c);
}

static void raise_timer(void)
{
	out(0x43, 0x30); /* counter 0, mode 0: OUT is low until it is done */
	out(0x40, 1);
	out(0x40, 0);
	for (unsigned i = 0; i < 100 && !fake_kvm.message_count; i++) {
		usleep(100);
		out(0x43, 0); /* looks at the clock */
		in(0x40);
		pit_advance(&pc->pit, UINT64_MAX / 2);
	}
}

static void raise_test_line(void)
{
	out(0x2000 + 20, 0);
	out(0x2000 + 20, 1);
}

START_TEST(lines_are_messages)
{
	static const struct {
		void (*raise)(void);
		unsigned pin;
	} lines[] = {{raise_serial, PC_IRQ_SERIAL},
	             {raise_keyboard, PC_IRQ_KEYBOARD},
	             {raise_timer, PC_GSI_TIMER},
	             {raise_test_line, 20}};

	for (unsigned pin = 0; pin < PC_LINES; pin++)
		set_entry(pin, UINT64_C(5) << 56 | (0x40 + pin));
	ck_assert_uint_eq(fake_kvm.message_count, 0);
	lines[_i].raise();
	ck_assert_uint_eq(fake_kvm.message_count, 1);
	ck_assert_uint_eq(last_message()->data & 0xff, 0x40 + lines[_i].pin);
	ck_assert_uint_eq(last_message()->address_lo, 0xfee05000);
	ck_assert_uint_eq(last_message()->address_hi, 0);
}
END_TEST

START_TEST(routes_are_told_and_kept)
{
	set_entry(4, 0x44 | LEVEL);
	ck_assert_uint_eq(fake_kvm.route_count, 1);
	ck_assert_uint_eq(fake_kvm.routes[0].gsi, 4);
	ck_assert_uint_eq(fake_kvm.routes[0].type, KVM_IRQ_ROUTING_MSI);
	ck_assert_uint_eq(fake_kvm.routes[0].u.msi.data & 0xff, 0x44);
	ck_assert_uint_eq(fake_kvm.routes[0].u.msi.data & LEVEL, LEVEL);
	ck_assert_uint_eq(fake_kvm.routes[0].u.msi.address_lo, 0xfee00000);
	set_entry(9, 0x49);
	ck_assert_uint_eq(fake_kvm.route_count, 2);
	/* Its EOI may still be to come. */
	set_entry(4, 0x44 | LEVEL | MASKED);
	ck_assert_uint_eq(fake_kvm.route_count, 2);
	ck_assert_uint_eq(fake_kvm.routes[0].u.msi.data & 0xff, 0x44);
	/* A new message is in its place. */
	set_entry(4, 0x54 | LEVEL);
	ck_assert_uint_eq(fake_kvm.route_count, 2);
	ck_assert_uint_eq(fake_kvm.routes[0].u.msi.data & 0xff, 0x54);
}
END_TEST

START_TEST(routes_that_kvm_refuses_end_the_run)
{
	fake_kvm.fails = KVM_SET_GSI_ROUTING;
	fake_kvm.error = EINVAL;
	access_out(BUS_MEMORY, PC_IOAPIC, 4, 0x10);
	ck_assert(!access_out(BUS_MEMORY, PC_IOAPIC + 0x10, 4, 0x40));
	ck_assert_int_eq(machine->outcome.reason, END_VMM_FAILED);
}
END_TEST

/* A message that no APIC takes is lost, and nobody's fault. */
START_TEST(a_message_that_is_lost)
{
	set_entry(4, 0x44);
	fake_kvm.fails = KVM_SIGNAL_MSI;
	fake_kvm.error = EINVAL;
	ck_assert(out(0x3f9, 2));
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
}
END_TEST

/* Level-triggered: comes again at each EOI while its line is high. */
START_TEST(an_eoi)
{
	set_entry(4, 0x44 | LEVEL);
	raise_serial();
	ck_assert_uint_eq(fake_kvm.message_count, 1);
	run->exit_reason = KVM_EXIT_IOAPIC_EOI;
	run->eoi.vector = 0x45; /* of another one */
	ck_assert(exit_dispatch(cpu));
	ck_assert_uint_eq(fake_kvm.message_count, 1);
	run->eoi.vector = 0x44;
	ck_assert(exit_dispatch(cpu));
	ck_assert_uint_eq(fake_kvm.message_count, 2);
	in(0x3fa); /* IIR: taken */
	ck_assert(exit_dispatch(cpu));
	ck_assert_uint_eq(fake_kvm.message_count, 2);
}
END_TEST

/* ---- The PICs' interrupt --------------------------------------------------------------------- */

/* At vectors 0x20 and 0x28, all lines but `mask` open. */
static void init_pics(uint8_t mask)
{
	static const struct {
		uint16_t port;
		uint8_t value;
	} words[] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
	             {0x21, 4},    {0xa1, 2},    {0x21, 1},    {0xa1, 1}};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		out(words[i].port, words[i].value);
	out(0x21, mask);
	out(0xa1, 0xff);
}

static void serve(unsigned number)
{
	observers_served(machine->observers, &machine->cpus[number], 0);
}

START_TEST(the_pics_interrupt_waits_for_cpu_0)
{
	init_pics(0xef);
	serve(0);
	ck_assert_uint_eq(run->request_interrupt_window, 0);
	ck_assert_uint_eq(fake_kvm_count(KVM_INTERRUPT), 0);

	raise_serial();
	ck_assert_uint_eq(run->immediate_exit, 1);
	machine->cpus[1].vcpu.run->ready_for_interrupt_injection = 1;
	serve(1); /* is nothing to CPU 1, which can take one */
	ck_assert_uint_eq(fake_kvm_count(KVM_INTERRUPT), 0);
	run->ready_for_interrupt_injection = 0;
	serve(0);
	ck_assert_uint_eq(fake_kvm_count(KVM_INTERRUPT), 0);
	ck_assert_uint_eq(run->request_interrupt_window, 1);
	ck_assert_uint_eq(run->immediate_exit, 0);

	run->ready_for_interrupt_injection = 1;
	serve(0);
	ck_assert_uint_eq(fake_kvm_count(KVM_INTERRUPT), 1);
	ck_assert_uint_eq(fake_kvm.vcpus[0].interrupt, 0x24);
	ck_assert_uint_eq(run->request_interrupt_window, 0);
	serve(0); /* in service: no other comes before its EOI */
	ck_assert_uint_eq(fake_kvm_count(KVM_INTERRUPT), 1);
}
END_TEST

START_TEST(an_interrupt_that_goes_away)
{
	init_pics(0xef);
	raise_serial();
	out(0x3f9, 0);
	run->ready_for_interrupt_injection = 1;
	serve(0);
	ck_assert_uint_eq(fake_kvm_count(KVM_INTERRUPT), 0);
	ck_assert_uint_eq(run->request_interrupt_window, 0);
}
END_TEST

/* The next one is due as soon as the first is taken: the window is asked for. */
START_TEST(two_interrupts)
{
	init_pics(0xed);
	raise_serial();
	run->ready_for_interrupt_injection = 1;
	serve(0);
	ck_assert_uint_eq(fake_kvm.vcpus[0].interrupt, 0x24);
	raise_keyboard(); /* of higher priority */
	run->ready_for_interrupt_injection = 0;
	serve(0);
	ck_assert_uint_eq(run->request_interrupt_window, 1);
	run->ready_for_interrupt_injection = 1;
	serve(0);
	ck_assert_uint_eq(fake_kvm.vcpus[0].interrupt, 0x21);
}
END_TEST

START_TEST(kvm_refuses_the_interrupt)
{
	init_pics(0xef);
	raise_serial();
	run->ready_for_interrupt_injection = 1;
	fake_kvm.fails = KVM_INTERRUPT;
	fake_kvm.error = EINVAL;
	serve(0);
	ck_assert_int_eq(machine->outcome.reason, END_VMM_FAILED);
}
END_TEST

/* What makes KVM_RUN return stays if somebody else wants it, too. */
START_TEST(immediate_exit_is_taken_back)
{
	static volatile sig_atomic_t attention;

	machine->attention = &attention;
	run->immediate_exit = 1;
	serve(1);
	ck_assert_uint_eq(run->immediate_exit, 1);
	serve(0);
	ck_assert_uint_eq(run->immediate_exit, 0);
	run->immediate_exit = 1;
	cpu->mark_due = true;
	serve(0);
	ck_assert_uint_eq(run->immediate_exit, 1);
	cpu->mark_due = false;
	attention = 1;
	serve(0);
	ck_assert_uint_eq(run->immediate_exit, 1);
	attention = 0;
	serve(0);
	ck_assert_uint_eq(run->immediate_exit, 0);
}
END_TEST

START_TEST(immediate_exit_stays_for_who_wants_to_stop)
{
	signal(SIGTERM, SIG_DFL);
	stop_begin();
	ck_assert(stop_install(run, 0));
	raise(SIGTERM);
	ck_assert_uint_eq(run->immediate_exit, 1);
	serve(0);
	ck_assert_uint_eq(run->immediate_exit, 1);
}
END_TEST

/* ---- Ends ------------------------------------------------------------------------------------ */

static void say(const char *words)
{
	for (; *words; words++)
		out(0x3f8, (uint8_t)*words);
}

START_TEST(power_off)
{
	ck_assert(access_out(BUS_PORTS, 0x604, 2, PC_SLEEP_OFF << 10));
	ck_assert(!access_out(BUS_PORTS, 0x604, 2, PC_SLEEP_OFF << 10 | 1 << 13));
	ck_assert_int_eq(machine->outcome.reason, END_EXITED);
	ck_assert_int_eq(outcome_status(&machine->outcome), 0);
}
END_TEST

static bool reset_register(void)
{
	return out(PC_RESET, PC_RESET_VALUE);
}

static bool reset_keyboard(void)
{
	return out(0x64, 0xfe);
}

static bool (*const resets[])(void) = {reset_register, reset_keyboard};

START_TEST(a_reset)
{
	ck_assert(!resets[_i]());
	ck_assert_int_eq(machine->outcome.reason, END_EXITED);
	ck_assert_int_eq(outcome_status(&machine->outcome), 0);
}
END_TEST

START_TEST(a_reset_after_a_panic)
{
	const struct panic *panic = &machine->panic;

	say("[    1.0] Kernel panic - not syncing: no init\r\n[    1.1] Rebooting\r\n");
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	ck_assert(!resets[_i]());
	ck_assert_int_eq(machine->outcome.reason, END_PANIC);
	ck_assert_int_eq(outcome_status(&machine->outcome), STATUS_GUEST_DIED);
	ck_assert_uint_eq(panic->message_size, 66);
	ck_assert_mem_eq(panic->message, "[    1.0] Kernel panic - not syncing: no init\n", 46);
}
END_TEST

START_TEST(the_last_word_of_a_panic_ends_the_run)
{
	say("---[ end Kernel panic - not syncing: none was ]---\r"); /* no line yet */
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	ck_assert(!out(0x3f8, '\n'));
	ck_assert_int_eq(machine->outcome.reason, END_PANIC);
}
END_TEST

/* "end Kernel panic" without a panic is a user's text. */
START_TEST(words_that_are_no_panic)
{
	say("grep 'end Kernel panic' log\nKernel panic: who?\nnot syncing\n");
	ck_assert(out(0x3f8, '\n'));
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
	say("Kernel panic - "); /* two lines are not one */
	say("\nnot syncing\n");
	ck_assert(!reset_register());
	ck_assert_int_eq(machine->outcome.reason, END_EXITED);
}
END_TEST

/* The last of it; a line without an end does no harm. */
START_TEST(a_long_panic)
{
	const struct panic *panic = &machine->panic;

	say("Kernel panic - not syncing\n");
	for (unsigned i = 0; i < 3 * PC_TAIL; i++)
		out(0x3f8, 'a' + i % 26);
	ck_assert(!reset_register());
	ck_assert_int_eq(machine->outcome.reason, END_PANIC);
	ck_assert_uint_eq(panic->message_size, PC_TAIL);
	for (unsigned i = 0; i < PC_TAIL; i++)
		ck_assert_int_eq(panic->message[i], 'a' + (char)((2 * PC_TAIL + i) % 26));
}
END_TEST

/* ---- Nobody can go on ------------------------------------------------------------------------ */

/* What CPU n is found doing when the thread has called it back. */
static void is_found(unsigned number, uint32_t mp_state, bool interrupts_on)
{
	struct kvm_run *of = machine->cpus[number].vcpu.run;

	fake_kvm.vcpus[number].mp_state.mp_state = mp_state;
	of->exit_reason = KVM_EXIT_INTR;
	of->if_flag = interrupts_on;
	serve(number);
}

START_TEST(all_cpus_have_halted_for_ever)
{
	machine->boot.cpus = 2;
	for (unsigned round = 1; round <= 3; round++) {
		ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
		pc->host.round = round;
		is_found(0, KVM_MP_STATE_HALTED, false);
		is_found(0, KVM_MP_STATE_HALTED, false); /* twice is not both */
		ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
		is_found(1, KVM_MP_STATE_UNINITIALIZED, false); /* never started */
	}
	ck_assert_int_eq(machine->outcome.reason, END_HALTED);
	ck_assert_uint_eq(run->immediate_exit, 1);
}
END_TEST

/* One that runs, or waits for an interrupt, begins the count anew. */
START_TEST(one_cpu_can_go_on)
{
	machine->boot.cpus = 2;
	for (unsigned round = 1; round <= 12; round++) {
		pc->host.round = round;
		is_found(0, KVM_MP_STATE_HALTED, false);
		if (round % 3)
			is_found(1, KVM_MP_STATE_HALTED, false);
		else
			is_found(1, _i ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_HALTED, !_i);
	}
	ck_assert_int_eq(machine->outcome.reason, END_RUNNING);
}
END_TEST

START_TEST(debug_exit)
{
	static const struct {
		uint32_t value;
		unsigned size;
		enum end_reason reason;
		int status;
	} values[] = {{0, 1, END_EXITED, 0},
	              {1, 1, END_EXITED, 1},
	              {STATUS_GUEST_MAX, 4, END_EXITED, STATUS_GUEST_MAX},
	              {STATUS_GUEST_MAX + 1, 1, END_BAD_STATUS, STATUS_GUEST_DIED},
	              {255, 1, END_BAD_STATUS, STATUS_GUEST_DIED},
	              {256, 4, END_BAD_STATUS, STATUS_GUEST_DIED}};

	ck_assert(!access_out(BUS_PORTS, 0xf4, values[_i].size, values[_i].value));
	ck_assert_int_eq(machine->outcome.reason, values[_i].reason);
	ck_assert_uint_eq(machine->outcome.guest_status, values[_i].value);
	ck_assert_int_eq(outcome_status(&machine->outcome), values[_i].status);
}
END_TEST

/* ---- The bus --------------------------------------------------------------------------------- */

/* All of it but the host's side; and KVM has the routes again. */
START_TEST(devices_come_back)
{
	struct snapshot *snapshot;

	out(0x21, 0xab); /* the first PIC's mask */
	out(0x3ff, 0x5a);
	set_entry(4, 0x30);
	fake_kvm.vcpus[0].mp_state.mp_state = KVM_MP_STATE_RUNNABLE;
	snapshot = snapshot_take(machine);
	ck_assert_ptr_nonnull(snapshot);
	out(0x21, 0xff);
	out(0x3ff, 0);
	set_entry(4, 0x77);
	pc->over = true;
	pc->host.said = 5;
	ck_assert(snapshot_restore(snapshot));
	ck_assert_uint_eq(in(0x21), 0xab);
	ck_assert_uint_eq(in(0x3ff), 0x5a);
	ck_assert_uint_eq(fake_kvm.routes[fake_kvm.route_count - 1].u.msi.data & 0xff, 0x30);
	ck_assert(!pc->over);
	ck_assert_uint_eq(pc->host.said, 5);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(every_device_is_there)
{
	static const uint16_t ports[] = {0x20,  0x21,  0x40,  0x43,  0x60,  0x61,   0x64,  0x70,
	                                 0x71,  0xa0,  0xa1,  0xb2,  0xb3,  0xe0,   0xe3,  0xe8,
	                                 0xe9,  0xf4,  0x3d4, 0x3d5, 0x3f8, 0x3ff,  0x4d0, 0x4d1,
	                                 0x510, 0x511, 0x600, 0x60b, 0xcf9, 0x2000, 0x2017};

	for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		ck_assert_msg(bus_find(&machine->bus, BUS_PORTS, ports[i]), "0x%x", ports[i]);
	ck_assert_ptr_null(bus_find(&machine->bus, BUS_PORTS, 0xcf8)); /* no PCI */
	ck_assert_ptr_nonnull(bus_find(&machine->bus, BUS_MEMORY, PC_IOAPIC + 0xfff));
	ck_assert_ptr_null(bus_find(&machine->bus, BUS_MEMORY, PC_IOAPIC + 0x1000));
	/* Some of what they are known by. */
	ck_assert_uint_eq(in(0xe9), 0xe9);
	ck_assert_uint_eq(in(0x3fd) & 0x60, 0x60);
	ck_assert(access_out(BUS_PORTS, 0x3d4, 2, 0x5a0f)); /* index and register at once */
	out(0x3d4, 0x0e);
	ck_assert_uint_eq(in(0x3d5), 0); /* the cursor's place, high ... */
	out(0x3d4, 0x0f);
	ck_assert_uint_eq(in(0x3d5), 0x5a); /* ... and low */
	out(0x3d4, 0xff);
	out(0x3d5, 1);
	ck_assert_uint_eq(in(0x3d5), 0xff); /* there is no such register */
	out(0x70, 0x34);                    /* CMOS: RAM above 16 MiB; there are 4 MiB */
	ck_assert_uint_eq(in(0x71), 0);
	out(0x70, 0x31); /* ... and from 1 MiB on, in KiB */
	ck_assert_uint_eq(in(0x71), (LIVE_RAM - (1 << 20)) >> 18);
}
END_TEST

START_TEST(wide_accesses_are_one_to_each_port)
{
	access_out(BUS_PORTS, 0x3fe, 2, 0xa5 << 8); /* MSR is read only, SCR holds a byte */
	ck_assert_uint_eq(in(0x3ff), 0xa5);
	access_out(BUS_PORTS, 0x70, 2, 0x5a4e); /* index and data at once */
	out(0x70, 0x4e);
	ck_assert_uint_eq(in(0x71), 0x5a);
	/* What reaches beyond a device's last port is nobody's, and not its first one's. */
	out(0x3f8 + 1, 0);
	access_out(BUS_PORTS, 0x3ff, 2, 0x0f5a);
	ck_assert_uint_eq(in(0x3ff), 0x5a);
	ck_assert_uint_eq(in(0x3f9), 0);
	ck_assert_uint_eq(ports_in(0x3ff, 2), 0xff5a);
	/* A byte a port, of the clock too: its index reads as ones. */
	out(0x70, 0x0f);
	access_out(BUS_PORTS, 0x70, 2, 0x7b0f);
	ck_assert_uint_eq(ports_in(0x70, 2), 0x7bff);
}
END_TEST

/* Any access of any size, in any order. */
START_TEST(anything_at_all)
{
	uint64_t seed = 77 + (uint64_t)_i;

	for (unsigned i = 0; i < 30000; i++) {
		const struct device *device =
		    machine->bus.devices[random_next(&seed) % machine->bus.count];
		const uint64_t at =
		    device->first + random_next(&seed) % (device->last - device->first + 1);
		const unsigned size = 1U << random_next(&seed) % (device->bus == BUS_PORTS ? 3 : 4);
		const uint64_t value = random_next(&seed) >> (64 - 8 * size);

		if (random_next(&seed) & 1)
			device->write(cpu, at, size, value, device->ctx);
		else if (device->read)
			device->read(cpu, at, size, device->ctx);
		run->ready_for_interrupt_injection = random_next(&seed) & 1;
		serve(0);
		ck_assert(machine->outcome.reason == END_RUNNING || pc->over);
		machine->outcome.reason = END_RUNNING;
		pc->over = false;
		machine->console.used = 0;
	}
}
END_TEST

Suite *pc_suite(void)
{
	Suite *suite = suite_create("pc");
	TCase *tests = tcase_create("pc");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, lines_are_messages, 0, 4);
	tcase_add_test(tests, routes_are_told_and_kept);
	tcase_add_test(tests, routes_that_kvm_refuses_end_the_run);
	tcase_add_test(tests, a_message_that_is_lost);
	tcase_add_test(tests, an_eoi);
	tcase_add_test(tests, the_pics_interrupt_waits_for_cpu_0);
	tcase_add_test(tests, an_interrupt_that_goes_away);
	tcase_add_test(tests, two_interrupts);
	tcase_add_test(tests, kvm_refuses_the_interrupt);
	tcase_add_test(tests, immediate_exit_is_taken_back);
	tcase_add_test(tests, immediate_exit_stays_for_who_wants_to_stop);
	tcase_add_test(tests, power_off);
	tcase_add_loop_test(tests, a_reset, 0, 2);
	tcase_add_loop_test(tests, a_reset_after_a_panic, 0, 2);
	tcase_add_test(tests, the_last_word_of_a_panic_ends_the_run);
	tcase_add_test(tests, words_that_are_no_panic);
	tcase_add_test(tests, a_long_panic);
	tcase_add_test(tests, all_cpus_have_halted_for_ever);
	tcase_add_loop_test(tests, one_cpu_can_go_on, 0, 2);
	tcase_add_loop_test(tests, debug_exit, 0, 6);
	tcase_add_test(tests, devices_come_back);
	tcase_add_test(tests, every_device_is_there);
	tcase_add_test(tests, wide_accesses_are_one_to_each_port);
	tcase_add_loop_test(tests, anything_at_all, 0, 4);
	suite_add_tcase(suite, tests);
	return suite;
}
