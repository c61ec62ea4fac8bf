/*
 * A PC's keyboard controller, Intel's 8042 in IBM's PS/2 (IBM PS/2 hardware interface technical
 * reference, "Keyboard and auxiliary device controller"), with nothing plugged in and no second
 * port: for those who ask whether it is there, and reset the machine through it.  Every question
 * is answered at once, so that nobody waits: what is sent to the keyboard comes back as the
 * controller's own 0xfe with the time-out bit.
 */
#ifndef VMM_DEVICES_I8042_H
#define VMM_DEVICES_I8042_H

#include <stdbool.h>
#include <stdint.h>

struct i8042 {
	void (*reset)(void *ctx); /* the processor's reset line is pulsed */
	/* The keyboard's interrupt (IRQ 1), when it changes: the output buffer is full, and the
	 * configuration allows it.  NULL: nobody listens. */
	void (*line)(void *ctx, bool level);
	void *ctx;

	uint8_t ram[32]; /* [0]: the configuration ("controller command byte") */
	uint8_t status;  /* as port 0x64 reads */
	uint8_t output;  /* the output buffer: as port 0x60 reads */
	uint8_t command; /* that waits for its byte at port 0x60; 0: none */
	bool level;      /* told last */
};

/* As firmware leaves it: tested, the keyboard enabled.  Keeps the callbacks, calls none. */
void i8042_init(struct i8042 *i8042);
/* port: 0x60 or 0x64; others take nothing and read as 0xff. */
void i8042_write(struct i8042 *i8042, uint16_t port, uint8_t value);
uint8_t i8042_read(struct i8042 *i8042, uint16_t port);

#endif
