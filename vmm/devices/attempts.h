/* The guest's escape gallery (shared/abi.h, RS_CALL_ESCAPE): rows of what was tried at the
 * boundary, what the manuals promise, and what came; checked and kept for the reports. */
#ifndef VMM_DEVICES_ATTEMPTS_H
#define VMM_DEVICES_ATTEMPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"

struct attempts {
	unsigned count;
	struct rs_escape *list; /* RS_MAX_ESCAPES of them once the first came; owned */
};

/* As figures_take. */
int64_t attempts_take(struct attempts *escapes, const volatile struct rs_escape *from,
                      uint64_t count);
/* Harmless on a struct that is all zero. */
void attempts_free(struct attempts *escapes);

/* "ok", "departs", "differs", "skipped" for RS_ESCAPE_*. */
const char *escape_verdict(uint32_t verdict);

/* "#PF", "vector 0x82", "allowed", "ended", "wrong", "not tried". */
const char *outcome_kind(const struct rs_outcome *outcome);
/* Whether outcome->error means something: for vectors with an error code, and for what is wrong. */
bool outcome_has_error(const struct rs_outcome *outcome);
/* "#PF(0x5) at 0xffff888000000000", "#UD", "allowed".  Returns buf. */
#define OUTCOME_TEXT_SIZE 56
const char *outcome_text(char *buf, size_t size, const struct rs_outcome *outcome);

#endif
