/*
 * When --inspect stops: the option's words.  Pure; symbols are looked up later, by who has the
 * guest.
 *
 *     all | EXIT | vector=N | syscall=N | cpl-change | cr3-write | pc=SYMBOL[+OFF] | pc=ADDRESS |
 *     count=N | first | every=N,   with commas between them
 */
#ifndef VMM_INSTRUMENTS_INSPECT_INSPECT_WHEN_H
#define VMM_INSTRUMENTS_INSPECT_INSPECT_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/run/stats.h"

enum { INSPECT_LIST_MAX = 16, INSPECT_SYMBOL_MAX = 64 };

struct inspect_place {
	char symbol[INSPECT_SYMBOL_MAX]; /* "": `offset` is the address */
	uint64_t offset;
};

struct inspect_when {
	bool exits[STATS_REASONS]; /* at exits with these reasons; all of them with `all` */
	bool any_exit;             /* one of them is set, or count is */
	bool vectors[256];         /* at entries through the IDT */
	bool any_vector;
	uint64_t syscalls[INSPECT_LIST_MAX]; /* at SYSCALLs with these numbers */
	size_t syscall_count;
	struct inspect_place places[INSPECT_LIST_MAX]; /* before the instructions at these */
	size_t place_count;
	bool cpl_change; /* behind every change of ring */
	bool cr3_write;  /* behind every MOV to CR3 */
	uint64_t count;  /* at the exit of this number in the run, from 1; 0: not asked for */
	bool first;      /* only the first stop counts, and the run goes on without */
	uint64_t every;  /* every so manieth stop counts, from 1 */
};

/* Parses `text`.  False with the reason in `problem`: one sentence that names the word. */
bool inspect_when_parse(struct inspect_when *when, const char *text, char *problem, size_t size);

#endif
