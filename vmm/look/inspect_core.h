/* vmm --inspect-core FILE: state, --walk, --map and --audit of a machine that is gone. */
#ifndef VMM_INSPECT_CORE_H
#define VMM_INSPECT_CORE_H

#include "vmm/options.h"

/* Needs no KVM.  The exit status: 0; 125 when the core cannot be read or --audit found something.
 */
int inspect_core_main(const struct options *options);

#endif
