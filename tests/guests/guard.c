/* Lets the boot stack run over: its guard page must stop it. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	(void)boot;
	for (;;)
		__asm__ volatile("push $0" : : : "memory");
}
