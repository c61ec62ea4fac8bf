/*
 * --audit: whether both roots keep the rules that the ring 3 / ring 0 boundary rests on.
 *
 * The rules of any sane tree come from pt_audit; the others are those of the address space in
 * shared/abi.h, and bind only a guest that promised to keep to it with its note.
 */
#ifndef VMM_LOOK_AUDIT_H
#define VMM_LOOK_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "vmm/look/look.h"
#include "vmm/look/places.h"

enum { AUDIT_FINDINGS_MAX = 8 }; /* of one rule that are kept; the others are counted */

enum audit_verdict { AUDIT_KEPT, AUDIT_BROKEN, AUDIT_NOT_ASKED };

struct audit_result {
	const char *name;      /* "user-root", short and stable: for scripts */
	const char *text;      /* the rule, in a sentence */
	const char *not_asked; /* AUDIT_NOT_ASKED: why */
	enum audit_verdict verdict;
	uint64_t findings; /* how often it is broken */
	struct audit_finding {
		char text[160];
	} finding[AUDIT_FINDINGS_MAX];
};

enum { AUDIT_RULES = 19 };

struct audit {
	struct audit_result result[AUDIT_RULES];
	unsigned kept, broken;
	unsigned late; /* not asked, or not to the end, because it was time to end */
};

/* Asks every rule, while there is time.  *audit is large: not for a small stack. */
void audit_make(struct audit *audit, struct look *look, const struct places *places);

void audit_print(FILE *out, const struct look *look, const struct audit *audit, bool color);
/* NULL when memory runs out. */
json_t *audit_json(const struct look *look, const struct audit *audit);

#endif
