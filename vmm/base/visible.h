/* A guest's bytes as a terminal may get them: text, and none of the sequences that it obeys. */
#ifndef VMM_BASE_VISIBLE_H
#define VMM_BASE_VISIBLE_H

#include <stddef.h>

/* Writes what stands for the first of `count` bytes into `to`, at most `size` (at least 4) bytes
 * without a NUL, and returns how many; *taken: for how many bytes that stands, at least 1 unless
 * count is 0.  Printable ASCII, UTF-8, newline, carriage return and tab stand for themselves,
 * other control characters are ^X, and bytes that are no character are \xNN. */
size_t visible(char *to, size_t size, const char *bytes, size_t count, size_t *taken);

#endif
