/* What both versions of Multiboot have in common. */
#ifndef VMM_BOOT_MULTIBOOT_H
#define VMM_BOOT_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"

/* Where in image->head, at a multiple of `align` within the first `most` bytes, a header begins
 * with `magic`, and its first `words` 32-bit words add up to 0.  False: nowhere. */
bool multiboot_find(const struct image *image, size_t most, size_t align, uint32_t magic,
                    unsigned words, size_t *at);

/* The piece that a header's address fields name, for a kernel that is not ELF, or would rather not
 * be: all guest-physical.  load_end 0: to the end of the file; bss_end 0: nothing behind it. */
struct multiboot_place {
	uint32_t header, load, load_end, bss_end;
};
bool multiboot_take_place(struct image *image, const struct plan *plan,
                          const struct multiboot_place *place);

#endif
