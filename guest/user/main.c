/*
 * Chooses the program.
 */
#include "guest/user/lib.h"
#include "guest/user/programs.h"

int main(int argc, char **argv);

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} programs[] = {
    {"tour", tour_main},           {"check", check_main},         {"crash", crash_main},
    {"counts", counts_main},       {"costs", costs_main},         {"walls", walls_main},
    {"hostile", hostile_main},     {"crossings", crossings_main}, {"memory", memory_main},
    {"processes", processes_main}, {"syscalls", syscalls_main},   {"cat", cat_main},
    {"torture", torture_main},
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

int main(int argc, char **argv)
{
	char *tour[] = {(char *)"tour", NULL};

	/* argv[0] is the guest's file. */
	if (argc < 2)
		return tour_main(1, tour);
	for (size_t i = 0; i < PROGRAMS; i++)
		if (same(argv[1], programs[i].name))
			return programs[i].run(argc - 1, argv + 1);
	printf("guest: no program '%s'; there are:", argv[1]);
	for (size_t i = 0; i < PROGRAMS; i++)
		printf(" %s", programs[i].name);
	printf("\n");
	exit(2);
}
