/*
 * Figures for the VMM's reports (shared/abi.h, struct rs_record).
 *
 *     struct rs_record list[2];
 *
 *     record_begin(&list[0], "SYSCALL getpid", "cycles", RS_PTI_OFF);
 *     list[0].min = 75;
 *     ...
 *     record_send(list, 2);
 *
 * The lists are the caller's, best on its stack: what is static is copied at every fork.
 */
#ifndef GUEST_USER_RECORD_H
#define GUEST_USER_RECORD_H

#include "guest/uapi.h"

/* A record without any value yet.  name and unit are cut to what the fields hold.  mode: RS_PTI_*
 * or RS_RECORD_NO_MODE. */
void record_begin(struct rs_record *record, const char *name, const char *unit, uint32_t mode);
/* A value that may be below 0, as a record has it. */
uint64_t record_signed(int64_t value);
/* Makes it a point of a curve. */
void record_at(struct rs_record *record, uint64_t x, const char *x_unit);
/* Hands over any number of them, one exit for RS_RECORDS_A_CALL.  Returns how many the VMM took. */
uint64_t record_send(const struct rs_record *list, uint64_t count);

#endif
