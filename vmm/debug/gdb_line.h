/* The line to gdb: a listening socket, then one connection, and the signal that tells of input
 * while the guest runs. */
#ifndef VMM_GDB_LINE_H
#define VMM_GDB_LINE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gdb_line {
	int fd;           /* -1: none */
	const char *path; /* of a UNIX socket, to be removed; NULL: none */
	size_t used, at;  /* input read ahead */
	uint8_t input[4096];
};

/* Listens at `address` (vmm/debug/gdb.h), says so on stderr unless `quiet`, and waits for one
 * connection. Input then sets *gdb_line_attention and makes KVM_RUN return (stop_all).  False after
 * a message, or when a request to stop the VMM came first. */
bool gdb_line_open(struct gdb_line *line, const char *address, const char *guest, bool quiet);
void gdb_line_close(struct gdb_line *line);

extern volatile sig_atomic_t gdb_line_attention;

/* The next byte, waiting for it if need be.  -1: the connection has ended, or the VMM is to stop.
 */
int gdb_line_get(struct gdb_line *line);
/* Whether gdb_line_get would return at once. */
bool gdb_line_has_input(const struct gdb_line *line);
/* False: the connection has ended. */
bool gdb_line_put(struct gdb_line *line, const void *bytes, size_t count);

#endif
