/* --map: what both roots map, side by side, in ranges that are alike in every respect. */
#ifndef VMM_LOOK_MAP_H
#define VMM_LOOK_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "vmm/look/look.h"
#include "vmm/look/places.h"

/* Leaves that continue each other are one piece; a guest whose address space has more than this
 * many is shown in part. */
#define MAPPING_PIECES_MAX 65536

struct map_row {
	uint64_t va, len;
	bool mapped[LOOK_ROOTS];
	uint32_t rights[LOOK_ROOTS]; /* PT_*, 0 where not mapped */
	bool same_frames;            /* mapped by both: to the same memory */
	const char *name;            /* of `places` */
};

struct map {
	struct map_row *rows; /* in order of addresses; owned */
	size_t count;
	bool cut;     /* there was more than is looked at */
	bool corrupt; /* a table outside RAM was skipped */
};

/* False after a message: no memory.  With one root only LOOK_KERNEL is filled.  `places` must
 * outlive the mapping. */
bool map_make(struct map *mapping, struct look *look, const struct places *places);
void map_free(struct map *mapping);

void map_print(FILE *out, const struct look *look, const struct map *mapping, bool color);
/* NULL when memory runs out; the caller's to json_decref. */
json_t *map_json(const struct look *look, const struct map *mapping);

#endif
