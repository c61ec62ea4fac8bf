/* Checks JSON against a schema with Python's jsonschema (Debian: python3-jsonschema). */
#ifndef TESTS_UNIT_VMM_SCHEMA_H
#define TESTS_UNIT_VMM_SCHEMA_H

#include <stdbool.h>

/* schema: a path from the top of the project, where this program must run.  0: valid, 1: not (and
 * if asked, why on stderr), 77 or 127: could not be checked. */
int schema_status(const char *schema, const char *text, bool say_why);

#endif
