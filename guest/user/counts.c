/*
 * Exact costs: instructions per crossing, on a host whose TSC counts instructions (tools/kvmbox
 * intel). One line a figure, "crossing mode instructions", for tests/bench/counts.
 */
#include "guest/user/cross.h"
#include "guest/user/lib.h"
#include "guest/user/programs.h"
#include "guest/user/ticks.h"
#include "guest/user/timed.h"

#define TURNS  50 /* few, so that most rounds see no interrupt of the host's */
#define ROUNDS 40

static struct rs_info info;

struct counted {
	const char *name;
	void (*loop)(uint64_t turns);
	fault_fn *insn;    /* for faults, instead of loop */
	uint64_t extra;    /* instructions of a turn that are not the crossing's */
	uint64_t per_turn; /* crossings in a turn, of which each has `extra` */
	bool partner;      /* another process must run the same loop */
};

static const struct counted list[] = {
    {"syscall", loop_syscall, NULL, LOOP_CALL_EXTRA, 1, false},
    {"int80", loop_int80, NULL, LOOP_CALL_EXTRA, 1, false},
    {"yield-switch", loop_yield, NULL, LOOP_CALL_EXTRA, 2, true},
    {"pf", NULL, fault_pf, LOOP_FAULT_EXTRA, 1, false},
    {"ud", NULL, fault_ud, LOOP_FAULT_EXTRA, 1, false},
    {"gp", NULL, fault_gp, LOOP_FAULT_EXTRA, 1, false},
    {"fork-exit-wait", loop_fork, NULL, LOOP_FORK_EXTRA, 1, false},
};

static void run(const struct counted *c, uint64_t turns)
{
	if (c->loop)
		c->loop(turns);
	else
		loop_fault(c->insn, RS_KERNEL_TEXT, turns);
}

/* The cheapest round, without what its time stamps take. */
static uint64_t least(const struct counted *c)
{
	uint64_t best = UINT64_MAX, stamps = UINT64_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = rdtsc(), ticks;

		ticks = rdtsc() - start;
		if (ticks < stamps)
			stamps = ticks;
		start = rdtsc();
		run(c, TURNS);
		ticks = rdtsc() - start;
		if (ticks < best)
			best = ticks;
	}
	return best - stamps;
}

/* Instructions per crossing, rounded: the call of the loop is a few instructions in all. */
static uint64_t count(const struct counted *c)
{
	const uint64_t crossings = TURNS * c->per_turn;
	uint64_t ticks;

	if (c->partner) {
		flush();
		if (syscall(SYS_fork) == 0) {
			run(c, TURNS * ROUNDS + 1); /* there for the last one too */
			exit(0);
		}
	}
	ticks = least(c);
	if (c->partner)
		syscall(SYS_wait4, -1L, 0L, 0L, 0L);
	return (ticks + crossings / 2) / crossings - c->extra;
}

int counts_main(int argc, char **argv)
{
	static const char *const modes[] = {
	    [RS_PTI_OFF] = "off", [RS_PTI_PCID] = "pcid", [RS_PTI_NOPCID] = "nopcid"};

	(void)argc;
	(void)argv;
	if (!ticks_are_instructions()) {
		printf("counts: the TSC does not count instructions here: nothing to print "
		       "(vmm --box intel has one that does)\n");
		return 1;
	}
	syscall(RS_SYS_INFO, &info);
	for (long mode = RS_PTI_OFF; mode <= RS_PTI_NOPCID; mode++) {
		if (syscall(RS_SYS_PTI_MODE, mode) < 0)
			continue;
		syscall(RS_SYS_FAULT_HANDLER, loop_fault_resume);
		for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
			printf("%s %s %u\n", list[i].name, modes[mode], count(&list[i]));
		syscall(RS_SYS_FAULT_HANDLER, 0L);
	}
	syscall(RS_SYS_PTI_MODE, (long)info.pti_mode);
	return 0;
}
