/* Writes to the boot page, which is read-only for ring 0 too (CR0.WP). */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	*(volatile uint64_t *)(uintptr_t)boot = 0;
	end(1);
}
