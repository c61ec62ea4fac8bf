#include "vmm/base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sys/mman.h>

#include "vmm/base/message.h"

bool memory_create(struct memory *memory, uint64_t size)
{
	struct memory ram = {.size = size, .low_end = size};
	void *base;

	if (size > RS_HOLE) {
		ram.low_end = RS_HOLE;
		ram.high_end = RS_HIGH_RAM + (size - RS_HOLE);
	}
	base = mmap(NULL, memory_span(&ram), PROT_READ | PROT_WRITE,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return message_error("cannot map %" PRIu64
		                     " MiB of guest RAM: %s; give less with --mem, "
		                     "or raise the limit (ulimit -v)",
		                     size >> 20, strerror(errno));
	/* Nobody gets there; who does by mistake is to be noticed. */
	if (ram.high_end)
		(void)mprotect((uint8_t *)base + RS_HOLE, RS_HIGH_RAM - RS_HOLE, PROT_NONE);
	ram.base = base;
	*memory = ram;
	return true;
}

void memory_populate(const struct memory *memory, uint64_t gpa, uint64_t size)
{
	void *at = memory_at(memory, gpa, size);

	if (at)
		(void)madvise(at, size, MADV_POPULATE_WRITE);
}

void memory_destroy(struct memory *memory)
{
	if (memory->base)
		munmap(memory->base, memory_span(memory));
	*memory = (struct memory){0};
}
