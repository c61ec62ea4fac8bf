#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit_vmm/random.h"
#include "tests/unit_vmm/suites.h"
#include "vmm/look/kallsyms.h"

enum {
	NAMES = 1500,
	PER_CPU = 20,
	LONG_NAME = 700,      /* which one is longer than others */
	IMAGE_SIZE = 1 << 16, /* of the test's; the tables lie somewhere in it */
	TABLES = 4096,        /* from here on */
	NAME_ROOM = 512,
};
#define LINKED UINT64_C(0xffffffff81000000)

/* What kernels differ in. */
struct kind {
	bool offsets_last; /* from 6.4 on */
	bool percpu;       /* CONFIG_KALLSYMS_ABSOLUTE_PERCPU */
	bool long_name;    /* with a length of two bytes: from 6.1 on */
	uint64_t base;
};
static const struct kind kinds[] = {
    {false, true, false, LINKED},
    {false, true, true, LINKED + 0x3a200000},
    {true, true, true, LINKED},
    {true, false, false, LINKED + 0x1000000},
};
enum {
	KINDS = sizeof(kinds) / sizeof(kinds[0]),
};

struct image {
	uint8_t bytes[IMAGE_SIZE];
	size_t used;
	/* Where what lies. */
	size_t num_syms, markers, token_table, token_index, offsets, base;
};
static struct image image;

/* ---- A kernel's tables ----------------------------------------------------------------------- */

static const char *const pieces[] = {"sys_", "__x64_", "page", "asm_exc_",
                                     "T",    "fault",  "t__",  "_a"};

static const char *token_text(unsigned token, char buf[static 16])
{
	if (token >= 0x80 && token < 0x80 + sizeof(pieces) / sizeof(pieces[0]))
		return pieces[token - 0x80];
	/* Others are there and nobody uses them. */
	snprintf(buf, 16, token > ' ' && token < 0x7f ? "%c" : "Q%02x", token);
	return buf;
}

/* The name with its type, and where it lies. */
static uint64_t symbol_of(const struct kind *kind, unsigned i, char name[static NAME_ROOM])
{
	if (i < PER_CPU) {
		snprintf(name, NAME_ROOM, "%cvariable_%u", kind->percpu ? 'A' : 'D', i);
		return kind->percpu ? i * 0x40 : kind->base + i * 4;
	}
	snprintf(name, NAME_ROOM, i % 3 ? "T__x64_sys_page_%u" : "t_asm_exc_fault%u", i);
	if (i == LONG_NAME && kind->long_name) {
		size_t length = strlen(name);

		memset(name + length, 'w', 200);
		name[length + 200] = '\0';
	}
	/* Pairs lie at one address. */
	return kind->base + (i - (kind->percpu ? PER_CPU : 0)) / 2 * 0x30;
}

static size_t put(const void *bytes, size_t size)
{
	size_t at = image.used;

	ck_assert_uint_le(size, sizeof(image.bytes) - at);
	memcpy(image.bytes + at, bytes, size);
	image.used += size;
	return at;
}

static void align(void)
{
	while (image.used % 8)
		put("", 1);
}

/* The longest tokens first, as the kernel's tool does in its own way. */
static void put_name(const char *name)
{
	uint8_t bytes[NAME_ROOM], length[2];
	size_t used = 0;

	while (*name) {
		unsigned best = (unsigned char)*name;
		size_t size = 1;

		for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			size_t piece = strlen(pieces[i]);

			if (piece > size && !strncmp(name, pieces[i], piece)) {
				best = 0x80 + i;
				size = piece;
			}
		}
		bytes[used++] = (uint8_t)best;
		name += size;
	}
	length[0] = (uint8_t)(used > 0x7f ? used | 0x80 : used);
	length[1] = (uint8_t)(used >> 7);
	put(length, used > 0x7f ? 2 : 1);
	put(bytes, used);
}

