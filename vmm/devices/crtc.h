/*
 * The registers of a PC's text screen, Motorola's MC6845 as IBM's colour adapter has it: an index
 * at 0x3d4 and a register at 0x3d5, which holds what was written.  Nothing is shown: the screen's
 * memory at 0xb8000 is RAM.  It is there for kernels that ask it where the cursor is, and would
 * otherwise be told that it is beyond the screen.
 */
#ifndef VMM_DEVICES_CRTC_H
#define VMM_DEVICES_CRTC_H

#include <stdint.h>

enum { CRTC_REGISTERS = 18 };

struct crtc {
	uint8_t index;
	uint8_t registers[CRTC_REGISTERS];
};

/* All registers 0: the cursor is in the first place. */
void crtc_init(struct crtc *crtc);
/* port: 0x3d4 or 0x3d5; others take nothing and read as 0xff, and so do registers that there are
 * not. */
void crtc_write(struct crtc *crtc, uint16_t port, uint8_t value);
uint8_t crtc_read(const struct crtc *crtc, uint16_t port);

#endif
