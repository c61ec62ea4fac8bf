/* In which functions the instructions of two crossings are. */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_FUNCTIONS_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_FUNCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/instruments/anatomy/anatomy_account.h"

struct function {
	const char *name; /* the account's */
	uint64_t count[2];
};
struct functions {
	struct function *list; /* those with the most first; owned */
	size_t count;
};

/* The rows first[i] to end[i] - 1 of ring 0 of both accounts.  False without memory. */
bool functions_count(struct functions *functions, const struct account *const account[2],
                     const size_t first[2], const size_t end[2]);
void functions_free(struct functions *functions);

#endif
