/*
 * One rule of --audit that is being asked: what it may look at, and where it puts what it finds.
 * Only for the files that have rules (rules.h) and for the list of them (audit.c).
 */
#ifndef VMM_LOOK_RULE_H
#define VMM_LOOK_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/look/boundary.h"
#include "vmm/look/look.h"
#include "vmm/look/places.h"

enum {
	AUDIT_FINDINGS_MAX = 8, /* of one rule that are kept; the others are counted */
	AUDIT_REMARKS_MAX = 6,
	AUDIT_TEXT = 160,
};

enum audit_verdict { AUDIT_KEPT, AUDIT_BROKEN, AUDIT_NOT_ASKED };

struct audit_result {
	const char *name;      /* "user-root", short and stable: for scripts */
	const char *text;      /* the rule, in a sentence */
	const char *not_asked; /* AUDIT_NOT_ASKED: why */
	enum audit_verdict verdict;
	uint64_t findings; /* how often it is broken */
	struct audit_finding {
		char text[AUDIT_TEXT];
	} finding[AUDIT_FINDINGS_MAX];
	/* What is no fault, and yet to be known. */
	unsigned remarks;
	struct audit_finding remark[AUDIT_REMARKS_MAX];
};

struct asking {
	struct look *look;
	const struct places *places;
	const struct boundary *boundary;
	struct audit_result *result;
	const bool *vast;    /* of each root: more tables than are looked at */
	enum look_root root; /* the one being scanned */
	/* Of single rules. */
	uint64_t ranges;           /* compare_kvm: so far */
	uint32_t pt_rule;          /* note_finding: the one of pt_audit's rules that counts */
	const struct place *place; /* check_place: the one being compared */
	uint64_t next;             /* the first address behind what was seen */
	uint64_t stretch;          /* measure_stack: bytes mapped in a row up to there */
	uint64_t pages;            /* counted */
};

#define RULE_KERNEL_HALF (UINT64_C(1) << 63)

__attribute__((format(printf, 2, 3))) void rule_found(struct asking *asking, const char *format,
                                                      ...);
__attribute__((format(printf, 2, 3))) void rule_remark(struct asking *asking, const char *format,
                                                       ...);
/* A range of the root that is being scanned, and what is wrong with it. */
void rule_found_run(struct asking *asking, const struct pt_run *run, const char *what);

const char *rule_root_name(const struct asking *asking);
unsigned rule_roots(const struct asking *asking);
/* Runs of one root inside [start, end], both inclusive; `each` gets *asking. */
void rule_each_run(struct asking *asking, enum look_root root, uint64_t start, uint64_t end,
                   bool (*each)(void *ctx, const struct pt_run *run));
void rule_each_run_of_all(struct asking *asking, uint64_t start, uint64_t end,
                          bool (*each)(void *ctx, const struct pt_run *run));

#endif
