/* The suites of this program beside that of its main file. */
#ifndef TESTS_UNIT_SPACE_SUITES_H
#define TESTS_UNIT_SPACE_SUITES_H

#include <check.h>

Suite *guest_suite(void);

#endif
