/*
 * The guest's file: checked to the last header field, then copied into guest RAM (System V ABI,
 * chapters 4 and 5, and the x86-64 supplement; read with libelf).
 *
 * Decode first, then perform: image_open touches no guest memory and refuses whatever is wrong
 * with one message that names the file, the header, the field, its value and what was allowed.
 * image_file.c reads, image_check.c looks at the whole.
 */
#ifndef VMM_BOOT_IMAGE_H
#define VMM_BOOT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"
#include "vmm/base/memory.h"

/* One PT_LOAD segment of at least one byte. */
struct segment {
	unsigned header;         /* number of its program header, from 0 */
	uint64_t offset, filesz; /* its bytes in the file */
	uint64_t va, gpa, memsz; /* where they go; the rest is zero */
	uint32_t flags;          /* the ELF's PF_R 4, PF_W 2, PF_X 1; never W with X */
};

struct image {
	const char *path;
	int fd; /* -1: closed */
	uint64_t file_size;
	uint64_t entry; /* VA, in an executable segment */
	unsigned count;
	struct segment segments[RS_MAX_SEGMENTS]; /* in the file's order */
	uint64_t end; /* GPA behind the last segment, rounded up to a page */
	bool noted;   /* the file has a Ringscope note: */
	struct rs_note note;
};

/* A struct image that image_close accepts. */
#define IMAGE_CLOSED ((struct image){.fd = -1})

static inline bool segment_is_user(const struct segment *segment)
{
	return segment->va < RS_USER_END;
}
/* The segment in whole pages. */
static inline uint64_t segment_page_va(const struct segment *segment)
{
	return segment->va & ~(uint64_t)(PAGE_SIZE - 1);
}
static inline uint64_t segment_page_gpa(const struct segment *segment)
{
	return segment->gpa & ~(uint64_t)(PAGE_SIZE - 1);
}
static inline uint64_t segment_page_size(const struct segment *segment)
{
	uint64_t bytes = segment->memsz + (segment->va & (PAGE_SIZE - 1));

	return (bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

/* Opens and checks the file at `path` for RAM of `ram_size` bytes.  False after a message;
 * image_close is due in both cases.  `path` stays the caller's. */
bool image_open(struct image *image, const char *path, uint64_t ram_size);
/* Copies the segments into guest RAM, which is all zero before.  False after a message: only when
 * reading fails. */
bool image_place(const struct image *image, const struct memory *memory);
/* Whether these bytes lie anywhere in an executable segment, as image_place has put it into memory.
 */
bool image_has_code(const struct image *image, const struct memory *memory, const char *bytes,
                    size_t size);
void image_close(struct image *image);

#endif
