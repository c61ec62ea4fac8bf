/* A machine for tests that look: what boot_build leaves, and one process with both its roots, made
 * with the calls that the guest's kernel makes. */
#ifndef TESTS_UNIT_VMM_LOOK_MACHINE_H
#define TESTS_UNIT_VMM_LOOK_MACHINE_H

#include "vmm/boot/ringscope.h"
#include "vmm/look/look.h"

#define LOOK_RAM  (UINT64_C(4) << 20)
#define LOOK_TEXT (RS_IMAGE_BASE + 0x100000)

struct look_machine {
	struct memory memory;
	struct boot boot;
	struct pt kernel_tree; /* what boot made */
	struct pt entry;       /* what the user root has of it */
	struct pt kernel, user;
	struct look_moment moment;
};

/* Static storage, made anew. */
struct look_machine *look_machine_make(void);

/* Another machine in its place: what a Linux with KPTI leaves.  The kernel root at a multiple of 8
 * KiB and the user root behind it; a direct map; entry text in a page of 2 MiB; a cpu_entry_area
 * with IDT, GDT, TSS and stacks, for which the registers are set; one page of ring 3.  Nothing of
 * it is told but the registers. */
#define LINUX_TEXT  UINT64_C(0xffffffff81000000)
#define LINUX_ENTRY UINT64_C(0xffffffff81c00000)
#define LINUX_AREA  UINT64_C(0xfffffe0000000000)
#define LINUX_IST1  (LINUX_AREA + 0xa000) /* its top */
struct look_machine *look_machine_make_linux(void);
void look_machine_free(void);

/* The entry of this level on the way to va, which is there. */
uint64_t *entry_of(const struct pt *pt, uint64_t va, unsigned level);

#endif
