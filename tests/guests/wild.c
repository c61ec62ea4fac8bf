/* Jumps to where nothing is mapped. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	(void)boot;
	__asm__ volatile("jmp *%0" : : "r"(UINT64_C(0x123456789000)));
	end(1);
}
