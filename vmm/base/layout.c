#include "vmm/base/layout.h"

#define CPUS_SIZE ((uint64_t)RS_MAX_CPUS * RS_CPU_STRIDE)

const struct layout_region layout_regions[LAYOUT_REGIONS] = {
    {"direct map of all RAM", RS_DIRECT_BASE, RS_STACKS_BASE - RS_DIRECT_BASE, LAYOUT_BY_VMM,
     PT_WRITE, false},
    {"kernel stacks", RS_STACKS_BASE, UINT64_C(1) << 39, LAYOUT_BY_GUEST, PT_WRITE, false},
    {"kernel image", RS_IMAGE_BASE, RS_KERNEL_CPU_BASE - RS_IMAGE_BASE, LAYOUT_BY_IMAGE, 0, false},
    {"per-CPU kernel pages", RS_KERNEL_CPU_BASE, CPUS_SIZE, LAYOUT_BY_VMM, PT_WRITE, false},
    {"boot page", RS_BOOT_PAGE, PAGE_SIZE, LAYOUT_BY_VMM, 0, false},
    {"entry text", RS_ENTRY_BASE, RS_ENTRY_IDT - RS_ENTRY_BASE, LAYOUT_BY_IMAGE, 0, true},
    {"IDT", RS_ENTRY_IDT, PAGE_SIZE, LAYOUT_BY_VMM, 0, true},
    {"GDT, TSS, entry stacks", RS_ENTRY_CPU_BASE, CPUS_SIZE, LAYOUT_BY_VMM, PT_WRITE, true},
};

#define ENTRY(offset, size)            LAYOUT_ENTRY_CPU, LAYOUT_STACK_NONE, offset, size
#define KERNEL(offset, size)           LAYOUT_KERNEL_CPU, LAYOUT_STACK_NONE, offset, size
#define STACK(where, whose, top, size) where, LAYOUT_STACK_##whose, (top) - (size), size
#define IST(i)                         STACK(LAYOUT_ENTRY_CPU, IST + (i), RS_IST_TOP(i), RS_IST_SIZE)

const struct layout_part layout_parts[LAYOUT_PARTS] = {
    {"entry words", ENTRY(RS_ENTRY_WORDS, PAGE_SIZE)},
    {"GDT", ENTRY(RS_ENTRY_GDT, PAGE_SIZE)},
    {"TSS", ENTRY(RS_ENTRY_TSS, PAGE_SIZE)},
    {"entry stack", STACK(LAYOUT_ENTRY_CPU, ENTRY, RS_ENTRY_STACK_TOP, RS_ENTRY_STACK_SIZE)},
    {"IST1 stack", IST(1)},
    {"IST2 stack", IST(2)},
    {"IST3 stack", IST(3)},
    {"IST4 stack", IST(4)},
    {"IST5 stack", IST(5)},
    {"IST6 stack", IST(6)},
    {"IST7 stack", IST(7)},
    {"statistics page", KERNEL(RS_KERNEL_STATS, PAGE_SIZE)},
    {"call pages", KERNEL(RS_KERNEL_CALL, 2 * PAGE_SIZE)},
    {"boot stack",
     STACK(LAYOUT_KERNEL_CPU, BOOT, RS_KERNEL_BOOT_STACK_TOP, RS_KERNEL_BOOT_STACK_SIZE)},
};

uint64_t layout_part_va(const struct layout_part *part, unsigned cpu)
{
	return layout_regions[part->region].va + (uint64_t)cpu * RS_CPU_STRIDE + part->offset;
}

enum layout_stack layout_stack_of(uint64_t rsp)
{
	const struct layout_region *stacks = &layout_regions[LAYOUT_STACKS];
	const uint64_t at = rsp - 1;

	if (at - stacks->va < stacks->size)
		return LAYOUT_STACK_KERNEL;
	for (unsigned i = 0; i < LAYOUT_PARTS; i++) {
		const struct layout_part *part = &layout_parts[i];
		const uint64_t from = at - layout_part_va(part, 0);

		if (from < CPUS_SIZE && from % RS_CPU_STRIDE < part->size && part->stack)
			return part->stack;
	}
	return LAYOUT_STACK_NONE;
}
