/* Reading a core file that --core wrote, or that somebody made who means ill (core_format.h). */
#ifndef VMM_INSTRUMENTS_LOOK_CORE_READ_H
#define VMM_INSTRUMENTS_LOOK_CORE_READ_H

#include <stdbool.h>

#include "vmm/base/memory.h"
#include "vmm/instruments/look/core_format.h"
#include "vmm/look/look.h"

struct core {
	struct core_machine machine;
	unsigned vcpu_count;                 /* 1 at least */
	struct core_vcpu vcpus[RS_MAX_CPUS]; /* the first is the one that ended the run */
	struct memory memory;                /* a copy of RAM; owned */
};

/* Reads and checks all of it.  False after a message that names the file, what in it is wrong, and
 * what was expected; core_free is due in both cases.  What `machine` and `vcpus` say is checked as
 * far as it has bounds: strings end, counts fit, RAM is there. */
bool core_read(struct core *core, const char *path);
void core_free(struct core *core);

/* The moment that the core was taken at, as vcpus[0] had it; it points into *core and to `symbols`.
 */
struct look_moment core_moment(const struct core *core, const struct symbols *symbols);

#endif
