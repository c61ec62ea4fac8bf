/* Writing a core file (core_format.h).  Knows nothing of KVM: all comes in as values. */
#ifndef VMM_INSTRUMENTS_LOOK_CORE_WRITE_H
#define VMM_INSTRUMENTS_LOOK_CORE_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/base/outfile.h"
#include "vmm/instruments/look/core_format.h"
#include "vmm/look/look.h"
#include "vmm/run/outcome.h"

/* PT_LOADs of one half of the address space; a guest that maps more in pieces gets the first of
 * them. Nothing is lost by that but a debugger's view: RAM is in the file as a whole. */
enum { CORE_LOADS_MAX = 4096 };

struct core_contents {
	const struct look_moment *moment; /* of the vCPU that comes first */
	const struct outcome *outcome;
	const char *guest; /* path */
	unsigned vcpu_count;
	const struct core_vcpu *vcpus;          /* those that were started */
	const struct kvm_fpu *fpu[RS_MAX_CPUS]; /* of each; NULL: not known */
};

/* Writes the core and closes `out`, which is open.  The guest must stand still.  False after a
 * message, and then what was there before is untouched (vmm/base/outfile.h). */
bool core_write(struct outfile *out, const struct core_contents *contents);

#endif
