/*
 * --audit: whether both roots keep the rules that the ring 3 / ring 0 boundary rests on.
 *
 * Most rules bind every kernel: those of any sane tree, of what the processor itself goes by, and
 * of two roots where there are two.  The others are those of the address space in shared/abi.h, and
 * bind only a guest that promised to keep to it with its note.
 */
#ifndef VMM_LOOK_AUDIT_H
#define VMM_LOOK_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "vmm/look/rule.h"

enum { AUDIT_RULES = 27 };

struct audit {
	struct audit_result result[AUDIT_RULES];
	unsigned kept, broken;
	unsigned late; /* not asked, or not to the end, because it was time to end */
	uint64_t
	    kernel_half; /* bytes of it that ring 3's root maps: the user root, or the only one */
	struct boundary boundary;
};

/* Asks every rule, while there is time.  *audit is large: not for a small stack. */
void audit_make(struct audit *audit, struct look *look, const struct places *places);

void audit_print(FILE *out, const struct look *look, const struct audit *audit, bool color);
/* NULL when memory runs out. */
json_t *audit_json(const struct look *look, const struct audit *audit);

#endif
