/*
 * What `vmm linux` tells guest/linux/init.c, the first process: the file LINUX_START in the initial
 * RAM disk.  Behind the structure come words, each with a 0 at its end: the program's file, `argc`
 * arguments, of which the first is its name, and `envc` of its environment.
 */
#ifndef SHARED_LINUX_START_H
#define SHARED_LINUX_START_H

#include <stdint.h>

#define LINUX_START "ringscope/start" /* in the top folder */

enum {
	LINUX_START_MAGIC = 0x31737352, /* "Rss1" */

	/* flags: */
	LINUX_START_KEYS = 1, /* keys come in, not the bytes of a file or pipe */
	LINUX_START_ECHO = 2, /* ... and who types sees what goes out */

	LINUX_START_MAX = 128 << 10, /* bytes of the file; Linux's own limit is 2 MiB */
	LINUX_START_WORDS = 4096,    /* arguments, and as many words of the environment */
};

struct linux_start {
	uint32_t magic, flags;
	uint16_t rows, columns; /* of the terminal; 0: not known */
	uint32_t argc, envc;
};
_Static_assert(sizeof(struct linux_start) == 20, "as it lies in the file");

#endif
