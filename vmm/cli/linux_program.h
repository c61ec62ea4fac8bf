/* A program of the user's that a Linux guest is to run (vmm/cli/linux_guest.h): its file, read once
 * and looked at before anything is started. */
#ifndef VMM_CLI_LINUX_PROGRAM_H
#define VMM_CLI_LINUX_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct linux_program {
	const char *path; /* the caller's */
	uint8_t *bytes;   /* owned */
	size_t size;
};

/* Reads the file and checks that Linux could start it: executable, of x86-64, an ELF file of which
 * nothing else is needed.  `helped`: an initial RAM disk may hold a dynamic loader, libraries and
 * interpreters, so that they may be asked for.  False after a message; linux_program_free is due in
 * both cases. */
bool linux_program_read(struct linux_program *program, const char *path, bool helped);
void linux_program_free(struct linux_program *program);

#endif
