/*
 * Which kind of host this is.  Programs find it out by its behaviour: there is no asking for a
 * name.
 */
#ifndef GUEST_USER_HOST_H
#define GUEST_USER_HOST_H

#include "guest/uapi.h"

enum host_kind {
	HOST_MANUAL,      /* none of the symptoms below */
	HOST_INTERPRETER, /* SYSCALL arrived as #PF: ring 3 runs natively, ring 0 is interpreted */
	HOST_TCG,         /* a fault at a gate has the error code vector * 16 + 2 */
	HOST_COUNTER,     /* the TSC counts instructions */
	HOST_KINDS
};

extern struct rs_info info;
extern enum host_kind host;

/* Fills info, and finds out about the host; faults must arrive in try (guest/user/try.h) by then,
 * and RS_SYS_GALLERY is on. */
void host_find(void);
const char *host_name(void);
/* By what it was found out, in words. */
const char *host_symptom(void);

#endif
