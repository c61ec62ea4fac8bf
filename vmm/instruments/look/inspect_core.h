/* vmm --inspect-core FILE: state, --walk, --map and --audit of a machine that is gone. */
#ifndef VMM_INSTRUMENTS_LOOK_INSPECT_CORE_H
#define VMM_INSTRUMENTS_LOOK_INSPECT_CORE_H

#include "vmm/base/manner.h"
#include "vmm/instruments/look/request.h"

/* Needs no KVM.  guest: the file to take symbols from; NULL: none.  The exit status: 0; 125 when
 * the core cannot be read or --audit found something. */
int inspect_core_main(const char *path, const char *guest, const struct look_request *request,
                      const struct manner *manner);

#endif