static void put_offsets(const struct kind *kind)
{
	image.offsets = image.used;
	for (unsigned i = 0; i < NAMES; i++) {
		char name[NAME_ROOM];
		uint64_t address = symbol_of(kind, i, name);
		uint32_t offset = (uint32_t)(address - kind->base);

		if (kind->percpu)
			offset = i < PER_CPU ? (uint32_t)address : ~offset;
		put(&offset, 4);
	}
	align();
	image.base = put(&kind->base, 8);
}

static void put_names(const struct kind *kind)
{
	uint32_t count = NAMES, markers[NAMES / 256 + 1];
	char name[NAME_ROOM];
	size_t names;

	image.num_syms = put(&count, 4);
	align();
	names = image.used;
	for (unsigned i = 0; i < NAMES; i++) {
		if (i % 256 == 0)
			markers[i / 256] = (uint32_t)(image.used - names);
		symbol_of(kind, i, name);
		put_name(name);
	}
	align();
	image.markers = put(markers, sizeof(markers));
	align();
}

static void put_tokens(void)
{
	uint16_t index[256];
	char buf[16];

	image.token_table = image.used;
	for (unsigned i = 0; i < 256; i++) {
		const char *text = token_text(i, buf);

		index[i] = (uint16_t)(image.used - image.token_table);
		put(text, strlen(text) + 1);
	}
	align();
	image.token_index = put(index, sizeof(index));
}

static void put_sequence(void)
{
	uint64_t seed = 3;
	uint8_t bytes[NAMES * 3];

	random_fill(&seed, bytes, sizeof(bytes));
	put(bytes, sizeof(bytes));
	align();
}

static void make_image(const struct kind *kind)
{
	uint64_t seed = 9;

	random_fill(&seed, image.bytes, sizeof(image.bytes));
	memset(image.bytes + 1024, 0, 2048);
	image.used = TABLES;
	if (!kind->offsets_last)
		put_offsets(kind);
	put_names(kind);
	if (!kind->offsets_last)
		put_sequence();
	put_tokens();
	if (kind->offsets_last) {
		put_offsets(kind);
		put_sequence();
	}
}

