/* Prints the words of its command line, each in brackets. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	const char *word = boot->cmdline;

	for (uint32_t i = 0; i < boot->argc; i++) {
		print("[");
		print(word);
		print("]");
		while (*word++)
			;
	}
	print("\n");
	end(0);
}
