/* Where a PC's fixed things are: ports, lines and guest-physical addresses that both its ACPI
 * tables and its devices must agree on. */
#ifndef VMM_BASE_PC_H
#define VMM_BASE_PC_H

#include <stdint.h>

enum {
	PC_PM_EVENT = 0x600,   /* ACPI PM1a event block: 4 ports */
	PC_PM_CONTROL = 0x604, /* PM1a control block: 2 */
	PC_PM_TIMER = 0x608,   /* 4 */
	PC_SMI = 0xb2,         /* SMI command */
	PC_ACPI_ON = 0xe1,     /* ... to switch ACPI on */
	PC_RESET = 0xcf9,      /* reset register ... */
	PC_RESET_VALUE = 0x06, /* ... and what resets */
	PC_SLEEP_OFF = 5,      /* SLP_TYP of soft-off */
	PC_IRQ_TIMER = 0,      /* ISA interrupt lines: the PIT ... */
	PC_GSI_TIMER = 2,      /* ... whose pin of the I/O APIC is another one */
	PC_IRQ_KEYBOARD = 1,
	PC_IRQ_SERIAL = 4,
	PC_IRQ_SCI = 9,
	PC_ACPI = 0xe0000, /* RSDP and tables, in a BIOS' area, where kernels look for it ... */
	PC_ACPI_END = 0x100000, /* ... up to here */
	PC_MP = 0xf0000,        /* the MP table, in the same area, where it is looked for */
	PC_MP_SIZE = 0x1000,
	PC_IOAPIC_VERSION = 0x20, /* as its register and the MP table say */
	PC_LINES = 24,            /* of the I/O APIC; the first 16 are the PICs' */
};
#define PC_IOAPIC UINT64_C(0xfec00000)
#define PC_APIC   UINT64_C(0xfee00000)

#endif
