/* Two crossings beside each other: the one that this run has followed, and one of an earlier run.
 */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_BESIDE_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_BESIDE_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/instruments/anatomy/anatomy_account.h"

/* Both whole: account_add has taken all, account_read was content. */
struct beside {
	const struct account *account[2]; /* here, beside */
	const char *file;                 /* that the second one is out of */
	bool color;
};

/* For a person, 100 columns: how many instructions lead from mark to mark, and in which functions;
 * then the instructions themselves, with long stretches as sums.  False after a message: there is
 * no memory. */
bool beside_print(FILE *out, const struct beside *beside);
/* For a program: JSON Lines, to follow those of the account that is here. */
bool beside_print_json(FILE *out, const struct beside *beside);

#endif
