/* Writes to the console for ever. */
#include "tests/guests/guest.h"

void start(const struct rs_boot *boot)
{
	volatile struct rs_call *page = call_page();

	(void)boot;
	for (unsigned i = 0; i < sizeof(page->data) / 8; i++)
		((volatile uint64_t *)page->data)[i] = 0x0a646f6f6c66202e; /* ". flood\n" */
	for (;;)
		call(RS_CALL_WRITE, 1, sizeof(page->data));
}
