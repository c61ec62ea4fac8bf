/* Builds tables that look like 2^27 page tables and are three frames, for whoever goes through
 * them. */
#include "tests/guests/guest.h"

enum { ENTRIES = 512, SLOT = 300, TABLE = 7 /* present, writable, user */ };

static uint64_t *table_at(uint64_t frame)
{
	return (uint64_t *)(RS_DIRECT_BASE + frame);
}

void start(const struct rs_boot *boot)
{
	uint64_t frame = boot->free_start;

	table_at(boot->kernel_root)[SLOT] = frame | TABLE;
	for (unsigned level = 3; level > 1; level--, frame += PAGE_SIZE)
		for (unsigned i = 0; i < ENTRIES; i++)
			table_at(frame)[i] = (frame + PAGE_SIZE) | TABLE;
	end(0);
}
