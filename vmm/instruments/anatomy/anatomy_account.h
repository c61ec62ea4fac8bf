/*
 * One crossing as --anatomy writes it in JSON, taken in again: what --beside puts beside another.
 * The one that this run has followed goes the same way, object by object, so that both can say the
 * same.
 *
 * A file is hostile: a line has less than 16 KiB, there are at most ANATOMY_ROWS_MAX rows, every
 * value is of its kind and in its range, the way leads from ring 3 through ring 0 to ring 3, and
 * the sums are those of the rows.  Texts are printable ASCII, with '?' for what is not.
 */
#ifndef VMM_INSTRUMENTS_ANATOMY_ANATOMY_ACCOUNT_H
#define VMM_INSTRUMENTS_ANATOMY_ANATOMY_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct account_row {
	uint64_t address;
	char *instruction; /* owned */
	char *symbol;      /* NULL: none.  The very one of the row before, or owned */
	char stack[8];
	uint8_t cpl;
	bool user_root;
};

enum account_sum {
	ACCOUNT_INSTRUCTIONS, /* of ring 0 */
	ACCOUNT_READS,
	ACCOUNT_WRITES,
	ACCOUNT_FRAME_WORDS,
	ACCOUNT_CR3_WRITES,
	ACCOUNT_EXITS,
	ACCOUNT_SUMS
};

/* Its key in JSON. */
const char *account_sum_key(enum account_sum sum);

/* All zero is an empty one. */
struct account {
	char title[160], machine[160];
	struct account_row *rows; /* the last one is the first instruction after the return */
	size_t count, room;
	uint64_t sums[ACCOUNT_SUMS];
	bool cut; /* it goes on behind its rows */

	enum { ACCOUNT_HEAD, ACCOUNT_ROWS, ACCOUNT_OVER, ACCOUNT_ENDED } stage; /* what comes */
	uint64_t ring0, reads, writes; /* of the rows so far but the last, which has not run */
	uint64_t last_reads, last_writes;
};

enum { ACCOUNT_WHY = 160 };
/* Takes the next object: first what it is, then the rows, then the sums, and then perhaps one with
 * a "beside", behind which is nothing of its own any more.  False: `why` says what is wrong with
 * it.
 */
bool account_add(struct account *account, const json_t *object, char why[ACCOUNT_WHY]);
/* Reads a whole one into *account, which is empty.  False after a message that names the file and
 * the line. */
bool account_read(struct account *account, const char *path);
/* It is empty then. */
void account_free(struct account *account);

#endif
