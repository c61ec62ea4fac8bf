/* Numbers as people read them. */
#ifndef VMM_BASE_UNITS_H
#define VMM_BASE_UNITS_H

#include <stdint.h>

/* Bytes for any result, with its NUL. */
enum { UNITS_SIZE = 32 };

/* "1,234,567".  Both return buf, which has UNITS_SIZE bytes. */
const char *units_count(char *buf, uint64_t count);
/* "635 ns", "6.92 us", "12.3 ms", "1.25 s", "75.0 s": three digits that count. */
const char *units_time(char *buf, uint64_t nanoseconds);
/* "64 MiB", "1,536 KiB": the largest unit that divides it. */
const char *units_bytes(char *buf, uint64_t bytes);
/* "12.3 %", "<0.1 %": a share of a whole; "-" when the whole is nothing. */
const char *units_share(char *buf, uint64_t part, uint64_t whole);

/* What a noun that counts so many ends with: "1 exit", "2 exits". */
static inline const char *units_s(uint64_t count)
{
	return count == 1 ? "" : "s";
}

#endif
