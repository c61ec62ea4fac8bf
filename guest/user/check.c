/*
 * All that is tried at the boundary, program by program.
 */
#include "guest/user/programs.h"

int check_main(int argc, char **argv)
{
	int (*const programs[])(int, char **) = {walls_main, hostile_main, crossings_main,
	                                         memory_main};
	int status = 0;

	for (int i = 0; i < 4; i++)
		status |= programs[i](argc, argv);
	return status;
}
