#include "vmm/instruments/look/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/base/output.h"
#include "vmm/look/audit.h"
#include "vmm/look/json.h"
#include "vmm/look/map.h"

bool look_request_walk(struct look_request *request, const char *word)
{
	if (request->walk_count == LOOK_WALKS_MAX)
		return message_error("--walk '%s': %d addresses are the most", word,
		                     LOOK_WALKS_MAX);
	return walk_parse(&request->walks[request->walk_count++], word);
}

bool look_request_at(struct look_request *request, const char *word)
{
	static const char mark[] = "mark=";
	const char *number = word + sizeof(mark) - 1;
	char *end;

	request->at_given = true;
	if (!strcmp(word, "exit")) {
		request->at = LOOK_AT_EXIT;
		return true;
	}
	if (!strcmp(word, "boot")) {
		request->at = LOOK_AT_BOOT;
		return true;
	}
	request->at = LOOK_AT_MARK;
	if (!strncmp(word, mark, sizeof(mark) - 1) && *number >= '1' && *number <= '9') {
		errno = 0;
		request->mark = strtoull(number, &end, 10);
		if (!errno && !*end)
			return true;
	}
	return message_error("--at '%s': must be boot, exit, or mark=N with N from 1", word);
}

bool look_request_check(const struct look_request *request, const struct symbols *symbols)
{
	uint64_t va;

	for (unsigned i = 0; i < request->walk_count; i++) {
		if (!walk_address(&request->walks[i], symbols, &va))
			return false;
	}
	return true;
}

/* What an answer needs beside the moment; large, so not on the stack. */
struct answering {
	FILE *out;
	bool json, color;
	struct look look;
	struct places places;
	struct audit audit;
};

static bool answer_walk(struct answering *a, const struct walk_request *walk)
{
	/* Without time no table is read, and nothing true can be said of them. */
	if (look_gives_up(&a->look))
		return message_error("--walk: it was time to stop before it was answered");
	if (a->json)
		return walk_write_json(a->out, &a->look, &a->places, walk);
	return walk_print(a->out, &a->look, &a->places, walk, a->color);
}

static bool answer_map(struct answering *a)
{
	struct map mapping;
	bool good = map_make(&mapping, &a->look, &a->places);

	if (good && a->json)
		good = look_json_write(a->out, map_json(&a->look, &mapping));
	else if (good)
		map_print(a->out, &a->look, &mapping, a->color);
	map_free(&mapping);
	return good;
}

static bool answer_audit(struct answering *a)
{
	bool good = true;

	audit_make(&a->audit, &a->look, &a->places);
	if (a->json)
		good = look_json_write(a->out, audit_json(&a->look, &a->audit));
	else
		audit_print(a->out, &a->look, &a->audit, a->color);
	if (a->audit.late)
		good = message_error("--audit: it was time to stop before %u of its rules were "
		                     "answered",
		                     a->audit.late);
	return good;
}

/* All of it, whatever fails on the way. */
static enum look_answer answer_all(struct answering *a, const struct look_request *request)
{
	bool good = true;

	if (a->look.distrust && !a->json)
		fprintf(a->out, "\n%s: only CR3's is looked at\n", a->look.distrust);
	for (unsigned i = 0; i < request->walk_count; i++)
		good &= answer_walk(a, &request->walks[i]);
	if (request->map)
		good &= answer_map(a);
	if (request->audit)
		good &= answer_audit(a);
	if (!good)
		return LOOK_FAILED;
	return a->audit.broken ? LOOK_RULE_BROKEN : LOOK_ANSWERED;
}

enum look_answer look_request_answer(FILE *out, const struct look_request *request,
                                     const struct look_moment *moment, bool json, bool color)
{
	struct answering *a = calloc(1, sizeof(*a));
	enum look_answer answer;

	if (!a) {
		message_error("no memory for --walk, --map or --audit");
		return LOOK_FAILED;
	}
	a->out = out;
	a->json = json;
	a->color = color;
	look_init(&a->look, moment);
	places_make(&a->places, &a->look);
	answer = answer_all(a, request);
	free(a);
	if (fflush(out) != 0 || ferror(out)) {
		message_error("cannot write what --walk, --map and --audit found: %s",
		              out == stdout ? output_why(&output_stdout) : strerror(errno));
		return LOOK_FAILED;
	}
	return answer;
}

static bool same_roots(const struct look_moment *a, const struct look_moment *b)
{
	struct look of_a, of_b;

	look_init(&of_a, a);
	look_init(&of_b, b);
	return !((of_a.cr3[LOOK_KERNEL] ^ of_b.cr3[LOOK_KERNEL]) & CR3_FRAME) &&
	       of_a.two_roots == of_b.two_roots &&
	       !((of_a.cr3[LOOK_USER] ^ of_b.cr3[LOOK_USER]) & CR3_FRAME);
}

enum look_answer look_request_audit(FILE *out, const struct look_request *request,
                                    const struct look_moment *moment,
                                    const struct look_moment *other, bool json, bool color)
{
	const struct look_request audit = {.audit = true};

	if (!request->audit || same_roots(moment, other))
		return LOOK_ANSWERED;
	return look_request_answer(out, &audit, other, json, color);
}
