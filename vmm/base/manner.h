/* How what is found is to be said: colour, form, and where; and how much beside it. */
#ifndef VMM_BASE_MANNER_H
#define VMM_BASE_MANNER_H

#include <stdbool.h>

#include "vmm/base/outfile.h"

enum color_choice { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
enum stats_format { STATS_TEXT, STATS_JSON, STATS_NONE }; /* of the report at the end */

struct manner {
	bool quiet; /* only what was asked for, and errors */
	enum color_choice color;
	bool json; /* JSON Lines instead of text, for what looks and stops */
	/* For what stops and steps the guest; not open: each has a standard stream of its own. */
	struct outfile file;
};

/* Whether what goes to the file descriptor is to be coloured: COLOR_AUTO is for a terminal that is
 * not dumb, unless NO_COLOR is set. */
bool manner_colors(const struct manner *manner, int fd);
/* The same for what goes to `file` if that is open, else to fd: no file is coloured by itself. */
bool manner_colors_file(const struct manner *manner, const struct outfile *file, int fd);

#endif
