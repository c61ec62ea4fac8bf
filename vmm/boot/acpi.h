/* ACPI tables (ACPI 6.5, chapter 5) as far as a kernel needs them to find its CPUs, the I/O APIC,
 * the way off and the reset: RSDP, XSDT, RSDT, FADT, FACS, MADT, and a DSDT that holds \_S5 alone.
 */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include "vmm/base/memory.h"

/* Writes them to PC_ACPI (vmm/base/pc.h), which is the RSDP's address. */
void acpi_build(const struct memory *memory, unsigned cpus);

#endif
