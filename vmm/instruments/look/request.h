/* What --walk, --map and --audit ask for and when, and the answer to all of it. */
#ifndef VMM_INSTRUMENTS_LOOK_REQUEST_H
#define VMM_INSTRUMENTS_LOOK_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/look/look.h"
#include "vmm/look/walk.h"

enum { LOOK_WALKS_MAX = 16 };

/* All zero: nothing is asked. */
struct look_request {
	struct walk_request walks[LOOK_WALKS_MAX];
	unsigned walk_count;
	bool map, audit;
	enum {
		LOOK_AT_EXIT, /* however the run ends */
		LOOK_AT_BOOT, /* before the guest's first instruction */
		LOOK_AT_MARK, /* right after the OUT to RS_PORT_MARK that is number `mark` */
	} at;
	uint64_t mark; /* from 1 */
	bool at_given;
};

/* --walk WORD, one more of them.  The word stays the caller's.  False after a message. */
bool look_request_walk(struct look_request *request, const char *word);
/* --at boot|exit|mark=N.  False after a message. */
bool look_request_at(struct look_request *request, const char *word);

static inline bool look_request_asks(const struct look_request *request)
{
	return request->walk_count || request->map || request->audit;
}

/* Whether every symbol that is asked for exists.  False after a message. */
bool look_request_check(const struct look_request *request, const struct symbols *symbols);

enum look_answer {
	LOOK_ANSWERED,
	LOOK_RULE_BROKEN, /* --audit found something */
	LOOK_FAILED,      /* after a message */
};
/* Walks in the order they were asked for, then the map, then the audit: text, or JSON Lines. */
enum look_answer look_request_answer(FILE *out, const struct look_request *request,
                                     const struct look_moment *moment, bool json, bool color);

/* With several CPUs: the audit, if it was asked for, of what another CPU runs on, unless that is
 * the same. */
enum look_answer look_request_audit(FILE *out, const struct look_request *request,
                                    const struct look_moment *moment,
                                    const struct look_moment *other, bool json, bool color);

#endif
