#include "vmm/look/kallsyms.h"

#include <ctype.h>
#include <string.h>

enum {
	ALIGNMENT = 8,
	COUNT_MIN = 1000, /* of symbols: fewer can be chance, and no Linux has so few */
	COUNT_MAX = 1 << 20,
	TOKENS = 256,
	TOKEN_TEXT = 8192,     /* bytes of all tokens; there are about 1,000 */
	NAME_MAX_LENGTH = 512, /* KSYM_NAME_LEN with the type and without the NUL */
	BLOCK = 256,           /* symbols from a marker to the next one */
	IMAGE_MAX = 1 << 30, /* KERNEL_IMAGE_SIZE with KASLR: how far an address is from the base */
	ALIASES = 256,       /* symbols without a byte of their own, at the most */
	SEARCH_STEPS = 20,   /* of a binary search among COUNT_MAX */
	SPARE_STEPS = 1 << 24,
};
/* The kernel's image is linked to the upper 2 GiB (-mcmodel=kernel), and KASLR leaves it there. */
#define IMAGE_LOWEST UINT64_C(0xffffffff80000000)

/* Bytes to look at, and how many steps may still be spent on them. */
struct scan {
	const uint8_t *bytes;
	size_t size;
	uint64_t steps;
};

struct tokens {
	char text[TOKEN_TEXT];
	uint16_t start[TOKENS], length[TOKENS];
};

struct names {
	size_t at; /* of the first name */
	uint32_t count;
	uint32_t markers[COUNT_MAX / BLOCK];
};

struct offsets {
	size_t at;
	uint64_t base;
	bool absolute_percpu;
};

static bool spend(struct scan *scan, uint64_t steps)
{
	if (scan->steps < steps) {
		scan->steps = 0;
		return false;
	}
	scan->steps -= steps;
	return true;
}

/* Whether `size` bytes lie there. */
static bool lies(const struct scan *scan, size_t at, uint64_t size)
{
	return at <= scan->size && size <= scan->size - at;
}

static uint16_t read_u16(const struct scan *scan, size_t at)
{
	uint16_t value;

	memcpy(&value, scan->bytes + at, sizeof(value));
	return value;
}

static uint32_t read_u32(const struct scan *scan, size_t at)
{
	uint32_t value;

	memcpy(&value, scan->bytes + at, sizeof(value));
	return value;
}

