/*
 * A guest of one's own: no kernel, no library.  It starts in ring 0 with paging on, says hello
 * through a port, and ends with a status for the shell.
 */
#include "shared/abi.h"

static void out8(uint16_t port, char value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

void start(void);
void start(void)
{
	for (const char *s = "Hello from ring 0.\n"; *s; s++)
		out8(RS_PORT_PUTC, *s);
	out8(RS_PORT_EXIT, 7);
}
