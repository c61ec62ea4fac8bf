/* One crossing as a list of instructions, and how it is written down. */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_ROWS_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "vmm/engine/code.h"
#include "vmm/look/lines.h"
#include "vmm/look/symbols.h"

enum { ANATOMY_ROWS_MAX = 1 << 20 };

/* The state before one instruction. */
struct anatomy_row {
	uint64_t rip, rsp, cr3, gs_base, rflags;
	uint8_t cpl;
	bool user_root; /* CR3 does not map the kernel's text */
	uint8_t kind;   /* enum engine_code_kind */
	uint8_t size;   /* bytes of the instruction, 0: none */
	uint32_t reads, writes;
	uint8_t bytes[15];
	char *hardware; /* what the processor did between this instruction and the next; owned */
};

/* What the names of stacks come from: our guest's layout; else the TSS. */
struct anatomy_stacks {
	bool ours;
	uint64_t rsp0, ist[7];
};

struct anatomy {
	const char *name;         /* "SYSCALL", "INT 0x80", ... */
	char title[160];          /* which one, in words */
	char machine[160];        /* KPTI mode, and what is odd here */
	struct anatomy_row *rows; /* the last one is the first instruction after the return */
	size_t count;
	struct anatomy_stacks stacks;
	bool cut; /* there were more than ANATOMY_ROWS_MAX */
	uint64_t exits;
	uint64_t
	    pushed; /* words that the processor itself pushed and popped at entries and returns */
};

/* What the columns show: whose stack an address is on.  Of a kernel that is not ours: "user", the
 * stack of an IST, the page below RSP0, or "kernel" ... */
const char *anatomy_stack_name(const struct anatomy_stacks *stacks, uint64_t rsp);
/* ... and what RSP holds at a row of *anatomy.  Entry code uses it for other things, such as a
 * value of CR3: then "none". */
const char *anatomy_row_stack(const struct anatomy *anatomy, const struct anatomy_row *row);

/* The rows' instructions are decoded with `code` once more. */
struct anatomy_words {
	const struct symbols *symbols;
	const struct lines *lines;
	struct engine_code *code;
	bool color;
};
/* For a person, 100 columns.  Long stretches of C code are folded. */
void anatomy_print(FILE *out, const struct anatomy *anatomy, const struct anatomy_words *words);
/* For a program, JSON: first what it is, then the rows, then the sums, an object each, which is not
 * take's to keep.  False when `take` said so, or after a message without memory. */
bool anatomy_objects(const struct anatomy *anatomy, const struct anatomy_words *words,
                     bool (*take)(void *ctx, const json_t *object), void *ctx);
/* The same written down: JSON Lines.  As with all that is printed, write errors stay in `out`. */
bool anatomy_print_json(FILE *out, const struct anatomy *anatomy,
                        const struct anatomy_words *words);
/* One more such line, of an object that it lets go of; NULL, for there was no memory: false after a
 * message. */
bool anatomy_write_object(FILE *out, json_t *object);

#endif