static uint64_t read_u64(const struct scan *scan, size_t at)
{
	uint64_t value;

	memcpy(&value, scan->bytes + at, sizeof(value));
	return value;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

/* A token_index is 256 numbers from 0 on, each above the one before. */
static bool is_index(struct scan *scan, size_t at)
{
	unsigned i = 1;

	while (i < TOKENS && read_u16(scan, at + i * 2) > read_u16(scan, at + i * 2 - 2))
		i++;
	return spend(scan, i) && i == TOKENS && read_u16(scan, at) == 0;
}

/* Copies a string and its NUL, which lies behind `length` bytes. */
static bool copy_token(const struct scan *scan, size_t at, struct tokens *tokens, unsigned i)
{
	for (unsigned k = 0; k < tokens->length[i]; k++) {
		uint8_t c = scan->bytes[at + k];

		if (c <= ' ' || c >= 0x7f)
			return false;
		tokens->text[tokens->start[i] + k] = (char)c;
	}
	return scan->bytes[at + tokens->length[i]] == 0;
}

/* Where the last token's string begins, whose NUL and up to 7 bytes to fill lie before the index,
 * and its length; 0: there is none. */
static size_t last_token(const struct scan *scan, size_t index, size_t *length)
{
	size_t end = index, start;

	while (end > 0 && index - end < ALIGNMENT && scan->bytes[end - 1] == 0)
		end--;
	start = end;
	while (start > 0 && end - start < NAME_MAX_LENGTH && scan->bytes[start - 1] != 0)
		start--;
	*length = end - start;
	return start;
}

/* The tokens of this index, whose strings end before it. */
static bool read_tokens(struct scan *scan, size_t index, struct tokens *tokens)
{
	const size_t last = read_u16(scan, index + (TOKENS - 1) * 2);
	size_t length, start = last_token(scan, index, &length), table = start - last;

	if (!spend(scan, length + ALIGNMENT) || last > start || table % ALIGNMENT ||
	    last + length >= TOKEN_TEXT)
		return false;
	for (unsigned i = 0; i < TOKENS; i++) {
		size_t begin = read_u16(scan, index + i * 2);
		size_t next =
		    i + 1 < TOKENS ? read_u16(scan, index + i * 2 + 2) : last + length + 1;

		tokens->start[i] = (uint16_t)begin;
		tokens->length[i] = (uint16_t)(next - begin - 1);
		if (!spend(scan, next - begin) || !copy_token(scan, table + begin, tokens, i))
			return false;
	}
	return true;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* The length of a name in tokens; `at` is moved to the first one.  0: there is no name there. */
static size_t name_length(const struct scan *scan, size_t *at)
{
	size_t length;

	if (!lies(scan, *at, 2))
		return 0;
	length = scan->bytes[(*at)++];
	if (length & 0x80)
		length = (length & 0x7f) | (size_t)scan->bytes[(*at)++] << 7;
	return length <= NAME_MAX_LENGTH && lies(scan, *at, length) ? length : 0;
}

/* Expands the name at *at, which moves behind it, to its type and the name.  The length of both; 0:
 * it is no name. */
static size_t expand(const struct scan *scan, size_t *at, const struct tokens *tokens,
                     char text[static NAME_MAX_LENGTH + 1])
{
	size_t length = name_length(scan, at), used = 0;

	for (size_t i = 0; i < length; i++) {
		uint8_t token = scan->bytes[(*at)++];

		if (tokens->length[token] > NAME_MAX_LENGTH - used)
			return 0;
		memcpy(text + used, tokens->text + tokens->start[token], tokens->length[token]);
		used += tokens->length[token];
	}
	text[used] = '\0';
	return used > 1 && isalpha((unsigned char)text[0]) ? used : 0;
}

/* Whether zeroes fill the place up to the next table. */
static bool is_filled(const struct scan *scan, size_t at)
{
	while (at % ALIGNMENT && at < scan->size && scan->bytes[at] == 0)
		at++;
	return at % ALIGNMENT == 0;
}

/* Whether names->count names lie at names->at and no more; notes the markers. */
static bool are_names(struct scan *scan, const struct tokens *tokens, struct names *names)
{
	size_t at = names->at;

	for (uint32_t i = 0; i < names->count; i++) {
		char text[NAME_MAX_LENGTH + 1];
		size_t length;

		if (i % BLOCK == 0)
			names->markers[i / BLOCK] = (uint32_t)(at - names->at);
		length = expand(scan, &at, tokens, text);
		if (!length || !spend(scan, length))
			return false;
	}
	return is_filled(scan, at);
}

/* Whether the markers of these names lie somewhere. */
static bool have_markers(struct scan *scan, const struct names *names)
{
	const size_t size = (names->count + BLOCK - 1) / BLOCK * sizeof(names->markers[0]);

	for (size_t at = 0; lies(scan, at, size) && spend(scan, 1); at += ALIGNMENT) {
		/* Compare in full only where it can be. */
		if (read_u64(scan, at) == (uint64_t)names->markers[1] << 32 &&
		    spend(scan, size / sizeof(names->markers[0])) &&
		    !memcmp(scan->bytes + at, names->markers, size))
			return true;
	}
	return false;
}

/* ---- Offsets --------------------------------------------------------------------------------- */

/* How far the address of symbol i is from the base; false: it is absolute. */
static bool distance(const struct scan *scan, const struct offsets *offsets, uint32_t i,
                     uint32_t *value)
{
	const uint32_t offset = read_u32(scan, offsets->at + (size_t)i * 4);

	*value = offsets->absolute_percpu ? ~offset : offset;
	return !offsets->absolute_percpu || offset >> 31;
}

/* How many absolute symbols there are, if they all come first. */
static uint32_t count_absolute(const struct scan *scan, const struct offsets *offsets,
                               uint32_t count)
{
	uint32_t low = 0, high = count, value;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (distance(scan, offsets, middle, &value))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Whether symbol i, the n-th of the image, is as far from the base as symbols before it have bytes:
 * one each, but for some aliases. */
static bool is_far_enough(const struct scan *scan, const struct offsets *offsets, uint32_t i,
                          uint32_t n, uint32_t *value)
{
	return distance(scan, offsets, i, value) && *value < IMAGE_MAX && *value + ALIASES >= n;
}

/* Whether offsets for so many symbols lie there: absolute ones first, which are few, then the base
 * itself, and each one at or above the one before.  Memory is full of what might be a base, with
 * zeroes before it: what tells most is looked at first. */
static bool are_offsets(struct scan *scan, const struct offsets *offsets, uint32_t count)
{
	uint32_t last = 0, value, absolute;

	if (!lies(scan, offsets->at, (uint64_t)count * 4) || !spend(scan, SEARCH_STEPS) ||
	    !is_far_enough(scan, offsets, count - 1, count / 2, &value))
		return false;
	absolute = count_absolute(scan, offsets, count);
	if (absolute > count / 2 || !distance(scan, offsets, absolute, &value) || value != 0 ||
	    !is_far_enough(scan, offsets, count / 2, count / 2 - absolute, &value))
		return false;
	for (uint32_t i = absolute; i < count; i++) {
		if (!spend(scan, 1) || !is_far_enough(scan, offsets, i, i - absolute, &value) ||
		    value < last)
			return false;
		last = value;
	}
	for (uint32_t i = 0; i < absolute; i++) {
		if (!spend(scan, 1) || distance(scan, offsets, i, &value))
			return false;
	}
	return true;
}

/* Finds the offsets before a relative_base. */
static bool find_offsets(struct scan *scan, uint32_t count, struct offsets *offsets)
{
	const size_t size = ((size_t)count * 4 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

	for (size_t at = size; lies(scan, at, 8) && spend(scan, 1); at += ALIGNMENT) {
		const uint64_t base = read_u64(scan, at);

		if (base < IMAGE_LOWEST || base > UINT64_MAX - IMAGE_MAX)
			continue;
		for (int percpu = 0; percpu < 2; percpu++) {
			*offsets = (struct offsets){at - size, base, percpu};
			if (are_offsets(scan, offsets, count))
				return true;
		}
	}
	return false;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static bool decode(const struct scan *scan, const struct tokens *tokens, const struct names *names,
                   const struct offsets *offsets, struct symbols *symbols)
{
	struct symbol_maker maker = {0};
	size_t at = names->at;

	for (uint32_t i = 0; i < names->count; i++) {
		char text[NAME_MAX_LENGTH + 1];
		uint32_t value;
		bool image = distance(scan, offsets, i, &value);
		const struct symbol symbol = {
		    .address =
		        image ? offsets->base + value : read_u32(scan, offsets->at + (size_t)i * 4),
		    .size = image ? 0 : SYMBOL_ABSOLUTE,
		    .name = text + 1,
		};

		if (!expand(scan, &at, tokens, text) ||
		    !symbol_maker_add(&maker, symbol, sizeof(text))) {
			symbol_maker_drop(&maker);
			return false;
		}
	}
	*symbols = symbol_maker_finish(&maker);
	return true;
}

/* Finds and decodes what belongs to these tokens. */
static bool find_rest(struct scan *scan, const struct tokens *tokens, struct symbols *symbols,
                      uint64_t *base)
{
	struct names names;
	struct offsets offsets;

	for (size_t at = 0; lies(scan, at, 16) && spend(scan, 1); at += ALIGNMENT) {
		/* What fills the place behind num_syms is zero. */
		const uint64_t count = read_u64(scan, at);

		if (count < COUNT_MIN || count > COUNT_MAX)
			continue;
		names.at = at + 8;
		names.count = (uint32_t)count;
		if (are_names(scan, tokens, &names) && have_markers(scan, &names) &&
		    find_offsets(scan, names.count, &offsets)) {
			*base = offsets.base;
			return decode(scan, tokens, &names, &offsets, symbols);
		}
	}
	return false;
}

bool kallsyms_find(const uint8_t *bytes, size_t size, struct symbols *symbols, uint64_t *base)
{
	struct scan scan = {bytes, size, (uint64_t)size * 2 + SPARE_STEPS};
	struct tokens tokens;

	*symbols = (struct symbols){0};
	for (size_t at = 0; lies(&scan, at, TOKENS * 2) && spend(&scan, 1); at += ALIGNMENT) {
		if (is_index(&scan, at) && read_tokens(&scan, at, &tokens) &&
		    find_rest(&scan, &tokens, symbols, base))
			return true;
	}
	return false;
}
