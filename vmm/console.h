/*
 * The guest's console: standard output, collected in a buffer of fixed size so that a byte written
 * does not cost a system call, and a guest that never stops writing is slowed down by whoever
 * reads instead of filling the VMM's memory.  Standard error goes out at once.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

struct console {
	bool terminal; /* standard output is one: each line goes out when it is complete */
	bool failed;   /* a write failed or was given up: what comes later is dropped */
	size_t used;
	char buffer[16384];
};

void console_init(struct console *console);
/* Bytes for file descriptor 1 or 2.  False after a message when they cannot go out; after a stop
 * request (vmm/stop.h) a reader has one second left to make room. */
bool console_write(struct console *console, int fd, const char *bytes, size_t count);
/* Everything collected goes out. */
bool console_flush(struct console *console);

#endif
