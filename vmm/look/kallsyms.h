/*
 * The symbols that a running Linux has of itself (CONFIG_KALLSYMS), out of the bytes of its image:
 * a kernel without a symbol table in its file, as distributions ship them, still has names.
 *
 * The tables, as scripts/kallsyms writes them into the kernel's .rodata, little-endian, each at a
 * multiple of 8:
 *
 *     num_syms       u32; the names follow it
 *     names          of each symbol, in the order of addresses: a length in bytes (from 6.1 on in
 * two bytes if above 127: seven bits, then the rest), and so many tokens markers        u32 of
 * every 256th symbol: where in names it begins token_table    256 strings, one for each token; a
 * name begins with its type as nm(1) has it token_index    u16 of each token: where its string
 * begins; follows token_table offsets        i32 of each symbol; relative_base, u64, follows them
 *
 * Older kernels have offsets first, those from about 6.4 on last, and other tables lie in between:
 * so all are found by what must be true of them, and only what is said above to follow is looked
 * for nearby.
 *
 * An offset is one of two things, and the table shows which.  With KALLSYMS_ABSOLUTE_PERCPU (x86-64
 * until 6.14) a negative one o stands for relative_base - 1 - o, and another one is absolute.
 * Without it all are unsigned, from relative_base on.
 */
#ifndef VMM_LOOK_KALLSYMS_H
#define VMM_LOOK_KALLSYMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/look/symbols.h"

/*
 * Finds the tables in `size` bytes and decodes them.  `bytes` begins at a page of the image, or is
 * an uncompressed ELF file: what counts is that it is aligned by 8 as memory is.  It is hostile,
 * may hold anything in any order, and must not change meanwhile.  Where several sets of tables lie,
 * the first one that is whole counts.
 *
 * True: `symbols` is the table, without sizes, which the caller frees; and `base` is relative_base,
 * the address of the first symbol of the image, which is _text.  In the memory of a kernel that has
 * moved (KASLR) all are where they are now: the slide is base - 0xffffffff81000000 unless the
 * kernel is linked elsewhere.
 *
 * False: there are no such tables (a kernel without CONFIG_KALLSYMS, or that has not decompressed
 * itself yet), or fewer than 1,000 or more than 2^20 symbols, or no memory; nothing is to be freed.
 *
 * The time is linear in `size`: whatever the bytes are, at most two steps a byte and 2^24 more.
 */
bool kallsyms_find(const uint8_t *bytes, size_t size, struct symbols *symbols, uint64_t *base);

#endif
