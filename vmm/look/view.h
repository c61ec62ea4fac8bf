/*
 * Guest memory through a processor's eyes: linear addresses, walked with the registers at hand, and
 * whether an exception could be delivered.  For a guest that is stopped; everything in its memory
 * is hostile.
 */
#ifndef VMM_LOOK_VIEW_H
#define VMM_LOOK_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#include "shared/pt.h"
#include "vmm/base/memory.h"

struct view {
	const struct memory *memory;
	const struct kvm_regs *regs;
	const struct kvm_sregs *sregs;
	struct pt pt;
	bool paging; /* CR0.PG, and in long mode: else the tree is none that shared/pt.h knows */
	/* Asked where the tree maps nothing: for what is known in another way to lie there.
	 * view_make sets NULL: nobody is asked. */
	bool (*missing)(const void *ctx, uint64_t va, uint64_t *pa, uint32_t *rights);
	const void *missing_ctx;
};

/* All stay the caller's.  What the registers say (levels, NX, PCID, keys) overrides geometry. */
struct view view_make(const struct memory *memory, const struct kvm_regs *regs,
                      const struct kvm_sregs *sregs, struct pt_geometry geometry);

/* The ring: SS.DPL (SDM volume 3, 5.5). */
unsigned view_cpl(const struct view *view);
/* 16, 32 or 64: how code is decoded. */
unsigned view_bits(const struct view *view);

/* Where a linear address lies, and its PT_* rights (without paging all but PT_USER).  False:
 * nowhere; where it lies need not be RAM. */
bool view_translate(const struct view *view, uint64_t va, uint64_t *pa, uint32_t *rights);
/* As many of `size` bytes as one page has: where they are in RAM; NULL: nowhere. */
uint8_t *view_part(const struct view *view, uint64_t va, size_t size, size_t *part);
/* Copies from a linear address as a supervisor read; bytes copied, fewer than size where a page is
 * missing. */
size_t view_read(const struct view *view, uint64_t va, void *buf, size_t size);
/* The verdict on one access with the registers at hand. */
struct pt_access view_access(const struct view *view, unsigned kind, unsigned cpl);
bool view_allows(const struct view *view, uint64_t va, struct pt_access access,
                 struct pt_verdict *verdict);

/* Why an exception or interrupt of this vector cannot be delivered now (SDM volume 3, 6.12
 * to 6.14): one sentence into buf, and true; false when nothing stands in its way. */
bool view_delivery_problem(const struct view *view, unsigned vector, char *buf, size_t size);

#endif
