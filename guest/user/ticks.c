#include "guest/user/ticks.h"

#include "guest/user/cross.h"
#include "guest/user/lib.h"

#define TURNS 1000

const char tick_units[TICK_KINDS][16] = {
    [TICK_CYCLE] = "cycles",
    [TICK_INTERPRETED] = "interp. cycles",
    [TICK_INSTRUCTION] = "instructions",
    [TICK_EMULATED] = "emulated cycles",
};

/* Ticks of TURNS turns of a loop of two instructions in ring 3; the best of some, since the host's
 * own interrupts cost ticks. */
static uint64_t ring3_loop(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 20; i++) {
		uint64_t start = rdtsc(), ticks;

		loop_nothing(TURNS);
		ticks = rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	return best;
}

static bool is_exact(uint64_t ring3)
{
	return ring3 >= 2 * TURNS && ring3 < 2 * TURNS + TURNS / 10;
}

bool ticks_are_instructions(void)
{
	return is_exact(ring3_loop());
}

/* No processor with KVM takes 4 cycles for DEC and JNZ. */
struct ticks ticks_judge(void)
{
	const uint64_t ring3 = ring3_loop();
	const uint64_t ring0 = (uint64_t)syscall(RS_SYS_RING0_LOOP, (long)TURNS);
	struct ticks ticks = {TICK_CYCLE, ring3 ? ring0 / ring3 : 0};

	if (ring0 > 20 * ring3)
		ticks.kind = TICK_INTERPRETED;
	else if (is_exact(ring3))
		ticks.kind = TICK_INSTRUCTION;
	else if (ring3 > 4 * TURNS)
		ticks.kind = TICK_EMULATED;
	return ticks;
}
