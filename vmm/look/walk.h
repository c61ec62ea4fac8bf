/* --walk: one translation level by level, and what each kind of access would get and why. */
#ifndef VMM_LOOK_WALK_H
#define VMM_LOOK_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "vmm/look/look.h"
#include "vmm/look/places.h"

/* VA[@cr3=ROOT], as the user wrote it. */
struct walk_request {
	const char *text; /* all of it; the command line's */
	size_t address;   /* bytes of text before '@' */
	enum {
		WALK_ALL, /* through every root */
		WALK_KERNEL,
		WALK_USER,
		WALK_CR3, /* through the tree that `cr3` names */
	} through;
	uint64_t cr3;
};

/* Splits and checks the word, except whether a symbol exists.  False after a message. */
bool walk_parse(struct walk_request *request, const char *text);
/* The address: "0x..." or hexadecimal digits, or a symbol with or without "+OFFSET" (decimal, or
 * hexadecimal with 0x).  A symbol wins over digits that are its name.  False after a message. */
bool walk_address(const struct walk_request *request, const struct symbols *symbols, uint64_t *va);

/* False after a message: the root asked for does not exist. */
bool walk_print(FILE *out, struct look *look, const struct places *places,
                const struct walk_request *request, bool color);
/* The same as JSON, one line for each tree. */
bool walk_write_json(FILE *out, struct look *look, const struct places *places,
                     const struct walk_request *request);

#endif
