#include "vmm/run/pc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/base/clock.h"
#include "vmm/base/message.h"
#include "vmm/base/stop.h"

/* ---- Ends ---------------------------------------------------------------------------------- */

static void end(struct pc *pc, enum end_reason reason)
{
	pc->over = true;
	machine_end(pc->machine, reason);
}

/* The kernel has panicked: its last lines are what it says about it. */
static void end_panic(struct pc *pc)
{
	struct panic *panic = &pc->machine->panic;

	panic->message_size = pc_host_tail(&pc->host, panic->message, sizeof(panic->message));
	end(pc, END_PANIC);
}

static void switch_off(void *ctx)
{
	end(ctx, END_EXITED);
}

/* Nothing is started anew: what a user wants to see has happened.  After a panic it is its end. */
static void reset(void *ctx)
{
	struct pc *pc = ctx;

	if (pc->host.panicked)
		end_panic(pc);
	else
		end(pc, END_EXITED);
}

/* isa-debug-exit's status is the value twice and one: here it is the value. */
static void debug_exit(void *ctx, unsigned status)
{
	struct pc *pc = ctx;

	pc->machine->outcome.guest_status = status >> 1;
	end(pc, status >> 1 <= STATUS_GUEST_MAX ? END_EXITED : END_BAD_STATUS);
}

/* ---- Lines --------------------------------------------------------------------------------- */

static void set_line(struct pc *pc, unsigned irq, bool level)
{
	if (irq < 16)
		pic_line(&pc->pic, irq, level);
	ioapic_line(&pc->ioapic, irq == PC_IRQ_TIMER ? PC_GSI_TIMER : irq, level);
}

static void uart_line(void *ctx, bool level)
{
	set_line(ctx, PC_IRQ_SERIAL, level);
}

static void keyboard_line(void *ctx, bool level)
{
	set_line(ctx, PC_IRQ_KEYBOARD, level);
}

static void pit_line(void *ctx, bool level)
{
	set_line(ctx, PC_IRQ_TIMER, level);
}

static void sci_line(void *ctx, bool level)
{
	set_line(ctx, PC_IRQ_SCI, level);
}

static void test_line(void *ctx, unsigned irq, bool level)
{
	set_line(ctx, irq, level);
}

static void pic_output(void *ctx, bool level)
{
	(void)ctx;
	if (level)
		stop_interrupt(0);
}

static void message(void *ctx, uint64_t address, uint32_t data)
{
	const struct pc *pc = ctx;

	kvm_send_message(&pc->machine->kvm, address, data);
}

/* A line without a message keeps its old route: an interrupt of it may be in service, and its EOI
 * is still to be told. */
static void routes(void *ctx)
{
	struct pc *pc = ctx;
	struct kvm_route all[PC_LINES];
	unsigned count = 0;

	for (unsigned i = 0; i < PC_LINES; i++) {
		struct kvm_route *route = &pc->routes[i];

		route->line = i;
		if (ioapic_route(&pc->ioapic, i, &route->address, &route->data))
			pc->has_route[i] = true;
		if (pc->has_route[i])
			all[count++] = *route;
	}
	if (!kvm_set_routes(&pc->machine->kvm, all, count))
		end(pc, END_VMM_FAILED);
}

/* ---- The PICs' interrupt ------------------------------------------------------------------- */

