#include "vmm/run/exits.h"

#include <string.h>

#include "vmm/devices/bus.h"
#include "vmm/run/quirks.h"

/* For the last exits in a report: what was accessed, and what was written. */
static void record(struct cpu *cpu, unsigned size, bool write, uint64_t address, uint64_t value)
{
	struct exit_record *exit = exit_ring_next(&cpu->stats.ring);

	exit->reason = cpu->vcpu.run->exit_reason;
	exit->size = (uint8_t)size;
	exit->write = write;
	exit->address = address;
	exit->value = value;
	exit->time = cpu->stats.last;
}

/* The device found last is another one, or nobody answers. */
static __attribute__((noinline)) bool write_elsewhere(struct cpu *cpu, uint16_t port, unsigned size,
                                                      uint32_t value)
{
	const struct device *device = bus_find(&cpu->machine->bus, BUS_PORTS, port);

	if (device)
		return device->write(cpu, port, size, value, device->ctx);
	cpu->stats.unknown_io++;
	return true;
}

/* Part of exit_io, which nearly every exit is, and of write_string.  Both calls come last, so that
 * nothing is to be kept for what comes behind them. */
static inline __attribute__((always_inline)) bool write_port(struct cpu *cpu, uint16_t port,
                                                             unsigned size, uint32_t value)
{
	const struct bus *bus = &cpu->machine->bus;

	record(cpu, size, true, port, value);
	if (bus_is_near(bus, BUS_PORTS, port)) {
		const struct device *device = bus->last[BUS_PORTS].device;

		return device->write(cpu, port, size, value, device->ctx);
	}
	return write_elsewhere(cpu, port, size, value);
}

/* All ones where nothing answers, as from a bus without a device. */
static __attribute__((noinline)) bool read_port(struct cpu *cpu)
{
	struct kvm_run *run = cpu->vcpu.run;
	const struct device *device = bus_find(&cpu->machine->bus, BUS_PORTS, run->io.port);
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint64_t value = UINT64_MAX;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (device && device->read)
			value = device->read(cpu, run->io.port, run->io.size, device->ctx);
		memcpy(data, &value, run->io.size);
	}
	if (!device || !device->read) {
		cpu->stats.unknown_io += run->io.count;
		value = 0; /* nothing was there */
	}
	record(cpu, run->io.size, false, run->io.port, value);
	return true;
}

/* String instructions may bring several elements with one exit. */
static __attribute__((noinline)) bool write_string(struct cpu *cpu)
{
	const struct kvm_run *run = cpu->vcpu.run;
	const uint8_t *data = (const uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		uint32_t value = 0;

		memcpy(&value, data, run->io.size);
		if (!write_port(cpu, run->io.port, run->io.size, value))
			return false;
	}
	return true;
}

/* 1, 2 or 4 bytes, little-endian, at the beginning of a page. */
static bool exit_io(struct cpu *cpu)
{
	static const uint32_t masks[] = {[1] = 0xff, [2] = 0xffff, [4] = UINT32_MAX};
	const struct kvm_run *run = cpu->vcpu.run;
	const unsigned size = run->io.size;
	uint32_t value;

	if (run->io.direction == KVM_EXIT_IO_IN)
		return read_port(cpu);
	if (run->io.count != 1)
		return write_string(cpu);
	memcpy(&value, (const uint8_t *)run + run->io.data_offset, sizeof(value));
	return write_port(cpu, run->io.port, size, value & masks[size]);
}

/* A guest-physical address outside RAM: where nothing answers reads give all ones, and writes are
 * dropped. */
static bool exit_mmio(struct cpu *cpu)
{
	struct kvm_run *run = cpu->vcpu.run;
	const uint64_t at = run->mmio.phys_addr;
	const unsigned size = run->mmio.len;
	const struct device *device = bus_find(&cpu->machine->bus, BUS_MEMORY, at);
	uint64_t value = 0;

	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, sizeof(value));
		record(cpu, size, true, at, value);
		if (device)
			return device->write(cpu, at, size,
			                     size < 8 ? value & ((UINT64_C(1) << 8 * size) - 1)
			                              : value,
			                     device->ctx);
		cpu->stats.unknown_mmio++;
		return true;
	}
	memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	if (device && device->read) {
		value = device->read(cpu, at, size, device->ctx);
		memcpy(run->mmio.data, &value, sizeof(value));
	} else {
		cpu->stats.unknown_mmio++;
	}
	record(cpu, size, false, at, value);
	return true;
}

