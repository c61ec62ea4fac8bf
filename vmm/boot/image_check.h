/*
 * Whether an image, each of whose headers is right by itself, makes sense as a whole: its segments
 * beside each other and in the address space of shared/abi.h, its entry point, and what its note
 * promises.  No file is read here.
 */
#ifndef VMM_BOOT_IMAGE_CHECK_H
#define VMM_BOOT_IMAGE_CHECK_H

#include <stdbool.h>

#include "vmm/boot/image.h"

/* False after a message. */
bool image_check(const struct image *image);

#endif
