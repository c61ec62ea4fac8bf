/*
 * Who answers at which port and at which guest-physical address outside RAM: the machine's devices,
 * in a list that is filled before the guest runs.
 *
 * A device of one's own is a file with one row, which whoever makes the machine adds:
 *
 *	static bool write(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx);
 *
 *	static const struct device engine_console = {
 *	    .name = "debug console", .bus = BUS_PORTS, .first = 0xe9, .last = 0xe9, .write = write};
 *
 *	bus_add(&machine->bus, &engine_console);
 *
 * All that a device is told comes from the guest, which may access any byte of it, with any size,
 * in any order.  It is called with the machine's lock held.
 */
#ifndef VMM_DEVICES_BUS_H
#define VMM_DEVICES_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;

struct device {
	const char *name; /* for messages */
	enum bus_kind { BUS_PORTS, BUS_MEMORY, BUS_EOI, BUS_KINDS } bus;
	uint64_t first,
	    last; /* ports to 0xffff, addresses, or vectors whose level-triggered interrupt a local
	           * APIC has ended; an access that begins here is its own */
	/* size: 1, 2, 4 bytes, from memory also 8; value: no more than these.  False: the run is
	 * over, or this CPU has halted (machine_end). */
	bool (*write)(struct cpu *cpu, uint64_t at, unsigned size, uint64_t value, void *ctx);
	/* NULL: reads give all ones, as where no device is. */
	uint64_t (*read)(struct cpu *cpu, uint64_t at, unsigned size, void *ctx);
	void *ctx;
};

enum { BUS_DEVICES = 24 };

struct bus {
	const struct device *devices[BUS_DEVICES];
	unsigned count;
	/* Found last on each bus: an exit's neighbours are like it.  All zero: nobody. */
	struct bus_window {
		uint64_t first, count;
		const struct device *device;
	} last[BUS_KINDS];
};

/* The device stays the caller's and lives as long as the bus.  False after a message: the bus is
 * full, or another one is there already. */
bool bus_add(struct bus *bus, const struct device *device);

/* NULL: nobody answers there. */
const struct device *bus_find(struct bus *bus, enum bus_kind kind, uint64_t at);

/* Whether who was found last on this bus, bus->last[kind].device, answers there too. */
static inline bool bus_is_near(const struct bus *bus, enum bus_kind kind, uint64_t at)
{
	const struct bus_window *last = &bus->last[kind];

	return __builtin_expect(at - last->first < last->count, 1);
}

#endif
