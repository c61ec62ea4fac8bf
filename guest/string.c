#include "guest/string.h"

#include <stdint.h>

void *memset(void *dst, int value, size_t size)
{
	void *at = dst;
	size_t words = size / 8, bytes = size % 8;
	uint64_t pattern = (uint8_t)value * UINT64_C(0x0101010101010101);

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(pattern) : "memory");
	return dst;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t size)
{
	void *at = dst;
	size_t words = size / 8, bytes = size % 8;

	__asm__ volatile("rep movsq" : "+D"(at), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(src), "+c"(bytes) : : "memory");
	return dst;
}
