/*
 * Address spaces under KPTI: two roots over one user half.
 *
 *     user root                             kernel root
 *     user half: its own tables      <----  the same tables (no-execute while KPTI is on)
 *     kernel half: the entry area           kernel half: all of it
 *
 * The kernel half below the top level is the same tables in every process, so that what the kernel
 * maps later is seen by all.  With KPTI off only the kernel root is used.
 */
#ifndef GUEST_SPACE_H
#define GUEST_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/uapi.h"
#include "shared/abi.h"
#include "shared/pt.h"

/* User memory ends a page below the canonical hole: a SYSCALL as the last instruction there would
 * return to a non-canonical RCX, on which SYSRET faults in ring 0 on Intel (CVE-2012-0217). */
#define USER_TOP (RS_USER_END - PAGE_SIZE)

struct space {
	struct pt user;      /* owns the user half's tables */
	struct pt kernel;    /* owns only its top-level table */
	uint64_t id;         /* never given twice; PCIDs are each CPU's to give (shared/pcid.h) */
	uint64_t generation; /* of what TLBs may know of it */
};

/* All of this changes what CPUs share: the kernel's lock is held (guest/smp.h). */

/* The tree the VMM built, and the user root's kernel half made from it.  False: no memory. */
bool space_init(const struct rs_boot *boot);
/* The kernel's own tree. */
struct pt *space_kernel_tree(void);
/* One page of the kernel half, read-write, seen by all address spaces at once; below RS_IMAGE_BASE.
 */
enum pt_status space_map_kernel(uint64_t va, uint64_t frame);
/* Afterwards no TLB of any CPU knows the pages: their frames may be used for something else. */
enum pt_status space_unmap_kernel(uint64_t va, uint64_t len);

/* An empty space.  False: no memory. */
bool space_create(struct space *space);
/* Frees all tables.  The space must be loaded on no CPU, and its pages unmapped. */
void space_destroy(struct space *space);
/* Maps in the user root, in 4 KiB pages.  rights: PT_WRITE, PT_EXEC; PT_USER is added.
 * PT_ECANONICAL for what reaches beyond USER_TOP. */
enum pt_status space_map(struct space *space, uint64_t va, uint64_t pa, uint64_t len,
                         uint32_t rights);
/* Another frame, other rights, or both for a page that is mapped; flushes. */
void space_replace(struct space *space, uint64_t va, uint64_t pa, uint32_t rights);
/* Lets the kernel root see what the user root maps there: due once after space_map. */
enum pt_status space_mirror(struct space *space, uint64_t va, uint64_t len);
/* Unmaps in both roots, and flushes. */
enum pt_status space_unmap(struct space *space, uint64_t va, uint64_t len);

/* What runs without a user half: kernel threads, an idle CPU. */
const struct space *space_kernel(void);
/* Writes CR3 and the CPU's two CR3 words.  Interrupts off. */
void space_load(const struct space *space);

/* The KPTI mode in force (RS_PTI_*), and whether this machine can do another. */
uint32_t space_mode(void);
bool space_mode_possible(uint32_t mode);
/* Changes it, for this CPU and those that start later.  Afterwards every space must be brought to
 * it by space_apply_mode, every other CPU by space_follow_mode, and both loaded anew. */
void space_set_mode(uint32_t mode);
void space_follow_mode(void);
void space_apply_mode(struct space *space);

/* How many 4 KiB pages of the kernel half each root maps. */
void space_count(const struct space *space, struct rs_page_counts *counts);
/* The ranges of the kernel half that the user root maps: at most `room` of them into ranges, and
 * how many there are. */
uint32_t space_user_root(const struct space *space, struct rs_range *ranges, uint32_t room);

#endif
