/* Files to be read, and what is said of them: for what refuses a bad one with a message. */
#ifndef TESTS_UNIT_VMM_MADE_FILE_H
#define TESTS_UNIT_VMM_MADE_FILE_H

#include <stddef.h>

/* A file that holds these bytes, the caller's to unlink; the name is good until four more. */
const char *made_file(const void *bytes, size_t size);

/* From one to the other what goes to standard error comes into `said` instead, as much of it as has
 * room, with a 0 behind it. */
void listen_begin(void);
void listen_end(char *said, size_t size);

#endif
