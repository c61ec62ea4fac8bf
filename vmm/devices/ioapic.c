#include "vmm/devices/ioapic.h"

#include "vmm/base/pc.h"

/* Offsets in its page (3.1; the EOI register: Intel's ICH manuals), and what IOREGSEL selects. */
enum { IOREGSEL = 0, IOWIN = 0x10, EOI = 0x40 };
enum { IOAPICID = 0, IOAPICVER = 1, IOAPICARB = 2, IOREDTBL = 0x10 };
enum { ID_SHIFT = 24, LAST_PIN_SHIFT = 16 };

/* A redirection entry (3.2.4). */
#define ENTRY_VECTOR      UINT64_C(0xff)
#define ENTRY_MODE        UINT64_C(0x700)
#define ENTRY_LOGICAL     (UINT64_C(1) << 11)
#define ENTRY_SENDING     (UINT64_C(1) << 12) /* never: a message takes no time */
#define ENTRY_ACTIVE_LOW  (UINT64_C(1) << 13)
#define ENTRY_REMOTE_IRR  (UINT64_C(1) << 14)
#define ENTRY_LEVEL       (UINT64_C(1) << 15)
#define ENTRY_MASKED      (UINT64_C(1) << 16)
#define ENTRY_DESTINATION (UINT64_C(0xff) << 56)
#define ENTRY_DEST_SHIFT  56
#define ENTRY_MODE_SHIFT  8
#define ENTRY_MAY_BE_SET                                                                           \
	(ENTRY_VECTOR | ENTRY_MODE | ENTRY_LOGICAL | ENTRY_ACTIVE_LOW | ENTRY_LEVEL |              \
	 ENTRY_MASKED | ENTRY_DESTINATION)

enum { FIXED, LOWEST_PRIORITY, SMI, NMI = 4, INIT, EXTINT = 7 };

/* An MSI (SDM volume 3, 11.11). */
#define MSI_ADDRESS    UINT64_C(0xfee00000)
#define MSI_DEST_SHIFT 12
#define MSI_LOGICAL    4
#define MSI_ASSERT     0x4000
#define MSI_LEVEL      0x8000

static unsigned mode(uint64_t entry)
{
	return (unsigned)((entry & ENTRY_MODE) >> ENTRY_MODE_SHIFT);
}

/* The others are edges whatever the entry says (3.2.4). */
static bool is_level(uint64_t entry)
{
	return entry & ENTRY_LEVEL && mode(entry) <= LOWEST_PRIORITY;
}

static bool asserted(const struct ioapic *ioapic, unsigned pin)
{
	return (ioapic->lines >> pin & 1) != !!(ioapic->entry[pin] & ENTRY_ACTIVE_LOW);
}

bool ioapic_route(const struct ioapic *ioapic, unsigned pin, uint64_t *address, uint32_t *data)
{
	uint64_t entry;

	if (pin >= IOAPIC_PINS || ioapic->entry[pin] & ENTRY_MASKED)
		return false;
	entry = ioapic->entry[pin];
	switch (mode(entry)) {
	case FIXED:
	case LOWEST_PRIORITY:
		if ((entry & ENTRY_VECTOR) < 16)
			return false;
		break;
	case SMI:
	case NMI:
	case INIT:
		break;
	default:
		return false;
	}
	*address = MSI_ADDRESS | (entry >> ENTRY_DEST_SHIFT) << MSI_DEST_SHIFT |
	           (entry & ENTRY_LOGICAL ? MSI_LOGICAL : 0);
	*data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_MODE)) |
	        (is_level(entry) ? MSI_LEVEL | MSI_ASSERT : 0);
	return true;
}

static void deliver(struct ioapic *ioapic, unsigned pin)
{
	uint64_t address;
	uint32_t data;

	if (!ioapic_route(ioapic, pin, &address, &data))
		return;
	if (is_level(ioapic->entry[pin]))
		ioapic->entry[pin] |= ENTRY_REMOTE_IRR;
	ioapic->message(ioapic->ctx, address, data);
}

/* A level that nobody serves yet. */
static void deliver_level(struct ioapic *ioapic, unsigned pin)
{
	if (is_level(ioapic->entry[pin]) && !(ioapic->entry[pin] & ENTRY_REMOTE_IRR) &&
	    asserted(ioapic, pin))
		deliver(ioapic, pin);
}

void ioapic_line(struct ioapic *ioapic, unsigned pin, bool level)
{
	bool before;

	if (pin >= IOAPIC_PINS)
		return;
	before = asserted(ioapic, pin);
	ioapic->lines = (ioapic->lines & ~(1U << pin)) | (uint32_t)level << pin;
	if (is_level(ioapic->entry[pin]))
		deliver_level(ioapic, pin);
	else if (!before && asserted(ioapic, pin))
		deliver(ioapic, pin);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = ioapic->entry[pin];

		if (!(entry & ENTRY_REMOTE_IRR) || (entry & ENTRY_VECTOR) != vector)
			continue;
		ioapic->entry[pin] &= ~ENTRY_REMOTE_IRR;
		deliver_level(ioapic, pin);
	}
}

void ioapic_init(struct ioapic *ioapic)
{
	*ioapic = (struct ioapic){
	    .message = ioapic->message,
	    .routes = ioapic->routes,
	    .ctx = ioapic->ctx,
	    .lines = 0xff0000,
	};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
}

static void write_entry(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value)
{
	uint64_t before = ioapic->entry[pin], after;

	after = high ? (before & UINT32_MAX) | (uint64_t)value << 32
	             : (before & ~(uint64_t)UINT32_MAX) | value;
	after = (after & ENTRY_MAY_BE_SET) | (before & ENTRY_REMOTE_IRR);
	/* For a level only: what drivers of older ones do to end a service is to pass by an edge.
	 */
	if (!is_level(after))
		after &= ~ENTRY_REMOTE_IRR;
	ioapic->entry[pin] = after;
	if ((before ^ after) & ENTRY_MAY_BE_SET && ioapic->routes)
		ioapic->routes(ioapic->ctx);
	deliver_level(ioapic, pin);
}

void ioapic_write(struct ioapic *ioapic, uint64_t offset, uint32_t value)
{
	unsigned reg = ioapic->select;

	if (offset == IOREGSEL)
		ioapic->select = (uint8_t)value;
	else if (offset == EOI)
		ioapic_eoi(ioapic, (uint8_t)value);
	else if (offset != IOWIN)
		return;
	else if (reg == IOAPICID)
		ioapic->id = value >> ID_SHIFT & 0xf;
	else if (reg >= IOREDTBL && reg < IOREDTBL + 2 * IOAPIC_PINS)
		write_entry(ioapic, (reg - IOREDTBL) / 2, reg % 2, value);
}

uint32_t ioapic_read(const struct ioapic *ioapic, uint64_t offset)
{
	unsigned reg = ioapic->select;

	if (offset == IOREGSEL)
		return reg;
	if (offset != IOWIN)
		return 0;
	if (reg == IOAPICID || reg == IOAPICARB)
		return (uint32_t)ioapic->id << ID_SHIFT;
	if (reg == IOAPICVER)
		return (IOAPIC_PINS - 1) << LAST_PIN_SHIFT | PC_IOAPIC_VERSION;
	if (reg >= IOREDTBL && reg < IOREDTBL + 2 * IOAPIC_PINS)
		return (uint32_t)(ioapic->entry[(reg - IOREDTBL) / 2] >> (reg % 2 ? 32 : 0));
	return 0;
}
