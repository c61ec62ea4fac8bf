/*
 * An I/O APIC: Intel's 82093AA with 24 pins, and the EOI register of its successors (version 0x20),
 * which KVM's split irqchip leaves to the VMM.  What it would say on the APIC bus comes out as MSIs
 * (SDM volume 3, 11.11, "Message Signalled Interrupts").
 *
 * Pins are wires: `level` is high or low, and an entry's polarity says which of them asserts.  Pins
 * 16 to 23, where a board has PCI's lines, are high until somebody pulls them low.
 */
#ifndef VMM_DEVICES_IOAPIC_H
#define VMM_DEVICES_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

enum { IOAPIC_PINS = 24 };
enum { IOAPIC_SIZE = 0x1000 };

struct ioapic {
	/* An interrupt: at most one for a call of ioapic_line(), one for a pin in the others. */
	void (*message)(void *ctx, uint64_t address, uint32_t data);
	/* Some ioapic_route() has changed; told before a message that follows from the change.
	 * NULL: nobody wants to know. */
	void (*routes)(void *ctx);
	void *ctx;

	uint8_t select;              /* IOREGSEL */
	uint8_t id;                  /* 4 bits */
	uint32_t lines;              /* a bit for each pin: high */
	uint64_t entry[IOAPIC_PINS]; /* the redirection table, its remote IRR bits as well */
};

/* As after a reset (3.2): all entries masked.  Keeps the callbacks, calls none. */
void ioapic_init(struct ioapic *ioapic);
/* offset: in its page: IOREGSEL 0, IOWIN 0x10, EOI 0x40; others read as 0 and take nothing. */
void ioapic_write(struct ioapic *ioapic, uint64_t offset, uint32_t value);
uint32_t ioapic_read(const struct ioapic *ioapic, uint64_t offset);
/* pin: below IOAPIC_PINS; others are not connected. */
void ioapic_line(struct ioapic *ioapic, unsigned pin, bool level);
/* A local APIC has ended the service of a level-triggered interrupt: pins with that vector that
 * still are asserted come again. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

/* The MSI that a pin is routed to.  False, and nothing is written: it sends none, being masked, of
 * a reserved delivery mode, ExtINT (the caller's PIC answers), or of a vector below 16, which no
 * local APIC takes (SDM volume 3, 11.5.2).  For KVM's table, which also says whose EOIs are told:
 * keep a pin's old route while it has none, for an interrupt may still be in service. */
bool ioapic_route(const struct ioapic *ioapic, unsigned pin, uint64_t *address, uint32_t *data);

#endif
