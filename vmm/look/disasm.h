/* Machine code as assembly text, a few instructions around one of them (Capstone). */
#ifndef VMM_LOOK_DISASM_H
#define VMM_LOOK_DISASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/look/symbols.h"

enum {
	DISASM_BEFORE = 64, /* bytes before the instruction that are worth giving */
	DISASM_AFTER = 48,  /* bytes from it on */
};

struct disasm_input {
	const uint8_t *code; /* hostile */
	size_t size;         /* bytes of code */
	size_t at;           /* where in it the instruction begins, at most size */
	uint64_t address;    /* of that instruction */
	unsigned bits;       /* 16, 32 or 64 */
	const struct symbols *symbols;
};

/* Writes one line an instruction, up to three before, the one marked "=>", and up to three after,
 * each line behind `indent`.  Where instructions before it begin is a guess (from the symbol, or by
 * trying): one that ends just at it. */
void disasm_print(FILE *out, const char *indent, const struct disasm_input *in);

#endif
