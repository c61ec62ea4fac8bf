/*
 * A guest that asks its processor, and so has to get all that KVM supports, not the basic table:
 * leaf 7 is there, and extended leaves beyond 80000008H or the brand below it.
 */
#include "tests/guests/guest.h"

static void cpuid(uint32_t leaf, uint32_t reg[4])
{
	__asm__ volatile("cpuid"
	                 : "=a"(reg[0]), "=b"(reg[1]), "=c"(reg[2]), "=d"(reg[3])
	                 : "a"(leaf), "c"(0));
}

void start(const struct rs_boot *boot)
{
	uint32_t reg[4];

	(void)boot;
	cpuid(0, reg);
	check(reg[0] >= 7, 1);
	cpuid(0x80000000, reg);
	check(reg[0] >= 0x80000008, 2);
	cpuid(0x80000001, reg);
	check(reg[3] >> 29 & 1, 3);
	end(0);
}
