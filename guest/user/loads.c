#include "guest/user/loads.h"

#include "guest/user/cross.h"
#include "guest/user/lib.h"

#define MIN_TURNS    20
#define WARM_UP_PART 8 /* an eighth of the turns, before each timed part */

/* ---- Work -------------------------------------------------------------------------------------
 */

/* FNV-1a: each byte waits for the one before it, as parsing and hashing do.  Its operand is this
 * program's own text, which every mode maps alike. */
static uint64_t hash(uint64_t bytes)
{
	const volatile uint8_t *text = (const volatile uint8_t *)(uintptr_t)hash;
	uint64_t value = 0xcbf29ce484222325;

	for (uint64_t i = 0; i < bytes; i++)
		value = (value ^ text[i & 127]) * 0x100000001b3;
	return value;
}

/* A different line of each page, so that the pages do not compete for one set of the cache. */
static void read_pages(const volatile uint8_t *memory, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		memory[i * PAGE_SIZE + i * 64 % PAGE_SIZE];
}

static volatile uint64_t sink;

static uint64_t run(const struct load *load, uint64_t turns)
{
	uint64_t start = rdtsc();

	for (uint64_t i = 0; i < turns; i++) {
		if (load->work)
			sink = hash(load->work);
		if (load->pages)
			read_pages(load->memory, load->pages);
		if (load->calls)
			loop_syscall(load->calls);
	}
	return rdtsc() - start;
}

uint64_t load_work_cost(void)
{
	const uint64_t bytes = 16384;
	const struct load load = {.work = bytes};
	uint64_t best = UINT64_MAX;

	for (int round = 0; round < 10; round++) {
		uint64_t ticks = run(&load, 1);

		if (ticks < best)
			best = ticks;
	}
	return best * 1024 / bytes;
}

/* ---- Timing -----------------------------------------------------------------------------------
 */

/* As many as the slowest mode has time for. */
static uint64_t turns_within(const struct load *load, const struct modes *modes, uint64_t budget)
{
	uint64_t slowest = 1, turns;

	for (long mode = 0; mode < MODES; mode++) {
		uint64_t ticks;

		if (!modes->have[mode])
			continue;
		syscall(RS_SYS_PTI_MODE, mode);
		run(load, 1);
		ticks = run(load, 4) / 4;
		if (ticks > slowest)
			slowest = ticks;
	}
	turns = budget / slowest;
	return turns < MIN_TURNS ? MIN_TURNS : turns;
}

static uint64_t time_in_mode(const struct load *load, long mode, uint64_t turns)
{
	syscall(RS_SYS_PTI_MODE, mode);
	run(load, turns / WARM_UP_PART + 1);
	return run(load, turns);
}

void load_measure(struct load_result *result, const struct load *load, const struct modes *modes,
                  uint64_t budget)
{
	long before = syscall(RS_SYS_PTI_MODE, -1L);

	*result = (struct load_result){.turns = turns_within(load, modes, budget)};

	/* Turn about, so that a slower stretch of the host falls on all modes. */
	for (int round = 0; round < LOAD_ROUNDS; round++) {
		for (long mode = 0; mode < MODES; mode++) {
			uint64_t ticks;

			if (!modes->have[mode])
				continue;
			ticks = time_in_mode(load, mode, result->turns);
			if (!result->ticks[mode] || ticks < result->ticks[mode])
				result->ticks[mode] = ticks;
		}
	}
	syscall(RS_SYS_PTI_MODE, before);
}

int64_t load_overhead(const struct load_result *result, uint32_t mode)
{
	int64_t off = (int64_t)result->ticks[RS_PTI_OFF];
	int64_t on = (int64_t)result->ticks[mode];

	return off ? (on - off) * 10000 / off : 0;
}
