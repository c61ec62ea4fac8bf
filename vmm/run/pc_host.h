/*
 * The host's side of a PC: where its serial line's bytes go and come from, and a thread that waits
 * for standard input and for the PIT's next edge.
 *
 * A terminal on standard input becomes the guest's: its keys go there as they are, Ctrl-C too;
 * Ctrl-A x ends the run.  Whatever ends the VMM, the terminal is then as it was.
 */
#ifndef VMM_RUN_PC_HOST_H
#define VMM_RUN_PC_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <termios.h>

#include "vmm/devices/pit.h"
#include "vmm/devices/uart.h"
#include "vmm/run/machine.h"

enum { PC_TAIL = 1536, PC_LINE = 256, PC_KEYS = 4096 };

struct pc_host {
	struct machine *machine;
	struct uart *uart;
	struct pit *pit;

	/* What the guest said last, for when it panics. */
	char tail[PC_TAIL];
	uint64_t said; /* bytes in all */
	char line[PC_LINE];
	unsigned line_used;
	bool panicked; /* Linux's word for it has come */

	bool has_thread;
	pthread_t thread;
	unsigned round; /* times that all CPUs were called back (watch) */
	int wake;       /* eventfd: the thread is to look again; -1: none */
	bool ending;    /* ... and to end */
	bool unwritten; /* the console holds bytes that are not out */
	bool input_over;
	bool in_line; /* the last byte that was read did not end a line */
	bool listens; /* the thread waits for standard input, too */
	bool escaped; /* the last byte of the terminal was the escape */
	/* Keys for which the serial port has no room yet: the terminal is read all the same, or
	 * Ctrl-A x would end nothing when the guest does not listen. */
	uint8_t keys[PC_KEYS];
	size_t key_count;
	bool raw;              /* the terminal was changed: */
	struct termios before; /* ... from this */
};

/* Before CPUs run.  False after a message; pc_host_end is due in both cases. */
bool pc_host_begin(struct pc_host *host);
/* After they ran. */
void pc_host_end(struct pc_host *host);

/* What follows is called with the machine's lock held. */

/* A byte that the guest sent over its serial line.  True: it was the last of a kernel that has
 * panicked. */
bool pc_host_say(struct pc_host *host, uint8_t byte);
/* The last of what it said, up to `size` bytes.  Returns how many. */
size_t pc_host_tail(const struct pc_host *host, char *to, size_t size);
/* There is something to wait for that the thread does not know of. */
void pc_host_wake(struct pc_host *host);
/* The guest has accessed its serial port: there may be room for more, or it listens now. */
void pc_host_accessed(struct pc_host *host);

#endif
