/* Fetches from a guest-physical address outside RAM: KVM has nothing to execute there. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	const uint64_t gpa = HOLE;

	map_window(boot, &gpa, 1, 3);
	__asm__ volatile("jmp *%0" : : "r"(WINDOW));
	end(1);
}
