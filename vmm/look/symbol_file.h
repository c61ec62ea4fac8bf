/*
 * Symbols out of a file that the user names (--symbols FILE), whatever it is called; its content
 * says what it is:
 *
 * - an ELF file: its symbol table, or, of a Linux that has none (stripped, not compressed), its
 *   kallsyms tables (kallsyms.h);
 * - a System.map, or what nm(1) prints: lines of ADDRESS TYPE NAME, in hexadecimal, of which types
 * A and a are absolute;
 * - a copy of /proc/kallsyms: the same, with "[module]" behind some, which is left out.
 *
 * The file is hostile: a line has at most 1,023 bytes, a table 2^20 symbols, an ELF file that is
 * searched for kallsyms tables 512 MiB.  Addresses are those of the file: where
 * the kernel has moved, symbols_slide says how far.
 */
#ifndef VMM_LOOK_SYMBOL_FILE_H
#define VMM_LOOK_SYMBOL_FILE_H

#include <stdbool.h>

#include "vmm/look/symbols.h"

/* Reads the file; the caller frees the symbols, of which there is at least one.  False after a
 * message: it is unreadable or none of these, or it has no addresses (a stub in Debian's packages;
 * /proc/kallsyms copied by somebody who may not see them). */
bool symbol_file_read(const char *path, struct symbols *symbols);

#endif