/* A local APIC has ended a level-triggered interrupt of the I/O APIC's. */
static bool exit_eoi(struct cpu *cpu)
{
	const uint8_t vector = cpu->vcpu.run->eoi.vector;
	const struct device *device = bus_find(&cpu->machine->bus, BUS_EOI, vector);

	record(cpu, 1, true, vector, 0);
	return !device || device->write(cpu, vector, 1, 0, device->ctx);
}

/* MSRs that KVM hands to us: the guest gets the #GP of an MSR that does not exist. */
static bool exit_msr(struct cpu *cpu, bool write)
{
	struct kvm_run *run = cpu->vcpu.run;

	record(cpu, 8, write, run->msr.index, write ? run->msr.data : 0);
	run->msr.error = 1;
	return true;
}

static bool exit_internal_error(struct cpu *cpu)
{
	record(cpu, 0, false, cpu->vcpu.run->internal.suberror, 0);
	return quirk_complete(cpu) || machine_end(cpu->machine, END_INTERNAL_ERROR);
}

static bool exit_end(struct cpu *cpu, uint64_t detail, enum end_reason reason)
{
	record(cpu, 0, false, detail, 0);
	return machine_end(cpu->machine, reason);
}

/* Nothing can wake this CPU: HLT is an exit only without an interrupt controller, and nobody
 * injects.  The run ends with the last one. */
static bool exit_hlt(struct cpu *cpu)
{
	const struct machine *machine = cpu->machine;

	cpu->halted = true;
	for (unsigned i = 0; i < machine->boot.cpus; i++) {
		if (machine->cpus[i].started && !machine->cpus[i].halted) {
			record(cpu, 0, false, 0, 0);
			return false;
		}
	}
	return exit_end(cpu, 0, END_HALTED);
}

static __attribute__((noinline)) bool exit_rare(struct cpu *cpu)
{
	struct kvm_run *run = cpu->vcpu.run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		return exit_mmio(cpu);
	case KVM_EXIT_IOAPIC_EOI:
		return exit_eoi(cpu);
	case KVM_EXIT_HLT:
		return exit_hlt(cpu);
	case KVM_EXIT_SHUTDOWN:
		return exit_end(cpu, 0, END_SHUTDOWN);
	case KVM_EXIT_INTERNAL_ERROR:
		return exit_internal_error(cpu);
	case KVM_EXIT_FAIL_ENTRY:
		return exit_end(cpu, run->fail_entry.hardware_entry_failure_reason, END_FAIL_ENTRY);
	case KVM_EXIT_X86_RDMSR:
		return exit_msr(cpu, false);
	case KVM_EXIT_X86_WRMSR:
		return exit_msr(cpu, true);
	case KVM_EXIT_INTR:            /* a signal, which stop_requested knows more about */
	case KVM_EXIT_NMI:             /* the host's own business */
	case KVM_EXIT_IRQ_WINDOW_OPEN: /* who waits for it is an observer */
	case KVM_EXIT_SET_TPR:         /* the guest lowered CR8: no interrupt is held back */
		record(cpu, 0, false, 0, 0);
		return true;
	case KVM_EXIT_DEBUG: /* comes only after KVM_SET_GUEST_DEBUG, which nobody did */
	default:             /* after a KVM_ENABLE_CAP, or on another architecture: the same */
		return exit_end(cpu, 0, END_UNEXPECTED_EXIT);
	}
}

/* Calls of others come last here and in what is called, so that an ordinary exit passes through
 * like one function. */
bool exit_dispatch(struct cpu *cpu)
{
	const uint32_t reason = cpu->vcpu.run->exit_reason;

	cpu->machine->outcome.exit_reason = reason;
	return reason == KVM_EXIT_IO ? exit_io(cpu) : exit_rare(cpu);
}
