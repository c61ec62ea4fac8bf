#include "vmm/base/printable.h"

#include <string.h>

const char *printable(char *buf, size_t size, const char *text, size_t length)
{
	size_t used = 0;

	for (size_t i = 0; i < length && text[i]; i++) {
		unsigned char c = (unsigned char)text[i];

		if (used + 1 == size) {
			memcpy(buf + size - 4, "...", 3);
			break;
		}
		buf[used++] = c >= ' ' && c < 0x7f ? (char)c : '?';
	}
	buf[used] = '\0';
	return buf;
}
