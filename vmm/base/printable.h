/* Text from others (a guest, its file, the command line) made safe for a terminal and for JSON. */
#ifndef VMM_BASE_PRINTABLE_H
#define VMM_BASE_PRINTABLE_H

#include <stddef.h>

/* Copies at most `length` bytes, up to a NUL, with '?' for what is not printable ASCII, and "..."
 * at the end when buf (size at least 4, NUL included) is too short.  Returns buf. */
const char *printable(char *buf, size_t size, const char *text, size_t length);

#endif
