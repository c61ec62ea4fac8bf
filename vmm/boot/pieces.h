/* The pieces of another kernel's file: where each goes in guest RAM, by guest-physical address. */
#ifndef VMM_BOOT_PIECES_H
#define VMM_BOOT_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/image.h"
#include "vmm/boot/plan.h"

/* One more: `filesz` bytes of the file from `offset` on, zero up to `memsz`.  `what` names it for
 * the message that refuses it: beyond the file or RAM, or where boot data lie (pc_map.h).  A piece
 * of no bytes is none. */
bool pieces_add(struct image *image, const struct plan *plan, const char *what, struct piece piece);

/* All PT_LOAD segments of the ELF file, of 32 or 64 bits and for x86, at their p_paddr; and its
 * entry: e_entry, which, where it is an address in a segment's p_vaddr, is made the one in its
 * p_paddr.  False after a message. */
bool pieces_take_elf(struct image *image, const struct plan *plan);

/* Whether bytes of the file go there: an entry must be such a place. */
bool pieces_hold(const struct image *image, uint64_t gpa);

/* The descriptor of the first note of this name and type, at most `size` bytes of it; the rest of
 * `to` stays.  Bytes copied; 0: there is none.  Says nothing. */
unsigned pieces_find_note(const struct image *image, const char *name, uint32_t type, void *to,
                          unsigned size);
/* Whether there is a note of this name, of whatever type. */
bool pieces_have_note(const struct image *image, const char *name);

/* Copies all into RAM.  False after a message: reading fails. */
bool pieces_load(const struct image *image, const struct memory *memory);
/* The first page behind all of them. */
uint64_t pieces_end(const struct image *image);

#endif
