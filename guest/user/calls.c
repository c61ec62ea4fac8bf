/*
 * Two small programs about system calls: `syscalls` prints the kernel's own tables, `cat` copies
 * standard input to standard output.
 */
#include "guest/user/lib.h"
#include "guest/user/programs.h"

static bool get_call(long index, struct rs_syscall *call)
{
	return raw_syscall(RS_SYS_TABLE, index, (long)call) == 0;
}

/* The number of a call of that name in one of the tables; UINT32_MAX: it is not there. */
static uint32_t number_of(const char *name, uint32_t ways)
{
	struct rs_syscall call;

	for (long i = 0; get_call(i, &call); i++)
		if (call.ways & ways && same(call.name, name))
			return call.number;
	return UINT32_MAX;
}

static void print_number(uint32_t number)
{
	if (number == UINT32_MAX)
		printf("%10s", "-");
	else
		printf("%10u", (uint64_t)number);
}

int syscalls_main(int argc, char **argv)
{
	struct rs_syscall call;

	(void)argc;
	(void)argv;
	printf("%-24s%10s%10s\n", "", "SYSCALL", "INT 0x80");
	for (long i = 0; get_call(i, &call); i++) {
		const uint32_t number = number_of(call.name, RS_TABLE_64);

		/* Its line has been printed. */
		if (call.ways == RS_TABLE_I386 && number != UINT32_MAX)
			continue;
		printf("%-24s", call.name);
		print_number(number);
		print_number(number_of(call.name, RS_TABLE_I386));
		printf("\n");
	}
	flush();
	return 0;
}

int cat_main(int argc, char **argv)
{
	static char buffer[3000];
	long got;

	(void)argc;
	(void)argv;
	while ((got = raw_syscall(SYS_read, 0L, (long)buffer, (long)sizeof(buffer))) > 0)
		for (long done = 0; done < got;)
			done += raw_syscall(SYS_write, 1L, (long)(buffer + done), got - done);
	return got != 0;
}
