/*
 * Files of kernels of all boot protocols, made here, and booting them as far as the first
 * instruction: the whole way through boot_open, load, build and start, over fake_kvm.
 *
 * Each has MADE_SIZE bytes, its kernel in the last MADE_TEXT of them, byte i of which is i % 251
 * but where a header lies.
 */
#ifndef TESTS_UNIT_VMM_MADE_KERNEL_H
#define TESTS_UNIT_VMM_MADE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/protocol.h"

enum made_kind {
	MADE_BZIMAGE,
	MADE_BZIMAGE_32, /* without a 64-bit entry */
	MADE_VMLINUX,
	MADE_PVH,
	MADE_PVH_32, /* in a 32-bit ELF file */
	MADE_MULTIBOOT,
	MADE_MULTIBOOT_ELF,
	MADE_MULTIBOOT2,
	MADE_MULTIBOOT2_ELF,
	MADE_ELF32,
	MADE_KINDS,
};

enum {
	MADE_TEXT = 0x1000,
	MADE_AT = 0x1000, /* of the text, in the file; of a Multiboot header, too */
	MADE_SIZE = MADE_AT + MADE_TEXT,
	MADE_NOTE = 0x400, /* where an ELF file's notes are */
	MADE_NOTES = 64,   /* bytes */
	MADE_SECTORS = MADE_AT / 512 - 1,
	MADE_ENTRY = 0x100, /* behind the beginning of the text */
	MADE_INIT_SIZE = 0x200000,
	MADE_GPA = 0x100000,        /* where the text goes ... */
	MADE_LINUX_GPA = 0x1000000, /* ... but Linux's */
	MADE_MEMORY = 0x3000,       /* an ELF file's bytes in memory */
	MADE_RAM = 64 << 20,
};

struct made {
	uint8_t bytes[MADE_SIZE];
	size_t size; /* that are written to the file */
	bool packed; /* by gzip */
};

/* The static one, made anew. */
struct made *made_kernel(enum made_kind kind);
/* `size` bytes at offset `at`, little-endian. */
void made_set(struct made *made, size_t at, unsigned size, uint64_t value);
/* Makes a Multiboot header's checksum right again. */
void made_sum(struct made *made);

/* What a test wants, what was said, and what came of it. */
struct booted {
	struct plan plan;
	struct host host;
	struct image image;
	struct memory memory;
	struct boot boot;
	char said[2048]; /* on standard error */
};

extern struct booted *const booted;

/* Before a test: MADE_RAM, one CPU, no words; nothing booted.  After it: all of it is gone. */
void booted_begin(void);
void booted_end(void);
/* plan.initrd becomes a file with these bytes, until booted_end. */
void booted_give(const void *bytes, size_t size);
/* Writes the file and boots it; whatever was booted before is gone.  False: it was refused. */
bool booted_boot(const struct made *made);
/* That it boots; that it does not, with a message that has these words in it. */
void boots(const struct made *made);
void is_refused_for(const struct made *made, const char *words);

#endif
