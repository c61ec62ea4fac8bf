/* Where the other parts of Ringscope lie, as the running program sees it: in a build folder, or
 * installed beside it. */
#ifndef VMM_CLI_PLACE_H
#define VMM_CLI_PLACE_H

#include <limits.h>
#include <stdbool.h>

/* The program's own file.  False after a message. */
bool place_program(char path[PATH_MAX]);

/* A tool ("kvmbox", "get-kernel"): that of the tree that the program was built in, then the one
 * installed beside it, then the first in PATH.  False, without a message, when there is none. */
bool place_tool(char path[PATH_MAX], const char *name);

/* Whether a shell that is given `name` as a command would run this program. */
bool place_is_command(const char *name);

/* The file of a guest whose name has no slash, and which is not in the current folder: among the
 * installed ones (../lib/ringscope beside the program), else `name` itself.  Valid until the next
 * call. */
const char *place_guest(const char *name);

#endif
