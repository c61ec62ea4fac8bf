/* What the JSON of --walk, --map, --audit and --inspect-core has in common: one object a line. */
#ifndef VMM_LOOK_JSON_H
#define VMM_LOOK_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "vmm/look/look.h"

/* Addresses and register values are strings, "0xffff888000000000": JSON's numbers are doubles to
 * many readers.  NULL when memory runs out, as everywhere here. */
json_t *look_json_hex(uint64_t value);
/* {"look": kind, "when": ..., "cr3": ..., "roots": {"kernel": ..., "user": ... or null}}. */
json_t *look_json_head(const struct look *look, const char *kind);
/* Writes the object as one line and lets go of it; NULL fails.  False after a message. */
bool look_json_write(FILE *out, json_t *object);

#endif
