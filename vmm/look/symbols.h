/*
 * Names for addresses, from the symbol table of the guest's file (ELF gABI, chapter 4).  Read when
 * a guest has died, never before; the file is hostile, and one without a usable table has no names.
 */
#ifndef VMM_LOOK_SYMBOLS_H
#define VMM_LOOK_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct symbol {
	uint64_t address, size; /* size 0: up to the next symbol */
	char *name;             /* printable ASCII, at most 63 bytes; owned */
};

struct symbols {
	struct symbol *list; /* sorted by address; NULL: none */
	size_t count;
};

/* Reads functions, objects and labels of the file.  Whatever is wrong with it: no symbols. */
struct symbols symbols_read(const char *path);
void symbols_free(struct symbols *symbols);

/* The symbol that the address belongs to; NULL when there is none. */
const struct symbol *symbols_find(const struct symbols *symbols, uint64_t address);
/* " <name+0x12>", or "" without a symbol: for behind an address.  Returns buf. */
const char *symbols_text(const struct symbols *symbols, uint64_t address, char *buf, size_t size);
/* The address with that behind it: "0x401234 <name+0x12>".  Returns buf. */
const char *symbols_place(const struct symbols *symbols, uint64_t address, char *buf, size_t size);

#endif
