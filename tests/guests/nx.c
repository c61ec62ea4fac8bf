/* Jumps into the direct map, which is no-execute. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	*(volatile uint8_t *)at(boot->free_start) = 0xf4; /* HLT: would end with status 0 */
	__asm__ volatile("jmp *%0" : : "r"(at(boot->free_start)));
	end(1);
}
