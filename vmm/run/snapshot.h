/*
 * All of a machine at one moment, to be taken back to: every vCPU, the devices, RAM.
 *
 * The first snapshot copies what RAM holds and makes KVM log the pages that the guest writes.  From
 * then on a snapshot is a copy of the pages that may differ from that one, and going back to it, or
 * forth, copies them again, and those that were written since: what it costs is a matter of pages
 * written and not of RAM.  Any number lives at a time; with the last one copy and log go.
 *
 * What the machine has told others stays told: output, figures and statistics.  Time goes on: the
 * TSC and KVM's clock are what they are.
 *
 * No CPU is in KVM_RUN meanwhile, and all are run by the main thread (machine->one_thread), as
 * under the engine; engine_snapshot and engine_restore (vmm/engine/engine.h) do these with its
 * plants out of the way.
 */
#ifndef VMM_RUN_SNAPSHOT_H
#define VMM_RUN_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/run/machine.h"

struct snapshot;

/* The caller's to free, before the machine goes.  NULL after a message. */
struct snapshot *snapshot_take(struct machine *machine);
/* Makes the machine what it was, as often as wanted.  False after a message: it is neither what it
 * was nor what it is, and has ended (END_VMM_FAILED). */
bool snapshot_restore(const struct snapshot *snapshot);
/* NULL is fine. */
void snapshot_free(struct snapshot *snapshot);
/* Pages of RAM that it holds. */
size_t snapshot_pages(const struct snapshot *snapshot);

#endif
