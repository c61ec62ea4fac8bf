/*
 * The guest's console: standard input, and standard output, collected in a buffer of fixed size so
 * that a byte written does not cost a system call, and a guest that never stops writing is slowed
 * down by whoever reads instead of filling the VMM's memory.  Standard error goes out at once.
 * A terminal gets vmm/base/visible.h's form of it, a file or pipe every byte as it is.
 */
#ifndef VMM_DEVICES_CONSOLE_H
#define VMM_DEVICES_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console {
	bool terminal;   /* standard output is one: each line goes out when it is complete */
	bool visible[3]; /* by file descriptor: a terminal, which must not obey the guest */
	bool failed;     /* a write failed or was given up: what comes later is dropped */
	size_t used;
	char buffer[16384];
};

void console_init(struct console *console);
/* Bytes for file descriptor 1 or 2.  False after a message when they cannot go out (output.h). */
bool console_write(struct console *console, int fd, const char *bytes, size_t count);
/* Up to `count` bytes of standard input, as read(2) gives them: waits for the first one.  Bytes; 0
 * at the end, or for count 0; a negative errno value, -EINTR when a signal came and `given_up`,
 * which is asked with all signals blocked, says that nobody wants the bytes any more. */
int64_t console_read(char *bytes, size_t count, bool (*given_up)(void *ctx), void *ctx);
/* Everything collected goes out. */
bool console_flush(struct console *console);

#endif
