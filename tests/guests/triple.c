/* An exception, and no IDT. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	(void)boot;
	__asm__ volatile("ud2");
	end(1);
}
