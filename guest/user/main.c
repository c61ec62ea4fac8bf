/*
 * Chooses the program: ./vmm guest.elf -- [tour | check | crash stack|fault|triple]
 */
#include "guest/user/lib.h"
#include "guest/user/programs.h"

int main(int argc, char **argv);

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

int crash_main(const char *how)
{
	static const char *const kinds[] = {
	    [RS_CRASH_STACK] = "stack", [RS_CRASH_FAULT] = "fault", [RS_CRASH_TRIPLE] = "triple"};

	for (long kind = 0; kind < 3; kind++)
		if (same(how, kinds[kind]))
			syscall(RS_SYS_CRASH, kind, 0L, 0L, 0L);
	printf("guest: crash how? stack, fault or triple\n");
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2 || same(argv[1], "tour"))
		return tour_main();
	if (same(argv[1], "check"))
		return check_main();
	if (same(argv[1], "crash"))
		return crash_main(argc > 2 ? argv[2] : "");
	printf("guest: no program '%s': tour (the default), check, crash stack|fault|triple\n",
	       argv[1]);
	return 2;
}
