/*
 * Names for addresses: a table of symbols, sorted by address, and what is asked of one.  Where it
 * comes from: the guest's file (symbols_read), a file that the user names (symbol_file.h), or the
 * tables in a running Linux (kallsyms.h).
 *
 * What a symbol covers: `size` bytes; without a size, what is between it and the next one, and
 * never more than 64 KiB.  So an address far behind the last symbol has none.  Among several that
 * begin at one address and are of one size, the one with the fewest leading underscores is found,
 * and of these the one that was added first.
 *
 * Absolute symbols are no places in memory: Linux's per-CPU variables, which are offsets from the
 * GS base, have values that are ordinary addresses of a process.  They lie apart, and only
 * symbols_offset finds them.
 */
#ifndef VMM_LOOK_SYMBOLS_H
#define VMM_LOOK_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol {
	uint64_t address, size; /* size 0: up to the next symbol */
	const char *name;       /* printable ASCII, at most 63 bytes; a longer one ends in "..." */
};

struct symbols {
	struct symbol *list; /* sorted by address; NULL: none; owned */
	size_t count;
	size_t absolute; /* absolute symbols: list[count] and on */
	char *names;     /* where all the names lie, in one piece; owned; NULL: the caller's */
};

/* Reads functions, objects and labels of an ELF file (ELF gABI, chapter 4), which is hostile: read
 * when a guest has died, never before.  Whatever is wrong with it: no symbols. */
struct symbols symbols_read(const char *path);
/* Harmless on one that is all zero, as it is afterwards. */
void symbols_free(struct symbols *symbols);

/* The symbol that the address belongs to; NULL when there is none.  Its own address says how far
 * into it that is: 0 bytes where a function begins.  A binary search. */
const struct symbol *symbols_find(const struct symbols *symbols, uint64_t address);
/* The symbol of this name, the lowest if there are several (static functions share names), or
 * NULL.  A linear search. */
const struct symbol *symbols_lookup(const struct symbols *symbols, const char *name);
/* The same among the absolute ones: `address` is the offset of a per-CPU variable. */
const struct symbol *symbols_offset(const struct symbols *symbols, const char *name);
/* " <name+0x12>", or "" without a symbol: for behind an address.  Returns buf. */
const char *symbols_text(const struct symbols *symbols, uint64_t address, char *buf, size_t size);
/* The address with that behind it: "0x401234 <name+0x12>".  Returns buf. */
const char *symbols_place(const struct symbols *symbols, uint64_t address, char *buf, size_t size);

/* ---- A kernel that has moved (KASLR) --------------------------------------------------------- */

/* What is known of the running machine: LSTAR is the address of entry_SYSCALL_64, gate 14 of the
 * IDT that of asm_exc_page_fault. */
struct symbol_place {
	const char *name;
	uint64_t address;
};

/* How far the kernel lies from where the table has it (modulo 2^64).  Of the places those count
 * whose names the table has; they must agree, and on whole 4 KiB pages.  False: no place counts, or
 * the table is of another kernel or build. */
bool symbols_slide(const struct symbols *symbols, const struct symbol_place *places, size_t count,
                   uint64_t *slide);
/* Moves all symbols by it; absolute ones stay. */
void symbols_shift(struct symbols *symbols, uint64_t slide);

/* ---- Making one ------------------------------------------------------------------------------ */

/* The size of an absolute symbol that is added. */
#define SYMBOL_ABSOLUTE UINT64_MAX

struct symbol_maker {
	struct symbol *list; /* names are set at the end */
	size_t count, room;
	char *names;
	size_t used, names_room;
};

/* Adds one; of the name at most `length` bytes up to a NUL, others than printable ASCII as '?'.
 * False, and nothing is added: there is no memory, or 2^20 symbols are there (a hostile source). */
bool symbol_maker_add(struct symbol_maker *maker, struct symbol symbol, size_t length);
/* The table of what was added; the maker is empty then.  Absolute are those that say so and, where
 * __per_cpu_start is 0, all up to __per_cpu_end: a Linux linked with its per-CPU variables at 0. */
struct symbols symbol_maker_finish(struct symbol_maker *maker);
/* Forgets what was added. */
void symbol_maker_drop(struct symbol_maker *maker);
/* Adds what an open ELF file has; false when the descriptor is no ELF file or has no symbols. */
bool symbol_maker_add_elf(struct symbol_maker *maker, int fd);

#endif
