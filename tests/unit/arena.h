/*
 * Memory for page tables under test: frames from one block, with every misuse noticed.
 *
 * A frame is handed out zeroed and must come back zeroed.  `at` knows only frames that are out, so
 * whoever follows a pointer to a table that was freed gets NULL instead of old contents.
 */
#ifndef TESTS_UNIT_ARENA_H
#define TESTS_UNIT_ARENA_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/pt.h"

/* ck_assert_msg writes a mark to a pipe each time; this costs nothing as long as all is well, and
 * is for what is asked a million times. */
#define check_that(condition, ...)                                                                 \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg(__VA_ARGS__);                                                 \
	} while (0)

/* Frames begin here and not at 0, so that a frame and an index are never mixed up unseen. */
#define ARENA_BASE 0x7654000

struct arena {
	uint64_t (*frame)[512];
	bool *out;        /* by frame: handed out */
	unsigned frames;  /* how many there are */
	unsigned live;    /* how many are out */
	unsigned calls;   /* of alloc, since arena_fail_at */
	unsigned fail_at; /* the call that fails, and all after it; 0: none */
};

void arena_init(struct arena *arena, unsigned frames);
/* Fails the test when a frame is still out. */
void arena_done(struct arena *arena);
/* From the n-th call on (1: the next) alloc says no; 0 ends it. */
void arena_fail_at(struct arena *arena, unsigned n);
struct pt_memory arena_memory(struct arena *arena);

/* A copy of everything, to compare with later. */
struct arena_copy {
	uint64_t (*frame)[512];
	bool *out;
};
struct arena_copy arena_copy(const struct arena *arena);
/* Fails the test when a frame or what is out differs; frees the copy. */
void arena_same(const struct arena *arena, struct arena_copy *copy);

#endif
