/*
 * Ports that emulators have and PCs have not, by which kernels under test speak: Bochs' debug
 * console (0xe9), QEMU's isa-debug-exit (0xf4) and the pc-testdev of kvm-unit-tests.
 *
 * Of pc-testdev, 0xe4 takes a page's address and has the hypervisor drop its mapping, for an
 * instant, so that the next access comes by way of a fault in the second stage; kvm-unit-tests'
 * eventinj does so before it has events delivered through such pages.  Here nothing is dropped:
 * what these tests look at is the same, only the way to it is shorter.
 */
#ifndef VMM_DEVICES_DEBUG_PORTS_H
#define VMM_DEVICES_DEBUG_PORTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	DEBUG_PORT_SCRATCH = 0xe0, /* 4 bytes that read back; once more, byte by byte, at 0xe8 */
	DEBUG_PORT_FLUSH = 0xe4,
	DEBUG_PORT_SCRATCH_AGAIN = 0xe8,
	DEBUG_PORT_CONSOLE = 0xe9,
	DEBUG_PORT_EXIT = 0xf4, /* 4 ports, as QEMU is told to have for kvm-unit-tests */
	DEBUG_PORT_EXIT_COUNT = 4,
	DEBUG_PORT_LINES = 0x2000, /* one for each line */
	DEBUG_PORT_LINES_COUNT = 24,
};

struct debug_ports {
	void (*write)(void *ctx, uint8_t byte); /* of the console */
	/* The guest ends, with QEMU's status: value << 1 | 1, never 0; a shell sees 8 bits of it.
	 */
	void (*exit)(void *ctx, unsigned status);
	void (*line)(void *ctx, unsigned irq, bool level); /* irq: below DEBUG_PORT_LINES_COUNT */
	void *ctx;

	uint8_t scratch[4];
};

/* size: 1, 2 or 4 bytes.  Other ports take nothing and read as all ones. */
void debug_ports_write(struct debug_ports *ports, uint16_t port, unsigned size, uint32_t value);
uint32_t debug_ports_read(const struct debug_ports *ports, uint16_t port, unsigned size);

#endif
