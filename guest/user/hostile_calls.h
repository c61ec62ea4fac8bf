/*
 * The part of hostile that is about system calls: what ring 3 may ask for without any sense.
 */
#ifndef GUEST_USER_HOSTILE_CALLS_H
#define GUEST_USER_HOSTILE_CALLS_H

/* Numbers, arguments and pointers. */
void hostile_numbers(void);
/* A call from the last place there is below the canonical hole. */
void hostile_hole(void);

#endif
