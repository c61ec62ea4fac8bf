/* Writing a core file (core_format.h).  Knows nothing of KVM: all comes in as values. */
#ifndef VMM_CORE_WRITE_H
#define VMM_CORE_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "vmm/look/core_format.h"
#include "vmm/look/look.h"
#include "vmm/outcome.h"

/* PT_LOADs of one half of the address space; a guest that maps more in pieces gets the first of
 * them. Nothing is lost by that but a debugger's view: RAM is in the file as a whole. */
enum { CORE_LOADS_MAX = 4096 };

struct core_contents {
	const struct look_moment *moment;
	const struct outcome *outcome;
	const char *guest;           /* path */
	const struct rs_regs *saved; /* the guest's own at its panic; NULL: none */
	const struct kvm_fpu *fpu;   /* NULL: not known */
	uint32_t msr_count;          /* at most CORE_MSRS */
	struct core_msr msrs[CORE_MSRS];
};

/* Writes the file at `path`, or nothing (vmm/outfile.h).  The guest must stand still.  False after
 * a message. */
bool core_write(const char *path, const struct core_contents *contents);

#endif
