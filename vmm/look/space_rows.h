/*
 * What a guest's two roots map, by region of the address space of shared/abi.h: as much of it as a
 * picture shows, whatever the tables hold.
 */
#ifndef VMM_LOOK_SPACE_ROWS_H
#define VMM_LOOK_SPACE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/pt.h"

enum space_root { SPACE_KERNEL, SPACE_USER, SPACE_ROOTS };

/* A range of one root with equal rights; physical addresses do not matter. */
struct space_range {
	uint64_t va, len;
	uint32_t rights; /* PT_WRITE, PT_EXEC, PT_USER */
};

enum {
	SPACE_RANGES = 64,
	SPACE_REGIONS = 24,
	SPACE_TABLES = 100000, /* looked at in each tree: 200 GiB in pages of 4 KiB ... */
	SPACE_RUNS = 500000,   /* ... and pieces of them that do not continue each other */
};

struct space_region {
	const char *name;     /* a literal; NULL: between those that have one */
	bool entry;           /* part of the entry area */
	uint64_t first, last; /* from the first byte that a root maps to the last, both included */
	struct space_side {
		uint64_t pages; /* of 4 KiB, mapped */
		unsigned count; /* ranges kept */
		bool more;      /* there were more ranges than these */
		struct space_range ranges[SPACE_RANGES];
	} side[SPACE_ROOTS];
};

struct space_rows {
	bool known[SPACE_ROOTS];
	bool cut[SPACE_ROOTS]; /* not all was seen: a table outside RAM, or too many tables */
	uint64_t root[SPACE_ROOTS];
	uint64_t kernel_half[SPACE_ROOTS]; /* pages that it maps of the upper half */
	unsigned count;                    /* regions that a root maps anything of, by address */
	struct space_region regions[SPACE_REGIONS];
};

/* Walks both trees; user: NULL when it is not known.  The guest's tables are hostile: the time this
 * takes is bounded by SPACE_TABLES and SPACE_RUNS. */
void space_rows_collect(struct space_rows *spaces, const struct pt *kernel, const struct pt *user);

#endif
