/* STAC and CLAC in ring 0: the processor's, or completed by the VMM, which then says so. */
#include "tests/guests/guest.h"

static uint64_t flags(void)
{
	uint64_t value;

	__asm__ volatile("pushf; pop %0" : "=r"(value));
	return value;
}

void start(const struct rs_boot *boot)
{
	__asm__ volatile("stac" : : : "cc");
	check((flags() & RFLAGS_AC) != 0, 1);
	__asm__ volatile("clac" : : : "cc");
	check((flags() & RFLAGS_AC) == 0, 2);
	print(boot->quirks & RS_QUIRK_NO_STAC ? "completed\n" : "native\n");
	end(0);
}
