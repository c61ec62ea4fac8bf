/*
 * The guest's file, as its boot protocol (vmm/boot/protocol.h) has understood it.
 *
 * An ELF file of Ringscope's own protocol is checked to the last header field, then copied into
 * guest RAM (System V ABI, chapters 4 and 5, and the x86-64 supplement).  Decode first, then
 * perform: image_open touches no guest memory and refuses whatever is wrong with one message that
 * names the file, the header, the field, its value and what was allowed.  image_file.c reads,
 * image_check.c looks at the whole.
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

/* A piece of another kernel's file; what is behind its bytes is zero. */
struct piece {
	uint64_t offset, filesz; /* in the file */
	uint64_t gpa, memsz;
};

enum {
	IMAGE_PIECES_MAX = 32,
	IMAGE_HEAD = 32768, /* as far as a Multiboot 2 header may lie */
};

struct boot_protocol;

struct image {
	const char *path;
	int fd; /* -1: closed */
	uint64_t file_size;
	const struct boot_protocol *protocol; /* NULL: not asked for (image_open) */
	uint64_t entry;                       /* VA, in an executable segment */
	unsigned count;
	struct segment segments[RS_MAX_SEGMENTS]; /* in the file's order */
	uint64_t end; /* GPA behind the last segment, rounded up to a page */
	bool noted;   /* the file has a Ringscope note: */
	struct rs_note note;

	/* Of the other protocols, which have no segments: what goes where, the GPA where it is
	 * entered, and the file's first bytes, in which their headers are. */
	unsigned piece_count;
	struct piece pieces[IMAGE_PIECES_MAX];
	uint64_t entry_gpa;
	bool bits32;      /* entered in 32-bit protected mode, else in long mode */
	size_t header;    /* where in the head the protocol's header begins */
	uint8_t *head;    /* owned; NULL: not read */
	size_t head_size; /* at most IMAGE_HEAD */
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

/* By image->head: whether it is an ELF file of 32 or 64 bits ... */
bool image_is_elf(const struct image *image, unsigned bits);
/* ... and whether one of 64 bits seems to have a Ringscope note; image_take looks closer. */
bool image_claims_note(struct image *image);

/* Opens and checks the ELF file at `path` for RAM of `ram_size` bytes.  False after a message;
 * image_close is due in both cases.  `path` stays the caller's. */
bool image_open(struct image *image, const char *path, uint64_t ram_size);
/* The same for a file that is open already. */
bool image_take(struct image *image, uint64_t ram_size);
/* Copies the segments into guest RAM, which is all zero before.  False after a message: only when
 * reading fails. */
bool image_place(const struct image *image, const struct memory *memory);
/* Whether these bytes lie anywhere in an executable segment, as image_place has put it into memory.
 */
bool image_has_code(const struct image *image, const struct memory *memory, const char *bytes,
                    size_t size);
void image_close(struct image *image);

#endif
