/* Ends with a status of its own, as a byte. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	(void)boot;
	out8(RS_PORT_EXIT, 42);
	end(1);
}
