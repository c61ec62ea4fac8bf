#include "vmm/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sys/mman.h>

#include "vmm/message.h"

bool memory_create(struct memory *memory, uint64_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return message_error("cannot map %" PRIu64
		                     " MiB of guest RAM: %s; give less with --mem, "
		                     "or raise the limit (ulimit -v)",
		                     size >> 20, strerror(errno));
	*memory = (struct memory){.base = base, .size = size};
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
		munmap(memory->base, memory->size);
	*memory = (struct memory){0};
}
