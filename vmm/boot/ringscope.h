/*
 * What the guest finds in RAM before its first instruction: page tables, GDT, IDT, TSS, the boot
 * page, stacks (shared/abi.h has the addresses).  Written natively, because a KVM without hardware
 * support interprets ring 0 a thousand times slower than the VMM runs.
 *
 * The registers that go with it are vmm/boot/start.h's.
 */
#ifndef VMM_BOOT_RINGSCOPE_H
#define VMM_BOOT_RINGSCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/pt.h"
#include "vmm/base/memory.h"
#include "vmm/boot/boot.h"
#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"
#include "vmm/kvm/host.h"

/* Takes frames behind the image, all below RS_HOLE, and builds everything but the boot page's
 * contents.  The tree keeps a pointer to *boot, which must not move.  False after a message. */
bool boot_build(struct boot *boot, const struct memory *memory, const struct image *image,
                const struct host *host, const struct plan *plan);
/* Fills the boot page; the last thing, when all is known. */
void boot_publish(struct boot *boot, const struct image *image, const struct host *host,
                  const struct plan *plan, uint32_t pti_mode);

/* What the guest has counted so far, on all its CPUs: a copy, of whatever lies there. */
struct rs_stats boot_counts(const struct boot *boot);

/* Tells the guest of a quirk (RS_QUIRK_*), at any time. */
void boot_set_quirk(struct boot *boot, uint64_t quirk);

#endif
