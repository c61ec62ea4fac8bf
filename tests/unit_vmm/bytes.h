/* Tables as their readers see them: bytes. */
#ifndef TESTS_UNIT_VMM_BYTES_H
#define TESTS_UNIT_VMM_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A little-endian number of `size` bytes, 8 at most. */
static inline uint64_t bytes_get(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

/* 0 of a table with a good checksum. */
static inline uint8_t bytes_sum(const uint8_t *at, size_t size)
{
	uint8_t all = 0;

	for (size_t i = 0; i < size; i++)
		all = (uint8_t)(all + at[i]);
	return all;
}

#endif
