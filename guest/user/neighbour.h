/*
 * A process that has all of its registers and some memory filled, and looks at them whenever it
 * gets a turn, while another one tries what a kernel must survive: nothing of that may reach it.
 */
#ifndef GUEST_USER_NEIGHBOUR_H
#define GUEST_USER_NEIGHBOUR_H

#include <stdbool.h>

/* Forks it.  The gallery is open (RS_SYS_GALLERY), so that there is one CPU for both. */
void neighbour_begin(void);
/* Gives it a turn.  False: it has noticed something and is gone; another one is there now. */
bool neighbour_is_well(void);
/* Ends it. */
void neighbour_end(void);

#endif
