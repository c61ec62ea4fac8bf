/* What the page-table suites have in common: geometries, expected lists, a sanity check of a tree.
 */
#ifndef TESTS_UNIT_TREE_H
#define TESTS_UNIT_TREE_H

#include <check.h>

#include "shared/pt.h"
#include "tests/unit/arena.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* Everything that a processor can have, but keys; 46 bits of physical address. */
struct pt_geometry geometry(unsigned levels);

/* A tree of its own in an arena of its own. */
struct fixture {
	struct arena arena;
	struct pt pt;
};
void fixture_init(struct fixture *fix, unsigned levels, unsigned frames);
void fixture_done(struct fixture *fix);

/* Compares all of a tree with a list that ends with len 0.  leaves {0, 0, 0} is not compared. */
void tree_is(const struct pt *pt, const struct pt_run *wanted);
/* The same from start to end. */
void tree_part_is(const struct pt *pt, uint64_t start, uint64_t end, const struct pt_run *wanted);

/* Walks the raw tables: every table reached lies in the arena, its count is right, and none but
 * kept ones is empty.  Returns how many tables there are, the root among them, shared ones not. */
unsigned tree_sane(const struct pt *pt);

/* The entry of va at this level, to spoil it or look at it. */
uint64_t *tree_slot(const struct pt *pt, uint64_t va, unsigned level);

/* Compare the details of a change: nothing to flush; this to flush; failed at this entry. */
void no_flush(const struct pt_change *change);
void flush_is(const struct pt_change *change, uint64_t start, uint64_t end, uint64_t pages,
              bool global, bool widened);
void fail_is(const struct pt_change *change, uint64_t va, unsigned level);

/* Wants a status, and says in words what came instead. */
#define want(got_, wanted_)                                                                        \
	do {                                                                                       \
		enum pt_status want_got = (got_);                                                  \
		check_that(want_got == (wanted_), "%s: got \"%s\", wanted \"%s\"", #got_,          \
		           pt_status_text(want_got), pt_status_text(wanted_));                     \
	} while (0)

Suite *suite_pt_change(void);
Suite *suite_pt_share(void);
Suite *suite_pt_failures(void);
Suite *suite_pt_look(void);
Suite *suite_pt_explain(void);
Suite *suite_pt_model(void);
Suite *suite_pt_text(void);
Suite *suite_desc(void);
Suite *suite_memory(void);
Suite *suite_pcid(void);

#endif
