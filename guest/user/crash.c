/*
 * Makes the kernel die, to see what the VMM makes of it.
 */
#include "guest/user/lib.h"
#include "guest/user/programs.h"

int crash_main(int argc, char **argv)
{
	static const char *const kinds[] = {
	    [RS_CRASH_STACK] = "stack", [RS_CRASH_FAULT] = "fault", [RS_CRASH_TRIPLE] = "triple"};

	for (long kind = 0; argc > 1 && kind < 3; kind++)
		if (same(argv[1], kinds[kind]))
			syscall(RS_SYS_CRASH, kind);
	printf("crash: which way? stack, fault or triple\n");
	flush();
	return 2;
}
