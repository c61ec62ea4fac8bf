/*
 * What the same crossings cost under Linux: instructions a call, for a machine whose TSC counts
 * them (the Intel box, whose own kernel this runs on).  Prints lines as the guest's program counts
 * does: NAME MODE INSTRUCTIONS.
 *
 *   bench_linux MODE        the word for the kernel's KPTI mode: off, pcid or nopcid
 *
 * The best of several parts; the same loop around nothing is taken off.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>

/* A part is short beside a timer tick of the kernel, so that some have none. */
enum { PARTS = 50, TURNS = 200 };

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* Each of them: TURNS times one thing, in a loop whose other instructions are the same in all
 * three. */
static void nothing(void)
{
	uint64_t turns = TURNS;

	__asm__ volatile("1: mov %1, %%eax\n\tdec %0\n\tjnz 1b"
	                 : "+r"(turns)
	                 : "i"(SYS_getpid)
	                 : "rax", "rcx", "r11", "memory");
}

static void by_syscall(void)
{
	uint64_t turns = TURNS;

	__asm__ volatile("1: mov %1, %%eax\n\tsyscall\n\tdec %0\n\tjnz 1b"
	                 : "+r"(turns)
	                 : "i"(SYS_getpid)
	                 : "rax", "rcx", "r11", "memory");
}

static void by_int80(void)
{
	uint64_t turns = TURNS;

	/* getpid is 20 in the i386 table; the entry clears R8 to R11. */
	__asm__ volatile("1: mov $20, %%eax\n\tint $0x80\n\tdec %0\n\tjnz 1b"
	                 : "+r"(turns)
	                 :
	                 : "rax", "r8", "r9", "r10", "r11", "memory");
}

static uint64_t best(void (*run)(void))
{
	uint64_t least = UINT64_MAX;

	for (int part = 0; part < PARTS; part++) {
		uint64_t begun = rdtsc();

		run();
		uint64_t took = rdtsc() - begun;

		if (took < least)
			least = took;
	}
	return least;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bench_linux off|pcid|nopcid\n");
		return 2;
	}
	uint64_t loop = best(nothing);

	printf("linux-syscall %s %llu\n", argv[1],
	       (unsigned long long)((best(by_syscall) - loop) / TURNS));
	printf("linux-int80 %s %llu\n", argv[1],
	       (unsigned long long)((best(by_int80) - loop) / TURNS));
	return 0;
}
