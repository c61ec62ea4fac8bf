/*
 * The ring 3 programs.  Each returns its exit status.
 */
#ifndef GUEST_USER_PROGRAMS_H
#define GUEST_USER_PROGRAMS_H

int tour_main(void);
int check_main(void);
/* how: "stack", "fault", "triple". */
int crash_main(const char *how);

#endif
