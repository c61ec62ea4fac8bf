/*
 * A file that the VMM writes: opened before the guest runs, and in its place at the end in full or
 * not at all.
 *
 *     struct outfile out = OUTFILE_CLOSED;
 *     outfile_open(&out, "report.json", OUTFILE_SHARED);   // what is there is untouched
 *     fprintf(out.stream, ...);
 *     outfile_commit(&out);                                // or outfile_abandon(&out)
 *
 * What a name stands for is decided by what is there (stat(2)), behind symbolic links:
 *
 *     a regular file, or nothing   a new file without a name takes its place at the end, with the
 *                                  owner and the mode of the one that was there.  So nothing is
 *                                  left behind however the VMM ends; where the file system has no
 *                                  such files the new one has a name until then, which is removed
 *                                  at any end but SIGKILL.  A file that cannot be replaced (a
 *                                  container's mounted one, a folder without permission) is
 *                                  written in place at the end, when all there is to write is
 *                                  known, and a message says so.
 *     a device, a pipe, a FIFO     written at once.  A FIFO that nobody opens for reading within a
 *                                  second is an error.
 *     somebody's open file         (/dev/stdout, /proc/self/fd/N) written at once, behind what is
 *                                  there.
 *
 * Writing goes through output.h: no reader holds it up for long.
 */
#ifndef VMM_BASE_OUTFILE_H
#define VMM_BASE_OUTFILE_H

#include <stdbool.h>
#include <stdio.h>

#include <sys/stat.h>

#include "vmm/base/output.h"

enum outfile_readers {
	OUTFILE_SHARED, /* who may read a file that is new: the umask says */
	OUTFILE_OWNER,  /* the owner alone, also where others could read what was there */
};

struct outfile {
	FILE *stream;     /* write here; NULL: closed */
	const char *path; /* as it was given, also when closed; the caller's */
	char *target;     /* the file to replace, an absolute path; owned; NULL: written at once */
	char *temp;       /* the name that the new file has until then, if it has one; owned */
	int kept;         /* why target cannot be replaced (errno); 0: so far nothing is known */
	bool own;         /* one of the descriptors that we were started with */
	int former;       /* target, open for writing; -1: there is none */
	struct stat status;   /* of what is there; st_nlink 0: nothing */
	struct output output; /* what the stream writes to */
	enum outfile_readers readers;
};
#define OUTFILE_CLOSED                                                                             \
	{                                                                                          \
		.former = -1, .output = {.fd = -1 }                                                \
	}

/* False after a message; then it is closed. */
bool outfile_open(struct outfile *out, const char *path, enum outfile_readers readers);
/* Whether both would be written to the same file: devices, which may be shared, do not count. */
bool outfile_same(const struct outfile *a, const struct outfile *b);
/* Whether it would be written to the file that this is the status of. */
bool outfile_is(const struct outfile *out, const struct stat *status);
/* Closes it; nothing is left behind, and what was there is untouched.  Harmless when closed, as all
 * zero is too. */
void outfile_abandon(struct outfile *out);
/* Puts the file in its place and closes it.  False after a message, and then nothing is left behind
 * and what was there is untouched, unless the message says otherwise. */
bool outfile_commit(struct outfile *out);

#endif
