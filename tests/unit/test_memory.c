/*
 * The guest's user memory (guest/memory.h) on the host, over frames and address spaces of this
 * test: random calls against a model that knows only pages.  Each call is first made to fail at its
 * first allocation, then at its second, and so on until it goes through: what failed must have
 * changed nothing.
 *
 * RS_SEED=<number> repeats a run.
 */
#include "tests/unit/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/abi.h"

/* ---- Frames, in place of guest/frames.h ------------------------------------------------------ */

#define GUEST_FRAMES_H
#define FRAMES     2048
#define FRAME_BASE 0x100000 /* frame 0 is nobody's */

static struct {
	uint64_t words[FRAMES][512];
	bool out[FRAMES];
	unsigned live, calls, fail_at;
	bool failed; /* a call said no since fail_at was set */
} pool;

static void *frame_at(uint64_t gpa)
{
	check_that(gpa >= FRAME_BASE && gpa - FRAME_BASE < sizeof(pool.words),
	           "0x%lx is no address of a frame", gpa);
	return (char *)pool.words + (gpa - FRAME_BASE);
}

static bool take_frame(uint64_t *frame, bool zero)
{
	pool.calls++;
	if (pool.fail_at && pool.calls >= pool.fail_at) {
		pool.failed = true;
		return false;
	}
	for (unsigned i = 0; i < FRAMES; i++) {
		if (pool.out[i])
			continue;
		pool.out[i] = true;
		pool.live++;
		memset(pool.words[i], zero ? 0 : 0xee, PAGE_SIZE);
		*frame = FRAME_BASE + (uint64_t)i * PAGE_SIZE;
		return true;
	}
	return false;
}

static bool frame_alloc(uint64_t *frame)
{
	return take_frame(frame, true);
}

static bool frame_alloc_dirty(uint64_t *frame)
{
	return take_frame(frame, false);
}

static void frame_free(uint64_t frame)
{
	const uint64_t i = (frame - FRAME_BASE) / PAGE_SIZE;

	check_that(frame % PAGE_SIZE == 0 && i < FRAMES && pool.out[i],
	           "0x%lx is freed and was not out", frame);
	pool.out[i] = false;
	pool.live--;
}

static uint64_t frames_free(void)
{
	return FRAMES - pool.live;
}

static void frame_free_zero(uint64_t frame)
{
	const uint64_t *words = frame_at(frame);

	for (unsigned i = 0; i < 512; i++)
		check_that(!words[i], "frame 0x%lx comes back as zeros, word %u is 0x%lx", frame, i,
		           words[i]);
	frame_free(frame);
}

static bool table_alloc(void *ctx, uint64_t *frame)
{
	(void)ctx;
	return frame_alloc(frame);
}

static void table_free(void *ctx, uint64_t frame)
{
	(void)ctx;
	frame_free_zero(frame);
}

static uint64_t *table_at(void *ctx, uint64_t frame)
{
	(void)ctx;
	return frame >= FRAME_BASE && frame - FRAME_BASE < sizeof(pool.words) ? frame_at(frame)
	                                                                      : NULL;
}

#undef RS_DIRECT_BASE
#define RS_DIRECT_BASE ((uint64_t)pool.words - FRAME_BASE)

#include "guest/memory_areas.c"
#include "guest/memory_change.c"
#include "guest/memory_calls.c"
#include "guest/memory_life.c"

/* ---- What guest/space.c and guest/console.c are for in the guest ----------------------------- */

#define SLOT (UINT64_C(1) << 39)

bool space_create(struct space *space)
{
	const struct pt_geometry geo = {.levels = 4, .maxphyaddr = 40, .nx = true};
	const struct pt_memory mem = {NULL, table_alloc, table_free, table_at};

	if (pt_init(&space->user, geo, mem))
		return false;
	if (pt_init(&space->kernel, geo, mem) == PT_OK)
		return true;
	pt_destroy(&space->user);
	return false;
}

void space_destroy(struct space *space)
{
	pt_destroy(&space->kernel);
	pt_destroy(&space->user);
}

enum pt_status space_map(struct space *space, uint64_t va, uint64_t pa, uint64_t len,
                         uint32_t rights)
{
	return pt_map(&space->user, va, pa, len, rights | PT_USER | PT_SMALL, NULL);
}

enum pt_status space_mirror(struct space *space, uint64_t va, uint64_t len)
{
	const uint64_t first = va & ~(SLOT - 1), end = (va + len + SLOT - 1) & ~(SLOT - 1);

