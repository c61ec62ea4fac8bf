/*
 * The guest named "linux": a kernel that tools/get-kernel has fetched, and a program of the user's
 * as the first thing that runs under it.
 *
 *	vmm linux                        a shell, busybox's
 *	vmm linux -- ./program words     that program, whose status is vmm's
 *	vmm linux:6.12 ...               another version
 *	vmm linux:FILE ...               another kernel
 *
 * What the guest finds is an initial RAM disk of guest/linux/init.c, the program, and what its
 * arguments are (shared/linux_start.h); made in memory, behind --initrd's if there is one.
 */
#ifndef VMM_CLI_LINUX_GUEST_H
#define VMM_CLI_LINUX_GUEST_H

#include <stdbool.h>

#include "vmm/cli/options.h"

/* Guest RAM when --mem does not say how much. */
#define LINUX_GUEST_MEM (UINT64_C(256) << 20)

/* Whether this word, where a guest's file is named, means such a guest: no file is called so. */
bool linux_guest_is(const char *word);

/* Takes the guest's word, and what is behind "--", into the options, and has the plan's defaults be
 * those of Linux.  False after a message: no such kernel is known. */
bool linux_guest_take(struct options *options, const char *word, int argc, char **argv);

/* Before anything is started, here or in a box: whether the kernel is there, and is one, and the
 * program can run under it.  False after a message. */
bool linux_guest_check(struct options *options);

/* Makes the initial RAM disk and the kernel's command line, of which the plan then names the one
 * and holds the other.  After linux_guest_check, once.  False after a message. */
bool linux_guest_prepare(struct options *options);
void linux_guest_free(struct options *options);

#endif
