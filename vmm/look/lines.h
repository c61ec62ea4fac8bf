/*
 * Source lines for addresses, from the DWARF line tables of the guest's file (elfutils' libdw). The
 * file is hostile; one without line tables has no lines.
 */
#ifndef VMM_LOOK_LINES_H
#define VMM_LOOK_LINES_H

#include <stddef.h>
#include <stdint.h>

struct line {
	uint64_t address;
	const char *file; /* as the compiler was given it; NULL: code without a line begins here */
	int number;
};

struct lines {
	struct line *list; /* sorted by address; NULL: none */
	size_t count;
	char **names; /* owned; the files of the list */
	size_t name_count;
};

/* Whatever is wrong with the file: no lines. */
struct lines lines_read(const char *path);
void lines_free(struct lines *lines);

/* The line of the instruction at this address; NULL when there is none. */
const struct line *lines_find(const struct lines *lines, uint64_t address);

#endif