	return pt_share(&space->kernel, &space->user, first, end - first, PT_SHARE_NX, NULL);
}

enum pt_status space_unmap(struct space *space, uint64_t va, uint64_t len)
{
	const enum pt_status status = pt_unmap(&space->user, va, len, NULL);

	return status ? status : space_mirror(space, va, len);
}

void space_replace(struct space *space, uint64_t va, uint64_t pa, uint32_t rights)
{
	ck_assert_int_eq(
	    pt_map(&space->user, va, pa, PAGE_SIZE, rights | PT_USER | PT_SMALL | PT_REPLACE, NULL),
	    PT_OK);
}

uint32_t smp_cpus = 1;

void smp_lock_contended(void)
{
}

void smp_unlock_contended(void)
{
}

void panic(const struct rs_regs *regs, const char *format, ...)
{
	(void)regs;
	ck_abort_msg("panic: %s", format);
}

/* ---- Random numbers (SplitMix64) ------------------------------------------------------------- */

static uint64_t state;

static uint64_t any(void)
{
	uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
	return any() % n;
}

/* ---- The model ------------------------------------------------------------------------------- */

/* Two tables, so that one of them can be missing; the image's shared pages in the middle. */
#define PAGES  48
#define BASE   (UINT64_C(0x40200000) - 20 * PAGE_SIZE)
#define SHARED 16 /* pages from here ... */
#define SHARES 4  /* ... so many */

struct model_page {
	bool there, shared;
	uint32_t rights;
	uint64_t value; /* first word */
};

static struct model_page model[PAGES];
static uint64_t image; /* the frame that the first shared page shows */
static struct memory memory;

static uint64_t va_of(unsigned page)
{
	return BASE + (uint64_t)page * PAGE_SIZE;
}

/* The page's first word, wherever it waits; 0 where there is nothing yet. */
static uint64_t value_of(const struct memory *m, unsigned page)
{
	const struct model_page *want = &model[page];
	uint64_t frame;

	if (want->rights) {
		ck_assert(memory_frame_of(&m->space.user, va_of(page), &frame));
		return *(uint64_t *)frame_at(frame);
	}
	if (want->shared)
		return want->value;
	return memory_frame_of(&m->hidden, va_of(page), &frame) ? *(uint64_t *)frame_at(frame) : 0;
}

static void check_page(const struct memory *m, unsigned page)
{
	const struct model_page *want = &model[page];
	struct pt_walk user, kernel;

	pt_walk(&m->space.user, va_of(page), &user);
	pt_walk(&m->space.kernel, va_of(page), &kernel);
	check_that(user.mapped == (want->there && want->rights), "page %u: mapped %d", page,
	           user.mapped);
	check_that(kernel.mapped == user.mapped, "page %u: not mirrored", page);
	if (user.mapped)
		check_that(user.rights == want->rights && user.pa == kernel.pa &&
		               !(kernel.rights & PT_EXEC),
		           "page %u: rights 0x%x, wanted 0x%x; in the kernel root 0x%x", page,
		           user.rights, want->rights, kernel.rights);
	if (want->there)
		check_that(value_of(m, page) == want->value, "page %u: 0x%lx, wanted 0x%lx", page,
		           value_of(m, page), want->value);
}

/* Sorted, apart, and as few as can be; what they say of each page is so. */
static void check_areas(const struct memory *m)
{
	for (uint32_t i = 0; i < m->area_count; i++) {
		const struct area *a = &m->areas[i];

		check_that(a->len && !(a->len % PAGE_SIZE) && !(a->va % PAGE_SIZE), "area %u", i);
		if (i)
			check_that(a[-1].va + a[-1].len <= a->va && !area_alike(&a[-1], a),
			           "area %u", i);
	}
	for (unsigned page = 0; page < PAGES; page++) {
		const uint32_t i = area_above(m, va_of(page));
		const bool there = i < m->area_count && m->areas[i].va <= va_of(page);

		check_that(there == model[page].there, "page %u: in an area: %d", page, there);
		if (there)
			check_that(m->areas[i].rights == model[page].rights &&
			               m->areas[i].shared == model[page].shared,
			           "page %u: the area's rights 0x%x", page, m->areas[i].rights);
	}
}

static void check_memory(const struct memory *m)
{
	for (unsigned page = 0; page < PAGES; page++)
		check_page(m, page);
	check_areas(m);
}

