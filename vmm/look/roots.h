/*
 * What a root is for: the kernel, or ring 3 alone, as KPTI has them.  There is one answer here for
 * everybody who asks, and it needs no more than the tree:
 *
 * A kernel reaches its own page tables, through a map of all RAM or a slot that leads back to the
 * root; on a root where it cannot it could change nothing, and could not even go back.  So a root
 * is the kernel's if it maps the frame of its own top-level table anywhere in the half where the
 * kernel lives, and ring 3's if it maps something there, which is the entry code, but not that.
 *
 * That tells nothing of names, layouts and entry points, which differ between kernels, and of
 * contents only what KPTI is about.  A kernel that maps each page table for the moment of changing
 * it would be misjudged; none that has KPTI is known to.
 *
 * Pure; tables are hostile: the work is bounded by ROOTS_TABLES of them.
 */
#ifndef VMM_LOOK_ROOTS_H
#define VMM_LOOK_ROOTS_H

#include "shared/pt.h"

/* Tables looked at, beside a walk for each top-level entry.  A root of ring 3 has a few dozens in
 * the kernel's half; one with more is taken for the kernel's. */
enum { ROOTS_TABLES = 1024 };

enum root_kind {
	ROOT_EMPTY, /* maps nothing, or lies outside RAM: no root at all */
	ROOT_KERNEL,
	ROOT_USER,
};

/* The half where the kernel lives is the upper one; a tree that maps nothing there is looked at as
 * a whole. */
enum root_kind roots_kind(const struct pt *tree);

/* Whether the trees can be the two roots of one process: the one the kernel's, the other ring 3's,
 * the user halves leading to the same tables, rights apart, and the IDT, without which no root is
 * of use, lying at `idt` in both.  Gates pairs that somebody guessed. */
bool roots_pair(const struct pt *kernel, const struct pt *user, uint64_t idt);

/* Where Linux with KPTI has the two roots of a process: the kernel's at a multiple of 8 KiB, the
 * user's in the page behind it.  Only a guess that cr3 is one of the two, to be looked at by
 * roots_pair; the other one is without PCID. */
struct roots_cr3 {
	uint64_t kernel, user;
};
struct roots_cr3 roots_of_linux(uint64_t cr3);

#endif
