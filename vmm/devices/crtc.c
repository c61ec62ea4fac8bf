#include "vmm/devices/crtc.h"

enum { PORT_INDEX = 0x3d4, PORT_REGISTER = 0x3d5 };

void crtc_init(struct crtc *crtc)
{
	*crtc = (struct crtc){0};
}

void crtc_write(struct crtc *crtc, uint16_t port, uint8_t value)
{
	if (port == PORT_INDEX)
		crtc->index = value;
	else if (port == PORT_REGISTER && crtc->index < CRTC_REGISTERS)
		crtc->registers[crtc->index] = value;
}

uint8_t crtc_read(const struct crtc *crtc, uint16_t port)
{
	if (port == PORT_INDEX)
		return crtc->index;
	if (port == PORT_REGISTER && crtc->index < CRTC_REGISTERS)
		return crtc->registers[crtc->index];
	return 0xff;
}
