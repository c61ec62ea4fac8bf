/* Prints through the console port and ends with 0. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	(void)boot;
	print("hello from ring 0\n");
	end(0);
}
