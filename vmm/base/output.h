/*
 * Every byte that the VMM writes leaves through here: to its standard streams, and to the files of
 * outfile.h.
 *
 * Who reads decides when a write to a pipe, a socket or a terminal ends.  So that nobody who reads
 * slowly, or not at all, keeps the VMM longer than its time limit: once somebody wants it to stop
 * (vmm/base/stop.h), all outputs together have OUTPUT_PATIENCE_MS left in which they wait for
 * readers. What a reader takes at once is never cut.
 */
#ifndef VMM_BASE_OUTPUT_H
#define VMM_BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { OUTPUT_PATIENCE_MS = 500 };

struct output {
	int fd;
	bool waits; /* no regular file: a write can take as long as its reader likes */
	int error;  /* errno of the first write that failed; ETIME: nobody read; 0: none */
};

/* Standard output and standard error, which stdio's stdout and stderr write to as well once
 * output_take_streams was called. */
extern struct output output_stdout, output_stderr;

/* To be called before anything is written. */
void output_take_streams(void);

/* Writes all of it, whether or not the descriptor is non-blocking.  False when that fails, or has
 * failed before: what comes then is dropped.  *left, unless NULL: how many bytes were not written.
 */
bool output_write(struct output *output, const void *bytes, size_t count, size_t *left);

/* A stream that writes there; *output must live as long.  NULL without memory. */
FILE *output_stream(struct output *output);

/* Why writing failed, for the end of a message. */
const char *output_why(const struct output *output);

/* Writes what stdout has collected; `what` was written to it.  False after a message when some of
 * it could not go out. */
bool output_finish(const char *what);

#endif
