/* Says something without a newline, then never ends and never leaves. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	(void)boot;
	print("spinning");
	for (;;)
		__asm__ volatile("");
}
