/*
 * What a KVM left undone and the VMM completes: the one place for it.  Each is recognised by what
 * happened, never by the KVM's name, and counted in the statistics.
 */
#ifndef VMM_RUN_QUIRKS_H
#define VMM_RUN_QUIRKS_H

#include <stdbool.h>

#include "vmm/run/machine.h"

/* After KVM_EXIT_INTERNAL_ERROR:
 *
 * - STAC or CLAC in ring 0 that KVM cannot emulate: carried out here, and the guest is told by
 *   RS_QUIRK_NO_STAC, so that it can do without.
 * - An instruction of ring 3 that KVM cannot emulate (it touched a hole in memory, say): the guest
 *   gets the #UD that other KVMs give it.  Not for ever: the same registers a thousand times in a
 *   row are a guest that goes in circles.
 *
 * True: completed, the guest can go on.  False: not ours, the guest is dead; nothing was changed.
 */
bool quirk_complete(struct cpu *cpu);

#endif