/* Takes back what made KVM_RUN return, unless somebody else wants that as well. */
static void clear_interruption(struct cpu *cpu)
{
	if (!stop_requested() && !cpu->mark_due && !machine_is_called_back(cpu->machine))
		__atomic_store_n(&cpu->vcpu.run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

/* A CPU that was called back (pc_host.h's watch): whether it does nothing, and no interrupt can
 * wake it.  All of them in a few rounds in a row, so that none has been started or kicked by
 * another one in between: the run is over, as with a HLT where there are no local APICs. */
enum { DEAD_ROUNDS = 3 };

static void look_for_life(struct pc *pc, struct cpu *cpu)
{
	const uint32_t all = (1u << pc->machine->boot.cpus) - 1, bit = 1u << cpu->number;
	const bool called_back = cpu->vcpu.run->exit_reason == KVM_EXIT_INTR;

	if (pc->dead_round != pc->host.round) {
		pc->dead_round = pc->host.round;
		pc->dead = 0;
	}
	if (!called_back || !vcpu_waits(&cpu->vcpu) || cpu->vcpu.run->if_flag) {
		pc->dead_rounds = 0;
		return;
	}
	pc->dead |= bit;
	if (pc->dead != all)
		return;
	pc->dead = 0;
	if (++pc->dead_rounds == DEAD_ROUNDS) {
		end(pc, END_HALTED);
		stop_all();
	}
}

static void served(struct observer *observer, struct cpu *cpu, uint64_t entered)
{
	struct pc *pc = (struct pc *)observer;
	struct kvm_run *run = cpu->vcpu.run;

	(void)entered;
	clear_interruption(cpu);
	look_for_life(pc, cpu);
	if (cpu->number != 0)
		return;
	if (pic_has_interrupt(&pc->pic) && run->ready_for_interrupt_injection &&
	    !vcpu_interrupt(&cpu->vcpu, pic_acknowledge(&pc->pic)))
		end(pc, END_VMM_FAILED);
	run->request_interrupt_window = pic_has_interrupt(&pc->pic);
}

/* ---- Devices of bytes ---------------------------------------------------------------------- */

static void uart_out(struct pc *pc, uint16_t port, uint8_t value)
{
	uart_write(&pc->uart, port & 7, value);
	pc_host_accessed(&pc->host);
}

static uint8_t uart_in(struct pc *pc, uint16_t port)
{
	const uint8_t value = uart_read(&pc->uart, port & 7);

	pc_host_accessed(&pc->host);
	return value;
}

static void pic_out(struct pc *pc, uint16_t port, uint8_t value)
{
	pic_write(&pc->pic, port, value);
}

static uint8_t pic_in(struct pc *pc, uint16_t port)
{
	return pic_read(&pc->pic, port);
}

static void pit_out(struct pc *pc, uint16_t port, uint8_t value)
{
	const uint64_t due = pit_due(&pc->pit);

	pit_write(&pc->pit, port, value, clock_ns());
	if (pit_due(&pc->pit) != due)
		pc_host_wake(&pc->host);
}

static uint8_t pit_in(struct pc *pc, uint16_t port)
{
	return pit_read(&pc->pit, port, clock_ns());
}

static void rtc_out(struct pc *pc, uint16_t port, uint8_t value)
{
	rtc_write(&pc->rtc, port, value, (uint64_t)time(NULL));
}

static uint8_t rtc_in(struct pc *pc, uint16_t port)
{
	return rtc_read(&pc->rtc, port, (uint64_t)time(NULL));
}

static void i8042_out(struct pc *pc, uint16_t port, uint8_t value)
{
	i8042_write(&pc->i8042, port, value);
}

static uint8_t i8042_in(struct pc *pc, uint16_t port)
{
	return i8042_read(&pc->i8042, port);
}

static void crtc_out(struct pc *pc, uint16_t port, uint8_t value)
{
	crtc_write(&pc->crtc, port, value);
}

static uint8_t crtc_in(struct pc *pc, uint16_t port)
{
	return crtc_read(&pc->crtc, port);
}

static const struct pc_bytes_row {
	const char *name;
	uint16_t first, last;
	void (*write)(struct pc *pc, uint16_t port, uint8_t value);
	uint8_t (*read)(struct pc *pc, uint16_t port);
} bytes_rows[] = {
    {"serial port", 0x3f8, 0x3ff, uart_out, uart_in},
    {"first PIC", 0x20, 0x21, pic_out, pic_in},
    {"second PIC", 0xa0, 0xa1, pic_out, pic_in},
    {"edge and level control", 0x4d0, 0x4d1, pic_out, pic_in},
    {"PIT", 0x40, 0x43, pit_out, pit_in},
    {"speaker and refresh", 0x61, 0x61, pit_out, pit_in},
    {"clock and CMOS", 0x70, 0x71, rtc_out, rtc_in},
    {"keyboard's data", 0x60, 0x60, i8042_out, i8042_in},
    {"keyboard's command", 0x64, 0x64, i8042_out, i8042_in},
    {"text screen's registers", 0x3d4, 0x3d5, crtc_out, crtc_in},
};
_Static_assert(sizeof(bytes_rows) / sizeof(bytes_rows[0]) == PC_BYTES, "pc.h counts them");

/* How many of an access's bytes are the device's: a wide one is one to each port from the first,
 * and what reaches beyond its last is lost. */
static unsigned own_bytes(const struct pc_bytes_row *row, uint64_t at, unsigned size)
{
	return at + size - 1 > row->last ? (unsigned)(row->last - at) + 1 : size;
}

static bool bytes_out(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx)
{
	const struct pc_bytes *device = ctx;

	(void)cpu;
	size = own_bytes(device->row, at, size);
	for (unsigned i = 0; i < size; i++)
		device->row->write(device->pc, (uint16_t)(at + i), (uint8_t)(value >> 8 * i));
	return !device->pc->over;
}

/* Ones where nobody answers. */
static uint64_t bytes_in(struct cpu *cpu, uint64_t at, unsigned size, void *ctx)
{
	const struct pc_bytes *device = ctx;
	const unsigned own = own_bytes(device->row, at, size);
	uint64_t value = 0;

	(void)cpu;
	for (unsigned i = 0; i < size; i++) {
		const uint64_t byte =
		    i < own ? device->row->read(device->pc, (uint16_t)(at + i)) : 0xff;

		value |= byte << 8 * i;
	}
	return value;
}

/* ---- Devices of words ---------------------------------------------------------------------- */

static bool power_out(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	power_write(&pc->power, (uint16_t)at, size, (uint32_t)value, clock_ns());
	return !pc->over;
}

static uint64_t power_in(struct cpu *cpu, uint64_t at, unsigned size, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	return power_read(&pc->power, (uint16_t)at, size, clock_ns());
}

static bool fw_cfg_out(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	fw_cfg_write(&pc->fw_cfg, (uint16_t)at, size, (uint32_t)value);
	return !pc->over;
}

static uint64_t fw_cfg_in(struct cpu *cpu, uint64_t at, unsigned size, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	(void)size;
	return fw_cfg_read(&pc->fw_cfg, (uint16_t)at);
}

static bool debug_out(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	debug_ports_write(&pc->debug, (uint16_t)at, size, (uint32_t)value);
	return !pc->over;
}

static uint64_t debug_in(struct cpu *cpu, uint64_t at, unsigned size, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	return debug_ports_read(&pc->debug, (uint16_t)at, size);
}

/* Its registers are words of 32 bits; other widths are undefined (3.0), and narrow ones read as
 * part of the word. */
static bool ioapic_out(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	(void)size;
	ioapic_write(&pc->ioapic, at - PC_IOAPIC, (uint32_t)value);
	return !pc->over;
}

static uint64_t ioapic_in(struct cpu *cpu, uint64_t at, unsigned size, void *ctx)
{
	const struct pc *pc = ctx;

	(void)cpu;
	(void)size;
	return ioapic_read(&pc->ioapic, at - PC_IOAPIC);
}

static bool ioapic_end(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx)
{
	struct pc *pc = ctx;

	(void)cpu;
	(void)size;
	(void)value;
	ioapic_eoi(&pc->ioapic, (uint8_t)at);
	return !pc->over;
}

#define DEVICE(title, kind, from, to, device)                                                      \
	{                                                                                          \
		.name = (title), .bus = (kind), .first = (from), .last = (to),                     \
		.write = device##_out, .read = device##_in                                         \
	}
#define PORTS(title, from, to, device) DEVICE(title, BUS_PORTS, from, to, device)

static const struct device word_rows[] = {
    PORTS("power management", POWER_BLOCK, POWER_BLOCK + POWER_BLOCK_SIZE - 1, power),
    PORTS("reset", PC_RESET, PC_RESET, power),
    PORTS("SMI command", PC_SMI, PC_SMI + 1, power),
    PORTS("firmware configuration", 0x510, 0x511, fw_cfg),
    PORTS("test device", 0xe0, 0xe4, debug),
    PORTS("debug console", DEBUG_PORT_SCRATCH_AGAIN, DEBUG_PORT_CONSOLE, debug),
    PORTS("debug exit", 0xf4, 0xf4, debug),
    PORTS("test device's lines", 0x2000, 0x2000 + PC_LINES - 1, debug),
    DEVICE("I/O APIC", BUS_MEMORY, PC_IOAPIC, PC_IOAPIC + IOAPIC_SIZE - 1, ioapic),
    {.name = "I/O APIC's EOI", .bus = BUS_EOI, .first = 0, .last = 0xff, .write = ioapic_end},
};
_Static_assert(sizeof(word_rows) / sizeof(word_rows[0]) == PC_WORDS_ROWS, "pc.h counts them");

static bool add_devices(struct pc *pc)
{
	struct device *device = pc->devices;

	for (unsigned i = 0; i < PC_BYTES; i++) {
		const struct pc_bytes_row *row = &bytes_rows[i];

		pc->bytes[i] = (struct pc_bytes){pc, row};
		*device++ = (struct device){.name = row->name,
		                            .bus = BUS_PORTS,
		                            .first = row->first,
		                            .last = row->last,
		                            .write = bytes_out,
		                            .read = bytes_in,
		                            .ctx = &pc->bytes[i]};
	}
	for (unsigned i = 0; i < PC_WORDS_ROWS; i++) {
		*device = word_rows[i];
		device++->ctx = pc;
	}
	for (unsigned i = 0; i < PC_BYTES + PC_WORDS_ROWS; i++) {
		if (!bus_add(&pc->machine->bus, &pc->devices[i]))
			return false;
	}
	return true;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static void transmit(void *ctx, uint8_t byte)
{
	struct pc *pc = ctx;

	if (pc_host_say(&pc->host, byte))
		end_panic(pc);
	else if (pc->machine->console.failed)
		end(pc, END_VMM_FAILED);
}

static void connect(struct pc *pc)
{
	const struct memory *memory = &pc->machine->memory;

	/* xv6 waits for interrupts without OUT2, and most emulators give them. */
	pc->uart =
	    (struct uart){.transmit = transmit, .line = uart_line, .ctx = pc, .out2_ignored = true};
	pc->pic = (struct pic){.output = pic_output, .ctx = pc};
	pc->pit = (struct pit){.line = pit_line, .ctx = pc};
	pc->ioapic = (struct ioapic){.message = message, .routes = routes, .ctx = pc};
	pc->i8042 = (struct i8042){.reset = reset, .line = keyboard_line, .ctx = pc};
	pc->power = (struct power){.off = switch_off, .reset = reset, .line = sci_line, .ctx = pc};
	pc->debug = (struct debug_ports){
	    .write = transmit, .exit = debug_exit, .line = test_line, .ctx = pc};
	uart_init(&pc->uart);
	pic_init(&pc->pic);
	pit_init(&pc->pit, clock_ns());
	ioapic_init(&pc->ioapic);
	i8042_init(&pc->i8042);
	crtc_init(&pc->crtc);
	power_init(&pc->power, clock_ns());
	rtc_init(&pc->rtc, memory->low_end, memory->high_end ? memory->high_end - RS_HIGH_RAM : 0);
	fw_cfg_init(&pc->fw_cfg, memory->size, pc->machine->boot.cpus);
	pc->observer = (struct observer){.served = served};
}

struct pc *pc_create(struct machine *machine)
{
	struct pc *pc = calloc(1, sizeof(*pc));

	if (!pc) {
		message_error("no memory for the devices: %s", strerror(errno));
		return NULL;
	}
	pc->machine = machine;
	pc->host =
	    (struct pc_host){.machine = machine, .uart = &pc->uart, .pit = &pc->pit, .wake = -1};
	connect(pc);
	if (!add_devices(pc)) {
		free(pc);
		return NULL;
	}
	machine_observe(machine, &pc->observer);
	return pc;
}

bool pc_begin(struct pc *pc)
{
	stop_add(0, pc->machine->cpus[0].vcpu.run, pthread_self());
	return pc_host_begin(&pc->host);
}

void pc_end(struct pc *pc)
{
	pc_host_end(&pc->host);
}

void pc_destroy(struct pc *pc)
{
	free(pc);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

void pc_save(const struct pc *pc, uint8_t to[PC_STATE])
{
	memcpy(to, (const uint8_t *)pc + offsetof(struct pc, uart), PC_STATE);
}

bool pc_restore(struct pc *pc, const uint8_t from[PC_STATE])
{
	memcpy((uint8_t *)pc + offsetof(struct pc, uart), from, PC_STATE);
	routes(pc);
	pc_host_wake(&pc->host);
	return pc->machine->outcome.reason == END_RUNNING;
}
