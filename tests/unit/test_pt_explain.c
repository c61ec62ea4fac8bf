/*
 * pt_explain against a second opinion: SDM volume 3, sections 4.6 and 4.7 written down sentence by
 * sentence, with nothing taken from shared/.  Both are asked for every combination of what pages,
 * tables and processor state can say.
 */
#include "tests/unit/tree.h"

#define NX  (UINT64_C(1) << 63)
#define BAD (UINT64_C(1) << 51) /* reserved, since physical addresses have 46 bits here */

/* ---- The manual --------------------------------------------------------------------------- */

struct question {
	uint64_t entry[6]; /* [level], from the top to the leaf */
	unsigned top, leaf;
	struct pt_access access;
	bool nxe, pke;
};

struct answer {
	bool allowed;
	uint32_t error;
	unsigned walls; /* bits 1 << enum pt_reason: everything that stands in the way */
	unsigned level[PT_BROKEN + 1]; /* for each wall, the highest level that it stands at */
};

/* 4.6.2: "... if ADi = 1, all data accesses are denied; if WDi = 1, write accesses are: those in
 * user mode always, those in supervisor mode if CR0.WP = 1." */
static bool manual_key_permits(const struct question *q, bool write)
{
	unsigned i = q->entry[q->leaf] >> 59 & 15;
	bool ad = q->access.pkru >> (2 * i) & 1;
	bool wd = q->access.pkru >> (2 * i + 1) & 1;

	if (!q->pke)
		return true;
	if (ad)
		return false;
	if (write && wd && (q->access.cpl == 3 || q->access.wp))
		return false;
	return true;
}

static void wall(struct answer *a, enum pt_reason reason, unsigned level)
{
	a->walls |= 1u << reason;
	if (level > a->level[reason])
		a->level[reason] = level;
}

/* 4.6.1, "Explicit data accesses and instruction fetches". */
static void manual_rights(const struct question *q, struct answer *a)
{
	bool user_address = true, writable = true, xd = false;

	for (unsigned level = q->top; level >= q->leaf; level--) {
		if (!(q->entry[level] & 4))
			user_address = false;
		if (!(q->entry[level] & 2))
			writable = false;
		if (q->nxe && (q->entry[level] & NX))
			xd = true;
	}
	if (q->access.cpl < 3) {
		switch (q->access.kind) {
		case PT_READ:
			/* "Data may be read from any supervisor-mode address ... from a user-mode
			 * address: if SMAP = 0, or if SMAP = 1 and EFLAGS.AC = 1 ... for which the
			 * protection key permits." */
			if (user_address) {
				if (q->access.smap && !q->access.ac)
					wall(a, PT_BY_SMAP, q->leaf);
				if (!manual_key_permits(q, false))
					wall(a, PT_BY_KEY, q->leaf);
			}
			break;
		case PT_STORE:
			if (q->access.wp && !writable)
				wall(a, PT_READ_ONLY, 0);
			if (user_address && q->access.smap && !q->access.ac)
				wall(a, PT_BY_SMAP, q->leaf);
			if (user_address && !manual_key_permits(q, true))
				wall(a, PT_BY_KEY, q->leaf);
			break;
		case PT_FETCH:
			if (xd)
				wall(a, PT_NO_EXECUTE, 0);
			if (user_address && q->access.smep)
				wall(a, PT_BY_SMEP, q->leaf);
			break;
		}
	} else {
		if (!user_address)
			wall(a, PT_SUPERVISOR_PAGE, 0);
		switch (q->access.kind) {
		case PT_READ:
			if (user_address && !manual_key_permits(q, false))
				wall(a, PT_BY_KEY, q->leaf);
			break;
		case PT_STORE:
			if (!writable)
				wall(a, PT_READ_ONLY, 0);
			if (user_address && !manual_key_permits(q, true))
				wall(a, PT_BY_KEY, q->leaf);
			break;
		case PT_FETCH:
			if (xd)
				wall(a, PT_NO_EXECUTE, 0);
			break;
		}
	}
	/* Where the flag says no for the first time on the way down. */
	for (unsigned level = q->leaf; level <= q->top; level++) {
		if (!(q->entry[level] & 4))
			a->level[PT_SUPERVISOR_PAGE] = level;
		if (!(q->entry[level] & 2))
			a->level[PT_READ_ONLY] = level;
		if (q->entry[level] & NX)
			a->level[PT_NO_EXECUTE] = level;
	}
}

