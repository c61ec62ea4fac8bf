/*
 * Ringscope's own system calls (guest/uapi.h), by the same numbers in both tables.
 */
#ifndef GUEST_OWN_CALLS_H
#define GUEST_OWN_CALLS_H

#include "guest/syscall_define.h"
#include "guest/uapi.h"

/* number, name, how many arguments.  All are in own_calls.c but "table", which is with the tables.
 */
#define OWN_SYSCALLS(X)                                                                            \
	X(RS_SYS_FAULT_HANDLER, fault_handler, 1)                                                  \
	X(RS_SYS_PTI_MODE, pti_mode, 1)                                                            \
	X(RS_SYS_MARK, mark, 1)                                                                    \
	X(RS_SYS_MARKS, marks, 1)                                                                  \
	X(RS_SYS_MARK_SLOT, mark_slot, 1)                                                          \
	X(RS_SYS_COUNT_PAGES, count_pages, 1)                                                      \
	X(RS_SYS_RING0_LOOP, ring0_loop, 1)                                                        \
	X(RS_SYS_INFO, info, 1)                                                                    \
	X(RS_SYS_USER_ROOT, user_root, 2)                                                          \
	X(RS_SYS_CRASH, crash, 1)                                                                  \
	X(RS_SYS_CLOCK, clock, 0)                                                                  \
	X(RS_SYS_RECORD, record, 2)                                                                \
	X(RS_SYS_ESCAPE, escape, 2)                                                                \
	X(RS_SYS_GALLERY, gallery, 1)                                                              \
	X(RS_SYS_RING0, ring0, 3)                                                                  \
	X(RS_SYS_STATE, state, 2)                                                                  \
	X(RS_SYS_RETURN, return, 4)                                                                \
	X(RS_SYS_RING, ring, 3)                                                                    \
	X(RS_SYS_SLICES, slices, 2)                                                                \
	X(RS_SYS_STATS, stats, 1)                                                                  \
	X(RS_SYS_THREAD, thread, 1)                                                                \
	X(RS_SYS_KERNEL_PAGE, kernel_page, 2)                                                      \
	X(RS_SYS_TABLE, table, 2)                                                                  \
	X(RS_SYS_TORTURE, torture, 3)

#define X(number, name, arguments) syscall_fn call_##name;
OWN_SYSCALLS(X)
#undef X

#endif