static void begin(void)
{
	struct area area = {.va = va_of(SHARED),
	                    .len = SHARES * PAGE_SIZE,
	                    .rights = PT_USER | PT_EXEC,
	                    .shared = true};

	memset(&pool, 0, sizeof(pool));
	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < SHARES; i++) {
		uint64_t frame;

		ck_assert(frame_alloc(&frame));
		image = i ? image : frame;
		ck_assert_uint_eq(frame, image + i * PAGE_SIZE);
		*(uint64_t *)frame_at(frame) = 7000 + i;
		model[SHARED + i] = (struct model_page){true, true, area.rights, 7000 + i};
	}
	area.gpa = image;
	ck_assert(memory_create(&memory));
	ck_assert(add_area(&memory, &area, NULL));
	check_memory(&memory);
}

static void end(void)
{
	pool.fail_at = 0;
	memory_destroy(&memory);
	ck_assert_uint_eq(pool.live, SHARES);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

struct call {
	enum call_kind { MMAP_FIXED, MMAP_NOREPLACE, MUNMAP, MPROTECT, COPY, CALLS } kind;
	unsigned first, pages;
	uint32_t prot;
};

static const char *const call_names[] = {"mmap", "mmap, no replace", "munmap", "mprotect", "fork"};

static int64_t make(const struct call *call)
{
	const uint64_t va = va_of(call->first), len = (uint64_t)call->pages * PAGE_SIZE;
	const uint32_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct memory child;
	bool copied;

	switch (call->kind) {
	case MMAP_FIXED:
		return memory_mmap(&memory, va, len, call->prot, flags | MAP_FIXED, false);
	case MMAP_NOREPLACE:
		return memory_mmap(&memory, va, len, call->prot, flags | MAP_FIXED_NOREPLACE,
		                   false);
	case MUNMAP:
		return memory_munmap(&memory, va, len);
	case MPROTECT:
		return memory_mprotect(&memory, va, len, call->prot);
	default:
		if (!memory_create(&child))
			return -ENOMEM;
		copied = memory_copy(&child, &memory);
		if (copied)
			check_memory(&child);
		memory_destroy(&child);
		return copied ? 0 : -ENOMEM;
	}
}

static bool any_page(const struct call *call, bool there)
{
	for (unsigned i = 0; i < call->pages; i++)
		if (model[call->first + i].there == there)
			return true;
	return false;
}

/* What it must return where there is memory. */
static int64_t wanted(const struct call *call)
{
	switch (call->kind) {
	case MMAP_NOREPLACE:
		return any_page(call, true) ? -EEXIST : (int64_t)va_of(call->first);
	case MMAP_FIXED:
		return (int64_t)va_of(call->first);
	case MPROTECT:
		/* Whichever comes first in the range. */
		for (unsigned i = call->first; i < call->first + call->pages; i++) {
			if (!model[i].there)
				return -ENOMEM;
			if (model[i].shared && call->prot & PROT_WRITE)
				return -EACCES;
		}
		return 0;
	default:
		return 0;
	}
}

static void change_model(const struct call *call)
{
	for (unsigned i = call->first; i < call->first + call->pages; i++) {
		if (call->kind == MPROTECT)
			model[i].rights = rights_of(call->prot);
		else if (call->kind != COPY)
			model[i] = (struct model_page){
			    .there = call->kind != MUNMAP,
			    .rights = call->kind != MUNMAP ? rights_of(call->prot) : 0};
	}
}

/* Ring 3 writes into what it may write to. */
static void write_values(void)
{
	for (unsigned page = 0; page < PAGES; page++) {
		uint64_t frame;

		if (!(model[page].rights & PT_WRITE) || below(3))
			continue;
		ck_assert(memory_frame_of(&memory.space.user, va_of(page), &frame));
		*(uint64_t *)frame_at(frame) = model[page].value = any();
	}
}

static struct call any_call(void)
{
	struct call call = {.kind = (enum call_kind)below(CALLS), .prot = (uint32_t)below(8)};

	/* So that what matters is common: little ranges, and rights taken away. */
	call.pages = 1 + (unsigned)(below(2) ? below(4) : below(PAGES));
	call.first = (unsigned)below(PAGES - call.pages + 1);
	if (!below(3))
		call.prot = PROT_NONE;
	return call;
}

#define OPERATIONS 4000
#define SEQUENCES  4

static uint64_t first_seed;

START_TEST(calls_agree_with_the_model)
{
	state = first_seed + (uint64_t)_i;
	begin();
	for (unsigned step = 0; step < OPERATIONS; step++) {
		const struct call call = any_call();
		const int64_t want = wanted(&call);
		int64_t got;

		for (unsigned n = 1;; n++) {
			pool.calls = 0;
			pool.fail_at = n;
			pool.failed = false;
			got = make(&call);
			pool.fail_at = 0;
			if (!pool.failed)
				break;
			check_that(got == -ENOMEM, "seed %lu step %u: %s fails with %ld",
			           first_seed + (uint64_t)_i, step, call_names[call.kind],
			           (long)got);
			check_memory(&memory);
		}
		check_that(got == want,
		           "seed %lu step %u: %s of %u pages at %u, prot %u: %ld, wanted %ld",
		           first_seed + (uint64_t)_i, step, call_names[call.kind], call.pages,
		           call.first, call.prot, (long)got, (long)want);
		if (got >= 0)
			change_model(&call);
		check_memory(&memory);
		write_values();
	}
	end();
}
END_TEST

/* ---- Single answers -------------------------------------------------------------------------- */

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

START_TEST(errors_are_linux_s)
{
	const uint64_t va = va_of(0);

	begin();
	ck_assert_int_eq(memory_mmap(&memory, 0, 0, PROT_READ, ANON, false), -EINVAL);
	ck_assert_int_eq(memory_mmap(&memory, 0, UINT64_MAX, PROT_READ, ANON, false), -ENOMEM);
	ck_assert_int_eq(memory_mmap(&memory, 0, USER_TOP, PROT_READ, ANON, false), -ENOMEM);
	ck_assert_int_eq(memory_mmap(&memory, 0, UINT64_C(1) << 62, PROT_READ, ANON, false),
	                 -ENOMEM);
	ck_assert_int_eq(memory_mmap(&memory, va + 1, 4096, PROT_READ, ANON | MAP_FIXED, false),
	                 -EINVAL);
	ck_assert_int_eq(memory_mmap(&memory, USER_TOP, 4096, PROT_READ, ANON | MAP_FIXED, false),
	                 -ENOMEM);
	ck_assert_int_eq(
	    memory_mmap(&memory, USER_TOP - 4096, 4097, PROT_READ, ANON | MAP_FIXED, false),
	    -ENOMEM);
	ck_assert_int_eq(memory_mmap(&memory, 0, 4096, PROT_READ, ANON | MAP_FIXED, false), -EPERM);
	ck_assert_int_eq(memory_mmap(&memory, va, 4096, PROT_READ, MAP_ANONYMOUS, false), -EINVAL);
	ck_assert_int_eq(
	    memory_mmap(&memory, va, 4096, PROT_READ, MAP_ANONYMOUS | MAP_SHARED, false), -EINVAL);
	ck_assert_int_eq(memory_mmap(&memory, va, 4096, PROT_READ, ANON | MAP_GROWSDOWN, false),
	                 -EINVAL);
	ck_assert_int_eq(memory_munmap(&memory, va + 1, 4096), -EINVAL);
	ck_assert_int_eq(memory_munmap(&memory, va, 0), -EINVAL);
	ck_assert_int_eq(memory_munmap(&memory, va, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(memory_munmap(&memory, USER_TOP + 4096, 4096), -EINVAL);
	ck_assert_int_eq(memory_munmap(&memory, USER_TOP - 4096, 8192), -EINVAL);
	ck_assert_int_eq(memory_munmap(&memory, va, 4096), 0);
	ck_assert_int_eq(memory_mprotect(&memory, va + 1, 4096, PROT_READ), -EINVAL);
	ck_assert_int_eq(memory_mprotect(&memory, va, 4096, 8), -EINVAL);
	ck_assert_int_eq(memory_mprotect(&memory, va, 0, PROT_READ), 0);
	ck_assert_int_eq(memory_mprotect(&memory, va, UINT64_MAX, PROT_READ), -ENOMEM);
	ck_assert_int_eq(memory_mprotect(&memory, va, 4096, PROT_READ), -ENOMEM);
	ck_assert_int_eq(memory_mprotect(&memory, va_of(SHARED), 4096, PROT_READ | PROT_WRITE),
	                 -EACCES);
	check_memory(&memory);
	end();
}
END_TEST

START_TEST(places_are_found)
{
	int64_t a, b;

	begin();
	/* The last page that there is, and no other. */
	ck_assert_int_eq(
	    memory_mmap(&memory, USER_TOP - 4096, 4096, PROT_READ, ANON | MAP_FIXED, false),
	    (int64_t)(USER_TOP - 4096));
	/* A hint that can be met, one that cannot, one that is not aligned, one that is too low. */
	a = (int64_t)va_of(2);
	ck_assert_int_eq(memory_mmap(&memory, (uint64_t)a, 8192, PROT_READ, ANON, false), a);
	b = memory_mmap(&memory, (uint64_t)a, 4096, PROT_READ, ANON, false);
	ck_assert(b > 0 && b != a && (uint64_t)b < MMAP_TOP && b % 4096 == 0);
	ck_assert_int_eq(memory_mmap(&memory, va_of(5) + 123, 4096, PROT_READ, ANON, false),
	                 (int64_t)va_of(5));
	ck_assert_int_eq(memory_mmap(&memory, 8, 4096, PROT_READ, ANON, false), b - 4096);
	ck_assert_int_eq(memory_mmap(&memory, 4096, 4096, PROT_READ, ANON, false), LOWEST);
	/* i386's and MAP_32BIT's fit in 32 and 31 bits. */
	a = memory_mmap(&memory, 0, 8192, PROT_READ, ANON, true);
	ck_assert_int_eq(a, (int64_t)MMAP_TOP_I386 - 8192);
	ck_assert_int_eq(memory_mmap(&memory, 0, 4096, PROT_READ, ANON, true), a - 4096);
	ck_assert_int_eq(memory_mmap(&memory, 0, 4096, PROT_READ, ANON | MAP_32BIT, false),
	                 (int64_t)MMAP_TOP_31 - 4096);
	/* Reserving takes no frames. */
	ck_assert_int_gt(memory_mmap(&memory, 0, UINT64_C(1) << 40, PROT_NONE, ANON, false), 0);
	end();
}
END_TEST

START_TEST(the_break_keeps_out_of_others)
{
	begin();
	ck_assert_uint_eq(memory_brk(&memory, 0), HEAP);
	ck_assert_uint_eq(memory_brk(&memory, HEAP + 5000), HEAP + 5000);
	ck_assert_uint_eq(memory_brk(&memory, HEAP + 5001), HEAP + 5001);
	ck_assert_uint_eq(memory_writable(&memory, HEAP, 100000), 8192);
	ck_assert_int_eq(
	    memory_mmap(&memory, HEAP + 16384, 4096, PROT_READ, ANON | MAP_FIXED, false),
	    HEAP + 16384);
	ck_assert_uint_eq(memory_brk(&memory, HEAP + 16384), HEAP + 16384);
	ck_assert_uint_eq(memory_brk(&memory, HEAP + 16385), HEAP + 16384);
	ck_assert_uint_eq(memory_brk(&memory, HEAP + HEAP_MAX + 1), HEAP + 16384);
	ck_assert_uint_eq(memory_brk(&memory, UINT64_MAX), HEAP + 16384);
	ck_assert_uint_eq(memory_brk(&memory, HEAP), HEAP);
	ck_assert_uint_eq(memory_writable(&memory, HEAP, 100000), 0);
	end();
}
END_TEST

/* A full table of areas: what needs one more fails and changes nothing, the rest still works. */
START_TEST(areas_run_out)
{
	const uint64_t base = UINT64_C(0x50000000);
	uint64_t va = base;
	uint32_t count;

	begin();
	for (; memory.area_count < MAX_AREAS; va += 3 * PAGE_SIZE)
		ck_assert_int_eq(
		    memory_mmap(&memory, va, 2 * PAGE_SIZE, PROT_READ, ANON | MAP_FIXED, false),
		    (int64_t)va);
	count = pool.live;
	ck_assert_int_eq(memory_mmap(&memory, va, PAGE_SIZE, PROT_READ, ANON | MAP_FIXED, false),
	                 -ENOMEM);
	ck_assert_int_eq(memory_mprotect(&memory, base, PAGE_SIZE, PROT_NONE), -ENOMEM);
	ck_assert_int_eq(memory_mprotect(&memory, base, 2 * PAGE_SIZE, PROT_NONE), 0);
	ck_assert_int_eq(memory_mprotect(&memory, base, 2 * PAGE_SIZE, PROT_READ), 0);
	ck_assert_int_eq(memory_munmap(&memory, va_of(SHARED + 1), PAGE_SIZE), -ENOMEM);
	ck_assert_uint_eq(pool.live, count + 1); /* the hidden tree's root */
	check_memory(&memory);
	ck_assert_int_eq(memory_munmap(&memory, va - 3 * PAGE_SIZE, PAGE_SIZE), 0);
	ck_assert_int_eq(memory_munmap(&memory, base, va - base), 0);
	ck_assert_uint_eq(memory.area_count, 1);
	end();
}
END_TEST

/* What was cut for other rights is one area again when they come back, and is not when it is other
 * memory. */
START_TEST(areas_become_one_again)
{
	const uint64_t base = UINT64_C(0x50000000);
	struct area next;

	begin();
	ck_assert_int_eq(memory_mprotect(&memory, va_of(SHARED + 1), PAGE_SIZE, PROT_NONE), 0);
	ck_assert_uint_eq(memory.area_count, 3);
	ck_assert_int_eq(
	    memory_mprotect(&memory, va_of(SHARED + 1), PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
	ck_assert_uint_eq(memory.area_count, 1);
	next = memory.areas[0];
	ck_assert(area_alike(&(struct area){.va = next.va - PAGE_SIZE,
	                                    .len = PAGE_SIZE,
	                                    .rights = next.rights,
	                                    .shared = true,
	                                    .gpa = next.gpa - PAGE_SIZE},
	                     &next));
	ck_assert(!area_alike(&(struct area){.va = next.va - PAGE_SIZE,
	                                     .len = PAGE_SIZE,
	                                     .rights = next.rights,
	                                     .shared = true,
	                                     .gpa = next.gpa},
	                      &next));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(memory_mmap(&memory, base + i * PAGE_SIZE, PAGE_SIZE, PROT_READ,
		                             ANON | MAP_FIXED, false),
		                 (int64_t)(base + i * PAGE_SIZE));
	ck_assert_uint_eq(memory.area_count, 2);
	ck_assert_int_eq(memory_munmap(&memory, base, 3 * PAGE_SIZE), 0);
	end();
}
END_TEST

START_TEST(a_process_begins_with_its_image)
{
	static struct rs_boot boot;
	uint64_t frame, rsp, *top;
	struct pt_walk walk;

	begin();
	memory_destroy(&memory);
	ck_assert(frame_alloc(&frame));
	*(uint64_t *)frame_at(frame) = 4711;
	boot.segment_count = 3;
	boot.segments[0] = (struct rs_segment){0x400000, image, 2 * PAGE_SIZE, 5, 1};
	boot.segments[1] = (struct rs_segment){0xffffffff80000000, image, PAGE_SIZE, 5, 0};
	boot.segments[2] = (struct rs_segment){0x403000, frame, PAGE_SIZE, 6, 1};
	boot.argc = 2;
	memcpy(boot.cmdline, "guest\0tour", 11);
	ck_assert(memory_create(&memory));
	ck_assert(memory_map_image(&memory, &boot));
	ck_assert_uint_eq(memory.area_count, 3);
	pt_walk(&memory.space.user, 0x401000, &walk);
	ck_assert(walk.pa == image + PAGE_SIZE && walk.rights == (PT_USER | PT_EXEC));
	pt_walk(&memory.space.user, 0x403000, &walk);
	ck_assert(walk.pa != frame && *(uint64_t *)frame_at(walk.pa) == 4711);
	rsp = memory_push_arguments(&memory, &boot);
	ck_assert_uint_eq(rsp % 16, 0);
	pt_walk(&memory.space.user, rsp, &walk);
	top = frame_at(walk.pa);
	ck_assert(top[0] == 2 && top[3] == 0);
	pt_walk(&memory.space.user, top[2], &walk);
	ck_assert_str_eq(frame_at(walk.pa), "tour");
	memory_destroy(&memory);
	frame_free(frame);
	ck_assert_uint_eq(pool.live, SHARES);
}
END_TEST

Suite *suite_memory(void)
{
	Suite *suite = suite_create("memory");
	TCase *random = tcase_create("random"), *tests = tcase_create("memory");
	const char *seed = getenv("RS_SEED");

	first_seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	tcase_set_timeout(random, 120);
	tcase_add_loop_test(random, calls_agree_with_the_model, 0, SEQUENCES);
	tcase_add_test(tests, errors_are_linux_s);
	tcase_add_test(tests, places_are_found);
	tcase_add_test(tests, the_break_keeps_out_of_others);
	tcase_add_test(tests, areas_run_out);
	tcase_add_test(tests, areas_become_one_again);
	tcase_add_test(tests, a_process_begins_with_its_image);
	suite_add_tcase(suite, random);
	suite_add_tcase(suite, tests);
	return suite;
}