/* 4.7, flag by flag. */
static uint32_t manual_error(const struct question *q, const struct answer *a)
{
	uint32_t error = 0;

	/* P: "0 if there is no translation because the P flag was 0 in one of the entries". */
	if (!(a->walls & 1u << PT_NOT_PRESENT))
		error |= 1;
	if (q->access.kind == PT_STORE)
		error |= 2;
	if (q->access.cpl == 3)
		error |= 4;
	if (a->walls & 1u << PT_RESERVED_BIT)
		error |= 8;
	/* I/D: "1 if the access was an instruction fetch and either CR4.SMEP = 1, or CR4.PAE = 1
	 * and IA32_EFER.NXE = 1". */
	if (q->access.kind == PT_FETCH && (q->access.smep || q->nxe))
		error |= 16;
	/* PK: data access, user-mode address, and the key denies it. */
	if (a->walls & 1u << PT_BY_KEY)
		error |= 32;
	return error;
}

static void manual(const struct question *q, struct answer *a)
{
	*a = (struct answer){0};
	for (unsigned level = q->top; level >= q->leaf; level--) {
		uint64_t entry = q->entry[level];

		if (!(entry & 1))
			wall(a, PT_NOT_PRESENT, level);
		else if ((entry & BAD) || (!q->nxe && (entry & NX)))
			wall(a, PT_RESERVED_BIT, level);
		if (a->walls)
			break;
	}
	if (!a->walls)
		manual_rights(q, a);
	a->allowed = !a->walls;
	if (!a->allowed)
		a->error = manual_error(q, a);
}

/* ---- Asking ------------------------------------------------------------------------------- */

static const enum pt_reason order[] = {
    PT_NOT_PRESENT, PT_RESERVED_BIT, PT_SUPERVISOR_PAGE, PT_BY_SMEP,
    PT_BY_SMAP,     PT_READ_ONLY,    PT_NO_EXECUTE,      PT_BY_KEY,
};

static void compare(const struct pt *pt, const struct question *q, uint64_t va)
{
	struct answer wanted;
	struct pt_verdict got;
	enum pt_reason reason = PT_ALLOWED;

	manual(q, &wanted);
	pt_explain(pt, va, q->access, &got);
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]) && !reason; i++)
		if (wanted.walls & 1u << order[i])
			reason = order[i];
	check_that(got.error == wanted.error && got.vector == (wanted.allowed ? 0 : 14) &&
	               got.reason == reason && got.level == (reason ? wanted.level[reason] : 0),
	           "levels %u to %u: %016lx %016lx %016lx %016lx %016lx\n"
	           "kind %d cpl %u wp %d smep %d smap %d ac %d nxe %d pke %d pkru %08x\n"
	           "   got vector %u error 0x%x reason %d level %u\n"
	           "wanted vector %u error 0x%x reason %d level %u (walls 0x%x)",
	           q->top, q->leaf, q->entry[5], q->entry[4], q->entry[3], q->entry[2], q->entry[1],
	           q->access.kind, q->access.cpl, q->access.wp, q->access.smep, q->access.smap,
	           q->access.ac, q->nxe, q->pke, q->access.pkru, got.vector, got.error, got.reason,
	           got.level, wanted.allowed ? 0 : 14, wanted.error, reason,
	           reason ? wanted.level[reason] : 0, wanted.walls);
	check_that(!wanted.allowed ||
	               got.pa == ((q->entry[q->leaf] & 0x00003fffffffe000) | (va & 0x1fff)),
	           "pa 0x%lx", got.pa);
}

/* A tree with one mapping, whose entries are then written by hand. */
struct subject {
	struct fixture fix;
	struct question q;
	uint64_t *slot[6];
	uint64_t good[6]; /* everything allowed */
	uint64_t va;
};

static void subject_init(struct subject *s, unsigned top, unsigned leaf)
{
	const uint64_t pa = 5 * GIB;

	fixture_init(&s->fix, top, 16);
	s->va = 0x40000000;
	s->q.top = top;
	s->q.leaf = leaf;
	want(pt_map(&s->fix.pt, s->va, pa, UINT64_C(1) << (3 + 9 * leaf),
	            PT_WRITE | PT_EXEC | PT_USER, NULL),
	     PT_OK);
	for (unsigned level = leaf; level <= top; level++) {
		s->slot[level] = tree_slot(&s->fix.pt, s->va, level);
		s->good[level] = *s->slot[level];
	}
	/* Key 5; the other keys say the opposite of what it says. */
	s->good[leaf] |= UINT64_C(5) << 59;
	s->va += 0x123;
}

static void subject_done(struct subject *s)
{
	for (unsigned level = s->q.leaf; level <= s->q.top; level++)
		*s->slot[level] = s->good[level];
	fixture_done(&s->fix);
}

/* What can be wrong with an entry. */
static const uint64_t flaws[] = {1, 2, 4, NX, BAD};
#define FLAWS 5

static void subject_reset(struct subject *s)
{
	for (unsigned level = s->q.leaf; level <= s->q.top; level++)
		s->q.entry[level] = s->good[level];
}

