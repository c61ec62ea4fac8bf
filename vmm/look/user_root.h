/*
 * Which of a kernel's roots is ring 3's, of any kernel with KPTI: one whose kernel half maps the
 * frame of its own top-level table nowhere.  A kernel changes its tables through its own root; ring
 * 3's must not show them.
 */
#ifndef VMM_LOOK_USER_ROOT_H
#define VMM_LOOK_USER_ROOT_H

#include <stdbool.h>

#include "shared/pt.h"

/* Goes through the kernel half; false too where that was not to be seen to the end (pt_each's
 * PT_ECORRUPT, to which the memory's own bound on tables leads as well). */
bool user_root_is(const struct pt *pt);

/* Whether the trees can be the two roots of one process, `user` being ring 3's by the rule above
 * and `kernel` not: the user halves lead to the same tables, rights apart, and the IDT, without
 * which no root is of use, is at `idt` in both.  Gates pairs that somebody guessed. */
bool user_root_pairs(const struct pt *kernel, const struct pt *user, uint64_t idt);

#endif
