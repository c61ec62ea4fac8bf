/*
 * The only way to user memory.  An address that ring 3 gave is checked against the user half, SMAP
 * is lifted for exactly the copy, and a fault in it ends the copy, not the kernel.
 */
#ifndef GUEST_USERCOPY_H
#define GUEST_USERCOPY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

/* Finds out whether STAC and CLAC work here; SMAP stays on only if they do, and then entry.S has
 * them, too.  After space_init. */
void usercopy_init(const struct rs_boot *boot);

/* The range lies in the user half. */
bool user_range(uint64_t user, uint64_t size);

/* True: all size bytes were copied.  False: the range is not the user's or not mapped as needed
 * (EFAULT); what came before the fault may have been copied. */
bool copy_from_user(void *dst, uint64_t user, uint64_t size);
bool copy_to_user(uint64_t user, const void *src, uint64_t size);

/* Two bytes of user memory, lower address in the lower half. */
bool get_user16(uint64_t user, uint16_t *value);

/* Clears RFLAGS.AC, which interrupt gates let ring 3 carry in: with it set SMAP does nothing. */
void smap_close(void);

/* For the page-fault handler: when the fault at rip is a user copy's, where to go on, else 0. */
uint64_t usercopy_fixup(uint64_t rip);

#endif
