/* A file that is there in full or not at all: written beside its place, then renamed into it. */
#ifndef VMM_OUTFILE_H
#define VMM_OUTFILE_H

#include <stdbool.h>
#include <stdio.h>

struct outfile {
	FILE *stream; /* write here */
	char *path;   /* where it is to be in the end; owned */
	char *temp;   /* where it is until then; NULL: written in place (a device, a pipe); owned */
};

/* Whether outfile_open would succeed now: by trying it where that leaves no trace.  False after a
 * message. */
bool outfile_check(const char *path);
/* False after a message. */
bool outfile_open(struct outfile *out, const char *path);
/* Closes the file; nothing is left behind, and what was at the path is untouched. */
void outfile_abandon(struct outfile *out);
/* Puts the file in its place.  False after a message, and then nothing is left behind and what was
 * at the path is untouched. */
bool outfile_commit(struct outfile *out);

#endif
