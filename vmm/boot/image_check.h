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

/* "vmm: FILE: WHERE: WHY", and false: how every check of a guest's file ends that fails. */
bool image_refuse(const struct image *image, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same where WHERE is a program header. */
bool image_refuse_header(const struct image *image, unsigned header, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
