/* A program for Linux that crosses into its kernel in each of the ways that ring 3 has, so often
 * that none is missed; what it ends with says that all of them came back. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMES = 200, GETPID_32 = 20, STATUS = 42 };

static void yields(void)
{
	for (int i = 0; i < TIMES; i++)
		syscall(SYS_sched_yield);
}

/* Two processes that leave the processor to each other. */
static int made_two(void)
{
	int status = 0;
	const pid_t child = fork();

	if (child < 0)
		return 0;
	yields();
	if (child == 0)
		_exit(STATUS);
	return waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == STATUS;
}

static int made_int80(void)
{
	int result;

	__asm__ volatile("int $0x80"
	                 : "=a"(result)
	                 : "a"(GETPID_32)
	                 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static int touched_a_page(void)
{
	volatile char *page =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int read;

	if (page == MAP_FAILED)
		return 0;
	*page = 1;
	read = *page;
	munmap((void *)(uintptr_t)page, 4096);
	return read;
}

/* Long enough for a timer to interrupt it, whatever the machine. */
static void computes(void)
{
	for (volatile int i = 0; i < 30 * 1000 * 1000; i++) {
	}
}

int main(void)
{
	int good = 0;

	for (int i = 0; i < TIMES; i++) {
		good += syscall(SYS_getppid) >= 0;
		good += made_int80() == getpid();
		good += touched_a_page();
	}
	computes();
	if (!made_two())
		return 2;
	printf("%d of %d crossings came back\n", good, 3 * TIMES);
	return good == 3 * TIMES ? STATUS : 1;
}
