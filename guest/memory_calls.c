/*
 * The system calls that change a process's memory (memory.h).
 */
#include "guest/errno.h"
#include "guest/memory_areas.h"
#include "guest/memory_change.h"
#include "guest/memory_layout.h"

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

static uint32_t rights_of(uint64_t prot)
{
	return (prot & (PROT_READ | PROT_WRITE | PROT_EXEC) ? PT_USER : 0) |
	       (prot & PROT_WRITE ? PT_WRITE : 0) | (prot & PROT_EXEC ? PT_EXEC : 0);
}

/* The highest gap of that length below `top`; 0: there is none. */
static uint64_t find_gap(const struct memory *memory, uint64_t len, uint64_t top)
{
	for (uint32_t i = memory->area_count; i-- > 0;) {
		const struct area *area = &memory->areas[i];
		const uint64_t end = area->va + area->len;

		if (end < top && top - end >= len)
			return top - len;
		if (area->va < top)
			top = area->va;
	}
	return top >= LOWEST && top - LOWEST >= len ? top - len : 0;
}

/* Where a mapping of whole pages goes, or a negative errno value. */
static int64_t choose_place(const struct memory *memory, uint64_t va, uint64_t len, uint64_t flags,
                            bool i386)
{
	const uint64_t top = i386 ? MMAP_TOP_I386 : flags & MAP_32BIT ? MMAP_TOP_31 : MMAP_TOP;
	const uint64_t limit = top < MMAP_TOP ? top : USER_TOP;

	if (len > USER_TOP)
		return -ENOMEM;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (va > USER_TOP - len)
			return -ENOMEM;
		if (va % PAGE_SIZE)
			return -EINVAL;
		if (va < LOWEST)
			return -EPERM;
		return flags & MAP_FIXED_NOREPLACE && !area_is_free(memory, va, va + len)
		           ? -EEXIST
		           : (int64_t)va;
	}
	va &= ~(uint64_t)(PAGE_SIZE - 1);
	if (va && va < LOWEST)
		va = LOWEST;
	if (va && len <= limit && va <= limit - len && area_is_free(memory, va, va + len))
		return (int64_t)va;
	va = find_gap(memory, len, top);
	return va ? (int64_t)va : -ENOMEM;
}

int64_t memory_mmap(struct memory *memory, uint64_t va, uint64_t len, uint64_t prot, uint64_t flags,
                    bool i386)
{
	const uint64_t pages = round_up(len);
	int64_t place;

	if (!len)
		return -EINVAL;
	if (!pages)
		return -ENOMEM;
	place = choose_place(memory, va, pages, flags, i386);
	if (place < 0)
		return place;
	if ((flags & MAP_TYPE) != MAP_PRIVATE || flags & (MAP_GROWSDOWN | MAP_HUGETLB))
		return -EINVAL;
	va = (uint64_t)place;
	return memory_change(memory, MAP, va, va + pages, rights_of(prot)) ? place : -ENOMEM;
}

int64_t memory_munmap(struct memory *memory, uint64_t va, uint64_t len)
{
	const uint64_t pages = round_up(len);

	if (va % PAGE_SIZE || va > USER_TOP || len > USER_TOP - va || !pages)
		return -EINVAL;
	return memory_change(memory, UNMAP, va, va + pages, 0) ? 0 : -ENOMEM;
}

int64_t memory_mprotect(struct memory *memory, uint64_t va, uint64_t len, uint64_t prot)
{
	const uint64_t end = va + round_up(len);
	const uint32_t rights = rights_of(prot);
	struct piece piece = {.va = va};

	if (va % PAGE_SIZE || prot & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return -EINVAL;
	if (!len)
		return 0;
	if (end <= va)
		return -ENOMEM;
	while (area_next_piece(memory, &piece, end)) {
		if (!piece.area)
			return -ENOMEM;
		if (piece.area->shared && rights & PT_WRITE)
			return -EACCES;
	}
	return memory_change(memory, PROTECT, va, end, rights) ? 0 : -ENOMEM;
}

uint64_t memory_brk(struct memory *memory, uint64_t wanted)
{
	const uint64_t end = round_up(memory->brk), wanted_end = round_up(wanted);

	if (wanted < HEAP || wanted > HEAP + HEAP_MAX)
		return memory->brk;
	if (wanted_end > end ? area_is_free(memory, end, wanted_end) &&
	                           memory_change(memory, MAP, end, wanted_end, PT_USER | PT_WRITE)
	                     : memory_change(memory, UNMAP, wanted_end, end, 0))
		memory->brk = wanted;
	return memory->brk;
}

uint64_t memory_writable(const struct memory *memory, uint64_t va, uint64_t len)
{
	struct piece piece = {.va = va};
	uint64_t bytes = 0;

	while (area_next_piece(memory, &piece, va + len)) {
		if (!piece.area || !(piece.area->rights & PT_WRITE))
			break;
		bytes += piece.len;
	}
	return bytes;
}
