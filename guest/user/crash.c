/*
 * Makes the kernel die, to see what the VMM makes of it.
 */
#include "guest/user/lib.h"
#include "guest/user/programs.h"

/* hostile.S */
void storm_again(void);

/* Faults as fast as they come, for ever: #AC where the processor has it, else #DB. */
static void storm(void)
{
	printf("storm: faults without end; --timeout, or Ctrl-C, ends them\n");
	flush();
	raw_syscall(RS_SYS_FAULT_HANDLER, (long)storm_again);
	storm_again();
}

int crash_main(int argc, char **argv)
{
	static const char *const kinds[] = {[RS_CRASH_STACK] = "stack",
	                                    [RS_CRASH_FAULT] = "fault",
	                                    [RS_CRASH_TRIPLE] = "triple",
	                                    [RS_CRASH_RSP0] = "rsp0"};

	if (argc > 1 && same(argv[1], "storm"))
		storm();
	for (long kind = 0; argc > 1 && kind < 4; kind++)
		if (same(argv[1], kinds[kind])) {
			raw_syscall(RS_SYS_CRASH, kind);
			__asm__ volatile("ud2");
		}
	printf("crash: which way? stack, fault, triple, rsp0 or storm\n");
	flush();
	return 2;
}
