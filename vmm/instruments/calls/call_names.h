/* Names of system calls, out of a running Linux: its table leads to functions, and its symbols name
 * those. */
#ifndef VMM_INSTRUMENTS_CALLS_CALL_NAMES_H
#define VMM_INSTRUMENTS_CALLS_CALL_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/look/symbols.h"
#include "vmm/look/view.h"

enum { CALL_NAMES_MAX = 512 };

struct call_names {
	const struct symbols *symbols;
	uint64_t function[CALL_NAMES_MAX]; /* by number; 0: not known */
	unsigned count;                    /* 0: no table has been read */
};

/* Reads the table through a root that maps the kernel; the symbols stay the caller's.  Whatever is
 * missing: no names. */
void call_names_read(struct call_names *names, const struct symbols *symbols,
                     const struct view *view);

/* "getppid", or "call 110" where there is no name.  Returns buf. */
const char *call_name_text(const struct call_names *names, uint64_t number, char *buf, size_t size);

/* How many arguments a call of this name has, 0 to 6; 6 for one that is not in the short list of
 * those that have fewer. */
unsigned call_argument_count(const char *name);

/* A result as Linux gives it: "3", "0x7f0000001000", "-2 (No such file or directory)".  Returns
 * buf. */
const char *call_result_text(uint64_t result, char *buf, size_t size);

#endif
