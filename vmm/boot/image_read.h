/* Reading a guest's file. */
#ifndef VMM_BOOT_IMAGE_READ_H
#define VMM_BOOT_IMAGE_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/image.h"

/* Opens image->path and knows its size.  False after a message: it is none that has a content. */
bool image_open_file(struct image *image);
/* Exactly `size` bytes at `offset`.  False after a message. */
bool image_read(const struct image *image, void *to, uint64_t size, uint64_t offset);

#endif