static bool find(struct symbols *symbols)
{
	uint64_t base;

	return kallsyms_find(image.bytes, sizeof(image.bytes), symbols, &base);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void check_symbols(const struct kind *kind, const struct symbols *symbols)
{
	size_t absolute = kind->percpu ? PER_CPU : 0;

	ck_assert_uint_eq(symbols->absolute, absolute);
	ck_assert_uint_eq(symbols->count, NAMES - absolute);
	for (unsigned i = 0; i < NAMES; i++) {
		char name[NAME_ROOM];
		uint64_t address = symbol_of(kind, i, name);
		const struct symbol *symbol;

		if (i == LONG_NAME && kind->long_name)
			memcpy(name + 61, "...", 4);
		if (i < absolute) {
			symbol = symbols_offset(symbols, name + 1);
			ck_assert_ptr_null(symbols_lookup(symbols, name + 1));
		} else {
			symbol = symbols_lookup(symbols, name + 1);
			ck_assert_ptr_null(symbols_offset(symbols, name + 1));
		}
		ck_assert_ptr_nonnull(symbol);
		ck_assert_uint_eq(symbol->address, address);
	}
}

START_TEST(tables_are_decoded)
{
	const struct kind *kind = &kinds[_i];
	struct symbols symbols;
	uint64_t base = 0;
	char buf[96], name[NAME_ROOM];

	make_image(kind);
	ck_assert(kallsyms_find(image.bytes, sizeof(image.bytes), &symbols, &base));
	ck_assert_uint_eq(base, kind->base);
	check_symbols(kind, &symbols);
	/* Without sizes one ends where the next begins; of two the one with fewer underscores. */
	uint64_t address = symbol_of(kind, 1000, name);
	ck_assert_uint_eq(address, symbol_of(kind, 1001, name));
	ck_assert_str_eq(symbols_text(&symbols, address + 0x2f, buf, sizeof(buf)),
	                 " <__x64_sys_page_1000+0x2f>");
	ck_assert_str_eq(symbols_text(&symbols, address, buf, sizeof(buf)),
	                 " <__x64_sys_page_1000>");
	address = symbol_of(kind, 998, name);
	ck_assert_uint_eq(address, symbol_of(kind, 999, name));
	ck_assert_str_eq(symbols_text(&symbols, address, buf, sizeof(buf)), " <_asm_exc_fault999>");
	/* An ordinary address is never a per-CPU variable's. */
	ck_assert_str_eq(symbols_text(&symbols, 0x48, buf, sizeof(buf)), "");
	ck_assert_str_eq(symbols_text(&symbols, kind->base - 1, buf, sizeof(buf)), "");
	ck_assert_str_eq(symbols_text(&symbols, kind->base + 0x100000, buf, sizeof(buf)), "");
	symbols_free(&symbols);
}
END_TEST

/* The tables have been left where they were, and lie once more elsewhere; the first ones count. */
START_TEST(two_sets)
{
	struct symbols symbols;
	uint64_t base = 0;
	uint8_t *both;

	make_image(&kinds[0]);
	both = malloc(2 * sizeof(image.bytes));
	ck_assert_ptr_nonnull(both);
	memcpy(both, image.bytes, sizeof(image.bytes));
	make_image(&kinds[2]);
	memcpy(both + sizeof(image.bytes), image.bytes, sizeof(image.bytes));
	ck_assert(kallsyms_find(both, 2 * sizeof(image.bytes), &symbols, &base));
	ck_assert_uint_eq(symbols.count, NAMES - PER_CPU);
	symbols_free(&symbols);
	free(both);
}
END_TEST

static void break_u32(size_t at, uint32_t value)
{
	struct symbols symbols;
	uint32_t before;

	memcpy(&before, image.bytes + at, 4);
	ck_assert_uint_ne(before, value);
	ck_assert(find(&symbols));
	symbols_free(&symbols);
	memcpy(image.bytes + at, &value, 4);
	ck_assert(!find(&symbols));
	ck_assert_ptr_null(symbols.list);
	symbols_free(&symbols);
	memcpy(image.bytes + at, &before, 4);
}

/* Whatever is not as it must be, there are no tables. */
START_TEST(each_table_is_verified)
{
	const struct kind *kind = &kinds[_i];
	bool percpu = kind->percpu;
	uint32_t name;
	size_t first;

	make_image(kind);
	first = image.offsets + (percpu ? PER_CPU * 4U : 0);
	break_u32(image.num_syms, 999);
	break_u32(image.num_syms, NAMES - 1);
	break_u32(image.num_syms, NAMES - 3);
	break_u32(image.num_syms, NAMES + 1);
	break_u32(image.num_syms, (1 << 20) + 1);
	break_u32(image.num_syms + 4, 1);
	break_u32(image.num_syms + 8, 0); /* no length */
	memcpy(&name, image.bytes + image.num_syms + 8, 4);
	break_u32(image.num_syms + 8, (name & ~0xff00U) | '1' << 8); /* no type */
	break_u32(image.markers + 4, 7);
	break_u32(image.markers + NAMES / 256 * 4, 1);
	break_u32(image.token_table, 0x51515151); /* no end */
	break_u32(image.token_table, 0x00302051); /* not printable */
	break_u32(image.token_table, 0x00307f51);
	break_u32(image.token_index, 0x00040001);
	break_u32(image.token_index + 100, 0);
	break_u32(image.token_index + 508, 0x1fff1ffe);
	break_u32(image.base + 4, 0x7fffffff);
	break_u32(image.base + 4, 0xfffffffe);
	break_u32(first, percpu ? ~16U : 16);            /* the base has no symbol */
	break_u32(first + 400, percpu ? ~1U : 1);        /* below the one before */
	break_u32(first + 400, percpu ? 5 : 0x7fffffff); /* absolute among others */
	break_u32(image.offsets + (NAMES - 1) * 4, percpu ? ~0x40000000U : 0x40000000);
}
END_TEST

/* The lowest address is the base's. */
START_TEST(a_base_without_a_symbol)
{
	struct symbols symbols;
	const uint32_t moved = ~16U;

	make_image(&kinds[0]);
	for (unsigned i = 0; i < 2; i++)
		memcpy(image.bytes + image.offsets + (PER_CPU + i) * 4, &moved, 4);
	ck_assert(!find(&symbols));
}
END_TEST

/* A table of zeroes is in order, and is none. */
START_TEST(offsets_that_all_are_one)
{
	struct symbols symbols;
	const uint32_t last = 0x100000;

	make_image(&kinds[0]);
	memset(image.bytes + image.offsets, 0, (size_t)NAMES * 4);
	ck_assert(!find(&symbols));
	memset(image.bytes + image.offsets, 0xff, (size_t)NAMES * 4);
	ck_assert(!find(&symbols));
	/* Pointers behind much that is zero look like a base with its offsets. */
	memset(image.bytes + image.offsets, 0, (size_t)NAMES * 4);
	memcpy(image.bytes + image.offsets + (NAMES - 1) * 4, &last, 4);
	ck_assert(!find(&symbols));
	for (unsigned i = NAMES / 2; i < NAMES; i++)
		memcpy(image.bytes + image.offsets + i * 4, &last, 4);
	ck_assert(!find(&symbols));
}
END_TEST

/* A copy of its own, so that a sanitizer sees what is read behind it. */
static void find_in(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct symbols symbols;
	uint64_t base;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, size);
	if (kallsyms_find(copy, size, &symbols, &base)) {
		for (size_t i = 0; i < symbols.count; i++)
			ck_assert_uint_lt(strlen(symbols.list[i].name), 64);
		symbols_find(&symbols, base);
	}
	symbols_free(&symbols);
	free(copy);
}