static void subject_spoil(struct subject *s, unsigned flaw, unsigned level)
{
	if (flaws[flaw] < 8)
		s->q.entry[level] &= ~flaws[flaw];
	else
		s->q.entry[level] |= flaws[flaw];
}

/* All processor states and accesses, for the entries at hand. */
static void ask_all(struct subject *s)
{
	struct question *q = &s->q;

	for (unsigned level = q->leaf; level <= q->top; level++)
		*s->slot[level] = q->entry[level];
	for (unsigned bits = 0; bits < 1u << 12; bits++) {
		unsigned kind = bits & 3;
		uint32_t key = bits >> 10 & 3;

		if (kind > PT_FETCH)
			continue;
		q->access.kind = (__typeof__(q->access.kind))kind;
		q->access.cpl = bits >> 2 & 3;
		q->access.wp = bits >> 4 & 1;
		q->access.smep = bits >> 5 & 1;
		q->access.smap = bits >> 6 & 1;
		q->access.ac = bits >> 7 & 1;
		q->nxe = bits >> 8 & 1;
		q->pke = bits >> 9 & 1;
		q->access.pkru = (~(key * UINT32_C(0x55555555)) & ~(UINT32_C(3) << 10)) | key << 10;
		s->fix.pt.geo.nx = q->nxe;
		s->fix.pt.geo.pku = q->pke;
		compare(&s->fix.pt, q, s->va);
	}
}

/* Levels 4 and 5, leaves of each size: _i from 0 to 5. */
static unsigned top_of(int i)
{
	return 4 + (unsigned)i % 2;
}

static unsigned leaf_of(int i)
{
	return 1 + (unsigned)i / 2;
}

/* Each flaw nowhere, at the top or at the leaf, in all combinations. */
START_TEST(every_combination)
{
	struct subject s = {0};

	subject_init(&s, top_of(_i), leaf_of(_i));
	for (unsigned bits = 0; bits < 3 * 3 * 3 * 3 * 3; bits++) {
		unsigned left = bits;

		subject_reset(&s);
		for (unsigned flaw = 0; flaw < FLAWS; flaw++, left /= 3)
			if (left % 3)
				subject_spoil(&s, flaw, left % 3 == 1 ? s.q.top : s.q.leaf);
		ask_all(&s);
	}
	subject_done(&s);
}
END_TEST

/* Any two flaws at any two levels. */
START_TEST(every_pair_of_levels)
{
	struct subject s = {0};
	unsigned top = top_of(_i), leaf = leaf_of(_i), levels = top - leaf + 1;

	subject_init(&s, top, leaf);
	for (unsigned a = 0; a < FLAWS * levels; a++) {
		for (unsigned b = a; b < FLAWS * levels; b++) {
			subject_reset(&s);
			subject_spoil(&s, a / levels, leaf + a % levels);
			subject_spoil(&s, b / levels, leaf + b % levels);
			ask_all(&s);
		}
	}
	subject_done(&s);
}
END_TEST

START_TEST(every_key)
{
	struct subject s = {0};

	subject_init(&s, 4, 1);
	s.fix.pt.geo.pku = true;
	for (unsigned key = 0; key < 16; key++) {
		for (unsigned bit = 0; bit < 32; bit++) {
			struct pt_verdict verdict;
			struct pt_access access = {.kind = PT_STORE, .cpl = 3};

			*s.slot[1] = (s.good[1] & ~(UINT64_C(15) << 59)) | (uint64_t)key << 59;
			access.pkru = UINT32_C(1) << bit;
			pt_explain(&s.fix.pt, s.va, access, &verdict);
			check_that(verdict.reason == (bit / 2 == key ? PT_BY_KEY : PT_ALLOWED),
			           "key %u pkru bit %u: reason %d", key, bit, verdict.reason);
		}
	}
	subject_done(&s);
}
END_TEST

/* ---- Reserved bits ------------------------------------------------------------------------ */

/* SDM tables 4-14 to 4-20: is this bit, alone in an otherwise good entry, reserved? */
static bool manual_reserved(const struct pt_geometry *geo, unsigned level, bool leaf, unsigned bit)
{
	if (bit == 63)
		return !geo->nx;
	if (bit >= geo->maxphyaddr && bit <= 51)
		return true;
	if (leaf && level == 3)
		return bit >= 13 && bit <= 29;
	if (leaf && level == 2)
		return bit >= 13 && bit <= 20;
	/* Bit 7 of an entry that points to a table: setting it makes a leaf of a PDE, and of a
	 * PDPTE where there are 1 GiB pages. */
	if (!leaf && bit == 7)
		return level >= 4 || (level == 3 && !geo->gib_pages);
	return false;
}

