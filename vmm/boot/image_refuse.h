/* How every check of a guest's file ends that fails. */
#ifndef VMM_BOOT_IMAGE_REFUSE_H
#define VMM_BOOT_IMAGE_REFUSE_H

#include <stdbool.h>

#include "vmm/boot/image.h"

/* "vmm: FILE: WHERE: WHY".  Always false. */
bool image_refuse(const struct image *image, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same where WHERE is a program header. */
bool image_refuse_header(const struct image *image, unsigned header, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
