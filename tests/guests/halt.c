/* Halts at once. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	(void)boot;
	__asm__ volatile("hlt");
	end(1);
}