START_TEST(every_reserved_bit)
{
	unsigned top = top_of(_i), leaf = leaf_of(_i);
	struct subject s = {0};

	subject_init(&s, top, leaf);
	for (unsigned variant = 0; variant < 4 * 21; variant++) {
		struct pt_geometry *geo = &s.fix.pt.geo;

		geo->nx = variant & 1;
		geo->gib_pages = variant & 2;
		geo->maxphyaddr = (uint8_t)(32 + variant / 4);
		if (leaf == 3 && !geo->gib_pages)
			continue;
		/* The mapping's own address, 5 GiB, needs 33 bits. */
		if (geo->maxphyaddr == 32)
			continue;
		for (unsigned level = leaf; level <= top; level++) {
			for (unsigned bit = 1; bit < 64; bit++) {
				uint64_t entry = s.good[level] | UINT64_C(1) << bit;
				struct pt_access access = {.kind = PT_READ};
				struct pt_walk walk;
				struct pt_verdict verdict;
				bool reserved = manual_reserved(geo, level, level == leaf, bit);
				/* Setting PS may show what were address bits as reserved. */
				bool turned = level > leaf && bit == 7 && !reserved;

				*s.slot[level] = entry;
				pt_walk(&s.fix.pt, s.va, &walk);
				pt_explain(&s.fix.pt, s.va, access, &verdict);
				*s.slot[level] = s.good[level];
				if (turned || entry == s.good[level])
					continue;
				check_that(
				    walk.reserved == reserved,
				    "level %u (leaf %u) bit %u nx %d gib %d width %u: got %d, "
				    "wanted %d",
				    level, leaf, bit, geo->nx, geo->gib_pages, geo->maxphyaddr,
				    walk.reserved, reserved);
				check_that(!reserved || (!walk.mapped && verdict.error == 9 &&
				                         verdict.reason == PT_RESERVED_BIT &&
				                         verdict.level == level),
				           "level %u bit %u: error 0x%x reason %d level %u", level,
				           bit, verdict.error, verdict.reason, verdict.level);
			}
		}
	}
	s.fix.pt.geo = geometry(top);
	subject_done(&s);
}
END_TEST

/* A 1 GiB leaf where there are none, and an address beyond the width. */
START_TEST(leaf_that_the_geometry_forbids)
{
	struct subject s = {0};
	struct pt_walk walk;

	subject_init(&s, 4, 3);
	pt_walk(&s.fix.pt, s.va, &walk);
	ck_assert(walk.mapped);
	s.fix.pt.geo.gib_pages = false;
	pt_walk(&s.fix.pt, s.va, &walk);
	ck_assert(walk.reserved);
	ck_assert(!walk.mapped);
	s.fix.pt.geo.gib_pages = true;
	s.fix.pt.geo.maxphyaddr = 32;
	pt_walk(&s.fix.pt, s.va, &walk);
	ck_assert(walk.reserved);
	s.fix.pt.geo.maxphyaddr = 46;
	subject_done(&s);
}
END_TEST

START_TEST(not_canonical)
{
	struct fixture fix;
	unsigned levels = (unsigned)_i;
	uint64_t half = UINT64_C(1) << (levels == 5 ? 56 : 47);
	const uint64_t va[] = {half, 0 - half - 1, UINT64_C(0x7fffffffffffffff), UINT64_C(1) << 63};

	fixture_init(&fix, levels, 16);
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned kind = PT_READ; kind <= PT_FETCH; kind++) {
			struct pt_access access = {.cpl = 3, .smep = true};
			struct pt_verdict verdict;

			access.kind = (__typeof__(access.kind))kind;
			pt_explain(&fix.pt, va[i], access, &verdict);
			ck_assert_int_eq(verdict.reason, PT_NOT_CANONICAL);
			ck_assert_uint_eq(verdict.vector, 13);
			ck_assert_uint_eq(verdict.error, 0);
			ck_assert_uint_eq(verdict.level, 0);
			access.stack = true;
			pt_explain(&fix.pt, va[i], access, &verdict);
			ck_assert_uint_eq(verdict.vector, 12);
			ck_assert_uint_eq(verdict.error, 0);
			/* A stack access to a canonical address is one like others. */
			pt_explain(&fix.pt, half - 1, access, &verdict);
			ck_assert_uint_eq(verdict.vector, 14);
		}
	}
	fixture_done(&fix);
}
END_TEST

Suite *suite_pt_explain(void)
{
	Suite *suite = suite_create("pt_explain");
	TCase *tc = tcase_create("explain");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, every_combination, 0, 6);
	tcase_add_loop_test(tc, every_pair_of_levels, 0, 6);
	tcase_add_test(tc, every_key);
	tcase_add_loop_test(tc, every_reserved_bit, 0, 6);
	tcase_add_test(tc, leaf_that_the_geometry_forbids);
	tcase_add_loop_test(tc, not_canonical, 4, 6);
	suite_add_tcase(suite, tc);
	return suite;
}
