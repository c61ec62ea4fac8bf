#include "tests/unit/arena.h"

#include <stdlib.h>
#include <string.h>

void arena_init(struct arena *arena, unsigned frames)
{
	*arena = (struct arena){
	    .frame = calloc(frames, sizeof(*arena->frame)),
	    .out = calloc(frames, sizeof(*arena->out)),
	    .frames = frames,
	};
	ck_assert_ptr_nonnull(arena->frame);
	ck_assert_ptr_nonnull(arena->out);
}

void arena_done(struct arena *arena)
{
	ck_assert_msg(!arena->live, "%u frames leaked", arena->live);
	free(arena->frame);
	free(arena->out);
}

void arena_fail_at(struct arena *arena, unsigned n)
{
	arena->calls = 0;
	arena->fail_at = n;
}

static bool arena_alloc(void *ctx, uint64_t *frame)
{
	struct arena *arena = ctx;

	arena->calls++;
	if (arena->fail_at && arena->calls >= arena->fail_at)
		return false;
	for (unsigned i = arena->live; i < arena->live + arena->frames; i++) {
		unsigned at = i % arena->frames;

		if (arena->out[at])
			continue;
		arena->out[at] = true;
		arena->live++;
		*frame = ARENA_BASE + (uint64_t)at * 4096;
		return true;
	}
	return false;
}

static void arena_free(void *ctx, uint64_t frame)
{
	struct arena *arena = ctx;
	uint64_t at = (frame - ARENA_BASE) / 4096;

	check_that(frame >= ARENA_BASE && !(frame % 4096) && at < arena->frames,
	           "freed 0x%lx, which is no frame", frame);
	check_that(arena->out[at], "frame 0x%lx freed twice", frame);
	for (unsigned i = 0; i < 512; i++)
		check_that(!arena->frame[at][i], "freed frame 0x%lx: entry %u is 0x%lx", frame, i,
		           arena->frame[at][i]);
	arena->out[at] = false;
	arena->live--;
}

static uint64_t *arena_at(void *ctx, uint64_t frame)
{
	struct arena *arena = ctx;
	uint64_t at = (frame - ARENA_BASE) / 4096;

	if (frame < ARENA_BASE || at >= arena->frames || !arena->out[at])
		return NULL;
	return arena->frame[at];
}

struct pt_memory arena_memory(struct arena *arena)
{
	return (struct pt_memory){arena, arena_alloc, arena_free, arena_at};
}

struct arena_copy arena_copy(const struct arena *arena)
{
	struct arena_copy copy = {
	    .frame = malloc(arena->frames * sizeof(*copy.frame)),
	    .out = malloc(arena->frames * sizeof(*copy.out)),
	};

	ck_assert_ptr_nonnull(copy.frame);
	ck_assert_ptr_nonnull(copy.out);
	memcpy(copy.frame, arena->frame, arena->frames * sizeof(*copy.frame));
	memcpy(copy.out, arena->out, arena->frames * sizeof(*copy.out));
	return copy;
}

void arena_same(const struct arena *arena, struct arena_copy *copy)
{
	for (unsigned i = 0; i < arena->frames; i++) {
		check_that(arena->out[i] == copy->out[i], "frame %u: out %d, wanted %d", i,
		           arena->out[i], copy->out[i]);
		for (unsigned j = 0; j < 512; j++)
			check_that(arena->frame[i][j] == copy->frame[i][j],
			           "frame %u entry %u: got 0x%lx, wanted 0x%lx", i, j,
			           arena->frame[i][j], copy->frame[i][j]);
	}
	free(copy->frame);
	free(copy->out);
}
