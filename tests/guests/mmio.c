/* Reads and writes guest-physical addresses outside RAM: all ones, and dropped. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	const uint64_t gpa = HOLE;
	volatile uint64_t *hole = (volatile uint64_t *)WINDOW;

	map_window(boot, &gpa, 1, 3);
	check(hole[0] == ~UINT64_C(0), 1);
	hole[0] = 0;
	check(hole[0] == ~UINT64_C(0), 2);
	check(*((volatile uint8_t *)hole + 3) == 0xff, 3);
	end(0);
}
