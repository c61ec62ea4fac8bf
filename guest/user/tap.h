/*
 * Checks that print a line each (TAP), and what they come to.
 */
#ifndef GUEST_USER_TAP_H
#define GUEST_USER_TAP_H

#include <stdbool.h>
#include <stdint.h>

/* Checks that pass print nothing, and the sums are one line. */
extern bool tap_brief;
/* What lines begin with that are no checks. */
extern const char *tap_remark;

/* One check: "ok N - GROUP: WHAT", and what was got and wanted when they differ. */
void tap_check(const char *group, const char *what, uint64_t got, uint64_t wanted);
/* One that cannot be made here, and why. */
void tap_skip(const char *group, const char *what, const char *why);
/* The plan and the sums; returns how many failed. */
uint64_t tap_end(void);

#endif
