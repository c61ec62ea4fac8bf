/*
 * Loads for the costs program: real work with system calls between, timed in each KPTI mode.
 */
#ifndef GUEST_USER_LOADS_H
#define GUEST_USER_LOADS_H

#include <stdbool.h>
#include <stdint.h>

#define MODES 3 /* RS_PTI_* */

/* The modes this vCPU has; RS_PTI_OFF always. */
struct modes {
	bool have[MODES];
};

/* One turn of a load. */
struct load {
	uint64_t work;  /* bytes hashed (FNV-1a); 0: none */
	uint64_t calls; /* system calls (getpid) */
	uint64_t pages; /* of `memory`, one word read in each */
	const volatile uint8_t *memory;
};

struct load_result {
	uint64_t turns;        /* timed, in each mode and round */
	uint64_t ticks[MODES]; /* all turns together, best of LOAD_ROUNDS; 0: no such mode */
};

#define LOAD_ROUNDS 5

/* Ticks of hashing a byte, times 1024. */
uint64_t load_work_cost(void);
/* Times a load in every mode, turn about; each timed part takes about `budget` ticks (at least 20
 * turns). Leaves the mode as it was. */
void load_measure(struct load_result *result, const struct load *load, const struct modes *modes,
                  uint64_t budget);
/* What the mode adds to the time with KPTI off, in hundredths of a per cent; negative: noise won.
 */
int64_t load_overhead(const struct load_result *result, uint32_t mode);

#endif
