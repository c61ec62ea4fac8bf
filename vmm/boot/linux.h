/* What is Linux's whichever way it is booted. */
#ifndef VMM_BOOT_LINUX_H
#define VMM_BOOT_LINUX_H

#include <stdbool.h>

#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"

/* Whether the file is a Linux kernel. */
bool linux_is(const struct image *image);
/* What the command line begins with: the console is the serial line, a panic ends the run, and KPTI
 * is as the plan has it. */
const char *linux_words(const struct plan *plan);

#endif