START_TEST(hostile_tables)
{
	uint64_t seed = 11;

	make_image(&kinds[_i]);
	for (size_t size = TABLES; size < image.used; size += 531)
		find_in(image.bytes, size);
	for (size_t size = 0; size < 64; size++)
		find_in(image.bytes + TABLES, size);
	for (int round = 0; round < 100; round++) {
		uint8_t *bytes = image.bytes + TABLES;
		size_t size = image.used - TABLES;

		make_image(&kinds[_i]);
		for (uint64_t flips = random_size(&seed, 7) + 1; flips > 0; flips--) {
			size_t at = random_next(&seed) % size;

			/* More of them where lengths and indices are. */
			if (flips % 2)
				at = image.token_table - TABLES +
				     random_next(&seed) %
				         (image.token_index + 512 - image.token_table);
			bytes[at] = (uint8_t)random_next(&seed);
		}
		find_in(bytes, size);
	}
}
END_TEST

/* Every place is num_syms, and each has a million names behind it: without a limit this takes
 * hours. */
START_TEST(hostile_work)
{
	const size_t size = 16 << 20;
	const uint64_t count =
	    0xf423f; /* 63 tokens, the first is 'B'; eight words on is the next */
	uint8_t *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	make_image(&kinds[0]);
	for (size_t at = 0; at < size; at += 8)
		memcpy(bytes + at, &count, 8);
	memcpy(bytes, image.bytes, sizeof(image.bytes));
	memset(bytes + image.num_syms, 0, 8);
	find_in(bytes, size);
	free(bytes);
}
END_TEST

Suite *kallsyms_suite(void)
{
	Suite *suite = suite_create("kallsyms");
	TCase *tests = tcase_create("kallsyms");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, tables_are_decoded, 0, KINDS);
	tcase_add_test(tests, two_sets);
	tcase_add_loop_test(tests, each_table_is_verified, 0, KINDS);
	tcase_add_test(tests, a_base_without_a_symbol);
	tcase_add_test(tests, offsets_that_all_are_one);
	tcase_add_loop_test(tests, hostile_tables, 0, KINDS);
	tcase_add_test(tests, hostile_work);
	suite_add_tcase(suite, tests);
	return suite;
}
