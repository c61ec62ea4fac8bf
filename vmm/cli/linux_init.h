/* guest/linux/init.c, built: an ELF file. */
#ifndef VMM_CLI_LINUX_INIT_H
#define VMM_CLI_LINUX_INIT_H

#include <stddef.h>

extern const char linux_init[];
extern const size_t linux_init_size; /* bytes */

#endif
