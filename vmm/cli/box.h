/*
 * --box: the same command line in an emulated machine that has a real KVM (tools/kvmbox).
 *
 * The program is replaced by kvmbox, which starts it again in there, in a folder of the same name,
 * with the files that the command line names; the files that it is to write come back to where
 * they would have been written here.
 */
#ifndef VMM_CLI_BOX_H
#define VMM_CLI_BOX_H

#include <stdbool.h>

#include "vmm/cli/options.h"

/* Whether the command line is to run in a box: --box, or with "auto" that this machine's KVM cannot
 * be used. */
bool box_is_wanted(const struct options *options);

/* Runs it there, in place of this process, whose exit status is then kvmbox's.  Returns only when
 * that fails, after a message: what the command line names cannot be read, written, or brought, or
 * there is no kvmbox.  The exit status, STATUS_USAGE or STATUS_VMM_FAILED. */
int box_run(struct options *options);

/* For the end of a message that /dev/kvm cannot be used: "; or ..." with a command for the shell,
 * complete, that runs the same command line in a box from where the user stands; or where to get a
 * box from.  For a struct kvm_advice: options is a const struct options *.  To be freed; NULL
 * without memory. */
char *box_advice(const void *options);

#endif
