/*
 * Writes a cpio archive in the form "newc", of which Linux makes its first file system (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst): a header of hexadecimal digits, the
 * name and the content, each from a multiple of 4 on.  All belongs to root.
 *
 *     struct cpio cpio = {.out = stream};
 *     cpio_folder(&cpio, "bin");
 *     cpio_file(&cpio, "bin/tool", 0755, bytes, size);
 *     if (!cpio_end(&cpio)) ...
 *
 * Whether writing failed is known at the end.
 */
#ifndef VMM_BOOT_CPIO_H
#define VMM_BOOT_CPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cpio {
	FILE *out;       /* the caller's; the archive begins where it is, at a multiple of 4 */
	uint64_t size;   /* bytes written so far */
	uint32_t number; /* of the last entry */
	bool failed;
};

/* name: without a slash at its beginning; the folders that it lies in come before it.  A file of
 * 4 GiB or more fails. */
void cpio_folder(struct cpio *cpio, const char *name);
void cpio_file(struct cpio *cpio, const char *name, unsigned mode, const void *bytes, size_t size);
/* A device that handles characters. */
void cpio_device(struct cpio *cpio, const char *name, unsigned mode, unsigned major,
                 unsigned minor);
/* The last entry, and zeros up to a multiple of 512, as cpio(1) has it.  False: something could not
 * be written. */
bool cpio_end(struct cpio *cpio);

#endif
