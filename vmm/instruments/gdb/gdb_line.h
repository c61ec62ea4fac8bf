/* The line to gdb: a listening socket, one connection at a time, and the signal that tells of both
 * while the guest runs.  Who connects is nobody in particular until it speaks the protocol: a web
 * page can make a browser send bytes to any port of this machine. */
#ifndef VMM_INSTRUMENTS_GDB_GDB_LINE_H
#define VMM_INSTRUMENTS_GDB_GDB_LINE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gdb_line {
	int listening;       /* -1: not open */
	int fd;              /* the connection; -1: none */
	const char *address; /* as the user gave it; the caller's */
	bool is_file;        /* a UNIX socket, to be removed */
	bool speaks;         /* the connection has begun as gdb does */
	size_t used, at;     /* input read ahead */
	uint8_t input[4096];
};

/* Where to listen: "PORT", "HOST:PORT" or "[HOST]:PORT", on this machine's own loopback (without a
 * host: 127.0.0.1; port 0: any free one); "any:PORT" or "any:HOST:PORT", where others can reach it
 * too (without a host: 0.0.0.0); or the path of a UNIX socket, which has a slash in it, and which
 * only its owner may connect to.  False after a message when the text is none of these. */
bool gdb_check_address(const char *text);

/* Listens at `address` and says so on stderr unless `quiet`.  A connection and
 * its input then set gdb_line_attention and make KVM_RUN return (stop_all) on the calling thread,
 * which is to be the one that runs the guest.  False after a message; gdb_line_close is due in both
 * cases. */
bool gdb_line_open(struct gdb_line *line, const char *address, const char *guest, bool quiet);
void gdb_line_close(struct gdb_line *line);

extern volatile sig_atomic_t gdb_line_attention;

/* Whether a connection is there whose first byte is one of gdb's; does not wait.  One that begins
 * otherwise is refused, and one that says nothing gives way to the next. */
bool gdb_line_is_called(struct gdb_line *line);
/* Waits for input, or, as long as nobody speaks, for a connection.  False: the VMM is to stop. */
bool gdb_line_wait(const struct gdb_line *line);
/* Ends the connection, if there is one; the next one is welcome. */
void gdb_line_drop(struct gdb_line *line);
/* The same, with a message that it speaks another language. */
void gdb_line_refuse(struct gdb_line *line);

/* The next byte, waiting for it if need be.  -1: the connection has ended, or the VMM is to stop.
 */
int gdb_line_get(struct gdb_line *line);
/* Whether gdb_line_get would return at once. */
bool gdb_line_has_input(const struct gdb_line *line);
/* False: the connection has ended. */
bool gdb_line_put(struct gdb_line *line, const void *bytes, size_t count);

#endif
