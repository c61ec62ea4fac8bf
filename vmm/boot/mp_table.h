/* The MP configuration table (Intel MultiProcessor Specification 1.4, chapter 4): what kernels
 * without ACPI find their CPUs and the I/O APIC by. */
#ifndef VMM_BOOT_MP_TABLE_H
#define VMM_BOOT_MP_TABLE_H

#include "vmm/base/memory.h"

/* Writes the floating pointer to PC_MP (vmm/base/pc.h) and the table behind it.  cpus: from 1 to
 * RS_MAX_CPUS. */
void mp_table_build(const struct memory *memory, unsigned cpus);

#endif
