#include "guest/patch.h"

#include "guest/frames.h"
#include "guest/space.h"

void patch_text(uint64_t at, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		struct pt_walk walk;

		/* A byte at a time: the instruction may lie across two pages. */
		pt_walk(space_kernel_tree(), at + i, &walk);
		*(uint8_t *)frame_at(walk.pa) = ((const uint8_t *)bytes)[i];
	}
}
