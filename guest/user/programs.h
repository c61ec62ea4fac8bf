/*
 * The ring 3 programs: ./vmm guest.elf -- NAME [ARGUMENT...].  Each is given its name and arguments
 * and returns its exit status: 0 good, 1 not all was as it should be, 2 wrong arguments.
 */
#ifndef GUEST_USER_PROGRAMS_H
#define GUEST_USER_PROGRAMS_H

int tour_main(int argc, char **argv); /* [TURNS]: crossings measured of each kind */
int check_main(int argc, char **argv);
int crash_main(int argc, char **argv);  /* stack | fault | triple | rsp0 | storm */
int counts_main(int argc, char **argv); /* exact instruction counts */
int costs_main(int argc, char **argv);
int walls_main(int argc, char **argv);
int hostile_main(int argc, char **argv);
int crossings_main(int argc, char **argv);
int memory_main(int argc, char **argv);
int syscalls_main(int argc, char **argv);
int cat_main(int argc, char **argv);
int processes_main(int argc, char **argv); /* [CROSSINGS [FORKS]] */
int torture_main(int argc, char **argv);   /* for ./vmm --torture */

#endif
