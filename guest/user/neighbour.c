#include "guest/user/neighbour.h"

#include "guest/user/lib.h"
#include "guest/user/ways.h"

#define STOP    1 /* in the page of the kernel half that both can read */
#define WNOHANG 1

static long neighbour;
static uint64_t memory[64];

static uint64_t pattern(uint64_t turn, uint64_t place)
{
	return (turn + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ place * UINT64_C(0xbf58476d1ce4e5b9);
}

/* Everything is another thing each turn. */
static void fill(uint64_t turn)
{
	volatile uint64_t *based = (volatile uint64_t *)RS_BASED;

	way_fill(&ways[0]);
	for (int i = RBX; i < REGISTERS; i++)
		if (i != RSP)
			way_in.gpr[i] = pattern(turn, (uint64_t)i);
	for (unsigned i = 32; i < sizeof(way_in.fpu); i++)
		way_in.fpu[i] ^= (uint8_t)(turn + i);
	way_in.gpr[RAX] = SYS_sched_yield;
	based[0] = way_in.fs_base += turn << 4;
	based[1] = way_in.gs_base += turn << 8;
	for (uint64_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
		memory[i] = pattern(turn, i);
}

static bool all_is_well(uint64_t turn)
{
	uint64_t wrong = way_differences(ways[0].changed);

	for (uint64_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
		wrong |= memory[i] ^ pattern(turn, i);
	return !wrong;
}

static _Noreturn void be_neighbour(void)
{
	uint64_t turn = 0;

	raw_syscall(RS_SYS_FAULT_HANDLER, 0L);
	do {
		fill(turn);
		way_cross(ways[0].code);
		if (!all_is_well(turn))
			exit(1);
		turn++;
	} while (raw_syscall(RS_SYS_KERNEL_PAGE, RS_KERNEL_PAGE_READ + 0L) != STOP);
	exit(0);
}

void neighbour_begin(void)
{
	flush();
	neighbour = raw_syscall(SYS_fork);
	if (neighbour == 0)
		be_neighbour();
}

bool neighbour_is_well(void)
{
	raw_syscall(SYS_sched_yield);
	if (raw_syscall(SYS_wait4, neighbour, 0L, WNOHANG + 0L, 0L) == 0)
		return true;
	neighbour_begin();
	return false;
}

void neighbour_end(void)
{
	raw_syscall(RS_SYS_KERNEL_PAGE, RS_KERNEL_PAGE_MAP + 0L, STOP + 0L);
	raw_syscall(SYS_wait4, neighbour, 0L, 0L, 0L);
	raw_syscall(RS_SYS_KERNEL_PAGE, RS_KERNEL_PAGE_UNMAP + 0L);
}
