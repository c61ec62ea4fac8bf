#include "vmm/instruments/inspect/inspect_when.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A number in C's notation, without signs and blanks; all of the text. */
static bool parse_number(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*value = strtoull(text, &end, 0);
	return !*end;
}

static const char *parse_vector(struct inspect_when *when, const char *value)
{
	uint64_t vector;

	if (!parse_number(value, &vector) || vector > 255)
		return "must be a vector, 0 to 255";
	when->vectors[vector] = when->any_vector = true;
	return NULL;
}

static const char *parse_syscall(struct inspect_when *when, const char *value)
{
	if (when->syscall_count == INSPECT_LIST_MAX)
		return "is one too many: 16 are possible";
	if (!parse_number(value, &when->syscalls[when->syscall_count]))
		return "must be the number of a system call";
	when->syscall_count++;
	return NULL;
}

/* SYMBOL, SYMBOL+OFFSET or a number. */
static const char *parse_place(struct inspect_when *when, const char *value)
{
	struct inspect_place *place = &when->places[when->place_count];
	size_t length = strcspn(value, "+");

	if (when->place_count == INSPECT_LIST_MAX)
		return "is one too many: 16 are possible";
	*place = (struct inspect_place){0};
	if (!parse_number(value, &place->offset)) {
		place->offset = 0;
		if (length == 0 || length >= sizeof(place->symbol))
			return "must be SYMBOL, SYMBOL+OFFSET or an address";
		memcpy(place->symbol, value, length);
		if (value[length] && !parse_number(value + length + 1, &place->offset))
			return "must have a number behind the '+'";
	}
	when->place_count++;
	return NULL;
}

static const char *parse_count(struct inspect_when *when, const char *value)
{
	if (!parse_number(value, &when->count) || !when->count)
		return "must be the number of an exit, from 1";
	when->any_exit = true;
	return NULL;
}

static const char *parse_every(struct inspect_when *when, const char *value)
{
	return parse_number(value, &when->every) && when->every ? NULL : "must be 1 or more";
}

static const struct {
	const char *name; /* with '=': a value follows */
	const char *(*parse)(struct inspect_when *when, const char *value);
} valued[] = {
    {"vector=", parse_vector}, {"syscall=", parse_syscall}, {"pc=", parse_place},
    {"count=", parse_count},   {"every=", parse_every},
};

static bool parse_exit(struct inspect_when *when, const char *word)
{
	for (uint32_t i = 0; i < STATS_REASONS; i++) {
		if (strcasecmp(word, stats_reason_name(i)) != 0)
			continue;
		when->exits[i] = when->any_exit = true;
		return true;
	}
	return false;
}

/* NULL, or what is wrong with it. */
static const char *parse_word(struct inspect_when *when, const char *word)
{
	for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
		size_t length = strlen(valued[i].name);

		if (strncmp(word, valued[i].name, length) == 0)
			return valued[i].parse(when, word + length);
	}
	if (!strcmp(word, "all")) {
		memset(when->exits, true, sizeof(when->exits));
		when->any_exit = true;
	} else if (!strcmp(word, "cpl-change")) {
		when->cpl_change = true;
	} else if (!strcmp(word, "cr3-write")) {
		when->cr3_write = true;
	} else if (!strcmp(word, "first")) {
		when->first = true;
	} else if (!parse_exit(when, word)) {
		return "is not known: all, an exit reason (IO, HLT, MMIO...), vector=N, syscall=N, "
		       "cpl-change, cr3-write, pc=SYMBOL+OFF, count=N, first, every=N";
	}
	return NULL;
}

static bool asks_for_something(const struct inspect_when *when)
{
	return when->any_exit || when->any_vector || when->syscall_count || when->place_count ||
	       when->cpl_change || when->cr3_write;
}

bool inspect_when_parse(struct inspect_when *when, const char *text, char *problem, size_t size)
{
	*when = (struct inspect_when){.every = 1};
	for (const char *at = text;; at++) {
		char word[128];
		size_t length = strcspn(at, ",");
		const char *wrong;

		snprintf(word, sizeof(word), "%.*s", (int)(length < 127 ? length : 127), at);
		wrong = length >= sizeof(word) ? "is too long" : parse_word(when, word);
		if (wrong) {
			snprintf(problem, size, "'%s' %s", word, wrong);
			return false;
		}
		at += length;
		if (!*at)
			break;
	}
	if (asks_for_something(when))
		return true;
	snprintf(problem, size, "'%s' says how often, but not when", text);
	return false;
}
