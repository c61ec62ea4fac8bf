/* Numbers that look random and are the same in every run (splitmix64, public domain). */
#ifndef TESTS_UNIT_VMM_RANDOM_H
#define TESTS_UNIT_VMM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Every magnitude is as likely as every other: 0 to 2^bits - 1. */
static inline uint64_t random_size(uint64_t *state, unsigned bits)
{
	return (random_next(state) >> 1) >> (63 - random_next(state) % (bits + 1));
}

static inline void random_fill(uint64_t *state, void *to, size_t size)
{
	uint8_t *byte = to;

	for (size_t i = 0; i < size; i++)
		byte[i] = (uint8_t)random_next(state);
}

#endif
