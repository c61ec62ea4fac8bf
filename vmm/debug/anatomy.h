/*
 * --anatomy: one crossing of the guest, instruction by instruction, from the last one of ring 3 to
 * the first one after the return, with what the processor itself does in between told in words.
 */
#ifndef VMM_ANATOMY_H
#define VMM_ANATOMY_H

#include <stdbool.h>

#include "vmm/machine.h"

/* Whether `what` is a crossing that can be followed: "syscall", "int80", "pagefault", "fork",
 * "context-switch"; the first two also with "=NUMBER" of the system call.  False after a message.
 */
bool anatomy_check(const char *what);
/* Runs the guest to its end and writes the account as soon as the crossing is over. */
void anatomy_run(struct machine *machine);

#endif
