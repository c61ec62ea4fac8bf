#include "vmm/base/visible.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the UTF-8 character at `byte` (RFC 3629); 0: none begins there, or all of it is not
 * there, or it is one of the C1 controls, which some terminals obey like ESC. */
static size_t character(const uint8_t *byte, size_t count)
{
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
	const size_t size = byte[0] >> 5 == 6    ? 2
	                    : byte[0] >> 4 == 14 ? 3
	                    : byte[0] >> 3 == 30 ? 4
	                                         : 0;
	uint32_t code;

	if (!size || size > count)
		return 0;
	code = byte[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if (byte[i] >> 6 != 2)
			return 0;
		code = code << 6 | (byte[i] & 0x3f);
	}
	return code >= least[size] && code <= 0x10ffff && code >> 11 != 0x1b ? size : 0;
}

/* Bytes that stand for themselves at `byte`; 0: what is there does not. */
static size_t harmless(const uint8_t *byte, size_t count)
{
	if (*byte >= 0x80)
		return character(byte, count);
	return (*byte >= ' ' && *byte < 0x7f) || *byte == '\n' || *byte == '\r' || *byte == '\t';
}

size_t visible(char *to, size_t size, const char *bytes, size_t count, size_t *taken)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = (const uint8_t *)bytes;
	size_t used = 0, at = 0;

	while (at < count && size - used >= 4) {
		const size_t same = harmless(from + at, count - at);

		memcpy(to + used, from + at, same);
		used += same;
		at += same;
		if (same)
			continue;
		if (from[at] < 0x80) {
			to[used++] = '^';
			to[used++] = (char)(from[at] ^ 0x40);
		} else {
			to[used++] = '\\';
			to[used++] = 'x';
			to[used++] = digits[from[at] >> 4];
			to[used++] = digits[from[at] & 15];
		}
		at++;
	}
	*taken = at;
	return used;
}
