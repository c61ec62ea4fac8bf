/*
 * ACPI's fixed hardware (ACPI 6.5, 4.8.3) and the ports by which a PC is switched off and reset:
 * the PM1a blocks, the power-management timer, Intel's reset control register, and the SMI command
 * port, which does what firmware would do: switches ACPI mode on and off.
 */
#ifndef VMM_DEVICES_POWER_H
#define VMM_DEVICES_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/pc.h"

/* For the FADT. */
enum {
	POWER_PM1A_EVENT = PC_PM_EVENT, /* status and enable, 2 bytes each */
	POWER_PM1A_EVENT_SIZE = 4,
	POWER_PM1A_CONTROL = PC_PM_CONTROL,
	POWER_PM1A_CONTROL_SIZE = 2,
	POWER_TIMER = PC_PM_TIMER, /* 24 bits: TMR_VAL_EXT is clear */
	POWER_TIMER_SIZE = 4,
	POWER_BLOCK = PC_PM_EVENT, /* all of these, with what is between them and reads as 0 */
	POWER_BLOCK_SIZE = 12,
	POWER_RESET = PC_RESET, /* RESET_REG */
	POWER_RESET_VALUE = PC_RESET_VALUE,
	POWER_SMI_COMMAND = PC_SMI, /* SMI_CMD; 0xb3 beside it holds a byte */
	POWER_SMI_STATUS = PC_SMI + 1,
	POWER_ACPI_ENABLE = PC_ACPI_ON,
	POWER_ACPI_DISABLE = PC_ACPI_ON - 1,
	POWER_SLEEP_OFF = PC_SLEEP_OFF, /* SLP_TYP of \_S5 */
	POWER_TIMER_HZ = 3579545,
};

struct power {
	void (*off)(void *ctx);   /* SLP_EN with POWER_SLEEP_OFF */
	void (*reset)(void *ctx); /* the reset register's bit 2 */
	/* The SCI, when it changes; NULL: nobody listens. */
	void (*line)(void *ctx, bool level);
	void *ctx;

	uint16_t status, enable, control; /* the PM1a registers (4.8.3.1, 4.8.3.2) */
	uint8_t reset_control, smi[2];
	bool timer_msb; /* the timer's bit 23 when it was last looked at */
	bool level;     /* told last */
};

/* In legacy mode: SCI_EN is clear until POWER_ACPI_ENABLE.  Keeps the callbacks, calls none. */
void power_init(struct power *power, uint64_t now_ns);
/* Ports POWER_BLOCK to its end, POWER_RESET, POWER_SMI_COMMAND and POWER_SMI_STATUS; others take
 * nothing and read as all ones.  size: 1, 2 or 4 bytes, of which those in the block, or the first
 * one, count.  now_ns: CLOCK_MONOTONIC; it may be the same again, not less. */
void power_write(struct power *power, uint16_t port, unsigned size, uint32_t value,
                 uint64_t now_ns);
uint32_t power_read(struct power *power, uint16_t port, unsigned size, uint64_t now_ns);
/* The power button is pressed: an operating system that has enabled it gets an SCI, and decides.
 * False: none has, nobody will do anything. */
bool power_button(struct power *power);

#endif
