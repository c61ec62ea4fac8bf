/* A table whose entries all lead to itself, at each level: 2^35 pages in one frame, each of which a
 * KVM_TRANSLATE can be asked about. */
#include "tests/guests/guest.h"

enum { ENTRIES = 512, SLOTS = 255, TABLE = 7 /* present, writable, user */ };

void start(const struct rs_boot *boot)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		at(boot->free_start)[i] = boot->free_start | TABLE;
	/* Slot 0 is where we run. */
	for (unsigned i = 1; i < SLOTS; i++)
		at(boot->kernel_root)[i] = boot->free_start | TABLE;
	end(0);
}
