#include "vmm/instruments/anatomy/anatomy_account.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/message.h"
#include "vmm/base/printable.h"
#include "vmm/instruments/anatomy/anatomy_rows.h"

enum { LINE_MAX_BYTES = 16 * 1024, TEXT_MAX = 1024 };

/* ---- Fields ------------------------------------------------------------------------------------
 */

enum field_kind {
	FIELD_TEXT,
	FIELD_TEXT_OR_NULL,
	FIELD_WORD,
	FIELD_HEX,
	FIELD_COUNT,
	FIELD_COUNT_OR_NULL,
	FIELD_BOOL
};

struct field {
	const char *key;
	enum field_kind kind;
	int64_t max;      /* of a count */
	const char *word; /* those that it may be, with a blank behind each */
};

static const struct field head_fields[] = {
    {"anatomy", FIELD_TEXT, 0, NULL},
    {"title", FIELD_TEXT, 0, NULL},
    {"machine", FIELD_TEXT, 0, NULL},
    {0},
};

#define ROOTS  "user kernel "
#define STACKS "user none kernel boot entry RSP0 IST1 IST2 IST3 IST4 IST5 IST6 IST7 ? "
static const struct field row_fields[] = {
    {"address", FIELD_HEX, 0, NULL},
    {"symbol", FIELD_TEXT_OR_NULL, 0, NULL},
    {"offset", FIELD_HEX, 0, NULL},
    {"instruction", FIELD_TEXT, 0, NULL},
    {"file", FIELD_TEXT_OR_NULL, 0, NULL},
    {"line", FIELD_COUNT_OR_NULL, INT32_MAX, NULL},
    {"cpl", FIELD_COUNT, 3, NULL},
    {"cr3", FIELD_HEX, 0, NULL},
    {"root", FIELD_WORD, 0, ROOTS},
    {"rsp", FIELD_HEX, 0, NULL},
    {"stack", FIELD_WORD, 0, STACKS},
    {"gs", FIELD_WORD, 0, ROOTS},
    {"if", FIELD_BOOL, 0, NULL},
    {"rflags", FIELD_HEX, 0, NULL},
    {"reads", FIELD_COUNT, UINT32_MAX, NULL},
    {"writes", FIELD_COUNT, UINT32_MAX, NULL},
    {"hardware", FIELD_TEXT_OR_NULL, 0, NULL},
    {0},
};

/* The first of them in the order of enum account_sum. */
static const struct field sum_fields[] = {
    {"instructions", FIELD_COUNT, INT64_MAX, NULL},
    {"reads", FIELD_COUNT, INT64_MAX, NULL},
    {"writes", FIELD_COUNT, INT64_MAX, NULL},
    {"frame_words", FIELD_COUNT, INT64_MAX, NULL},
    {"cr3_writes", FIELD_COUNT, INT64_MAX, NULL},
    {"exits", FIELD_COUNT, INT64_MAX, NULL},
    {"cut", FIELD_BOOL, 0, NULL},
    {0},
};

__attribute__((format(printf, 2, 3))) static bool wrong(char why[ACCOUNT_WHY], const char *format,
                                                        ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, ACCOUNT_WHY, format, args);
	va_end(args);
	return false;
}

/* "0x" and 1 to 16 digits. */
static bool hex_of(const json_t *value, uint64_t *to)
{
	const char *text = json_string_value(value);
	const size_t length = text ? strlen(text) : 0;

	if (length < 3 || length > 18 || strncmp(text, "0x", 2) != 0 ||
	    strspn(text + 2, "0123456789abcdef") != length - 2)
		return false;
	*to = strtoull(text + 2, NULL, 16);
	return true;
}

/* Whether the text is one of the words. */
static bool is_word(const char *text, const char *words)
{
	const size_t length = text ? strlen(text) : 0;

	for (const char *at = words; length && *at; at += strcspn(at, " ") + 1) {
		if (strcspn(at, " ") == length && !memcmp(at, text, length))
			return true;
	}
	return false;
}

static bool is_count(const json_t *value, int64_t max)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
	       json_integer_value(value) <= max;
}

static bool check_field(const struct field *field, const json_t *value, char why[ACCOUNT_WHY])
{
	uint64_t number;

	switch (field->kind) {
	case FIELD_TEXT_OR_NULL:
		return json_is_string(value) || json_is_null(value) ||
		       wrong(why, "\"%s\" must be a text or null", field->key);
	case FIELD_TEXT:
		return json_is_string(value) || wrong(why, "\"%s\" must be a text", field->key);
	case FIELD_WORD:
		return is_word(json_string_value(value), field->word) ||
		       wrong(why, "\"%s\" must be one of: %s", field->key, field->word);
	case FIELD_HEX:
		return hex_of(value, &number) ||
		       wrong(why, "\"%s\" must be a text like \"0x401000\"", field->key);
	case FIELD_COUNT_OR_NULL:
		return json_is_null(value) || is_count(value, field->max) ||
		       wrong(why, "\"%s\" must be null or a number from 0 to %" PRId64, field->key,
		             field->max);
	case FIELD_COUNT:
		return is_count(value, field->max) ||
		       wrong(why, "\"%s\" must be a number from 0 to %" PRId64, field->key,
		             field->max);
	case FIELD_BOOL:
		return json_is_boolean(value) ||
		       wrong(why, "\"%s\" must be true or false", field->key);
	}
	return false;
}

static bool check_fields(const struct field *field, const json_t *object, char why[ACCOUNT_WHY])
{
	for (; field->key; field++) {
		const json_t *value = json_object_get(object, field->key);

		if (!value)
			return wrong(why, "it has no \"%s\"", field->key);
		if (!check_field(field, value, why))
			return false;
	}
	return true;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static uint64_t count_of(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void copy_text(char *to, size_t size, const json_t *object, const char *key)
{
	const char *text = text_of(object, key);

	printable(to, size, text, strlen(text));
}

/* A copy that is safe to print, the caller's; NULL without memory. */
static char *dup_text(const char *text)
{
	char safe[TEXT_MAX];

	return strdup(printable(safe, sizeof(safe), text, strlen(text)));
}

/* ---- Objects -----------------------------------------------------------------------------------
 */

static bool add_head(struct account *account, const json_t *object, char why[ACCOUNT_WHY])
{
	if (!check_fields(head_fields, object, why))
		return false;
	copy_text(account->title, sizeof(account->title), object, "title");
	copy_text(account->machine, sizeof(account->machine), object, "machine");
	account->stage = ACCOUNT_ROWS;
	return true;
}

static bool make_room(struct account *account)
{
	const size_t room = account->room ? 2 * account->room : 1024;
	struct account_row *rows;

	if (account->count < account->room)
		return true;
	rows = reallocarray(account->rows, room, sizeof(*rows));
	if (!rows)
		return false;
	account->rows = rows;
	account->room = room;
	return true;
}

/* What the last row did is part of the sums only when another one follows. */
static void count_last(struct account *account)
{
	if (!account->count)
		return;
	account->ring0 += account->rows[account->count - 1].cpl == 0;
	account->reads += account->last_reads;
	account->writes += account->last_writes;
}

/* The symbol of a new row: the one of the row before where that is the same. */
static bool take_symbol(const struct account *account, const char *name, char **to)
{
	char *before = account->count ? account->rows[account->count - 1].symbol : NULL;

	*to = name ? dup_text(name) : NULL;
	if (*to && before && !strcmp(*to, before)) {
		free(*to);
		*to = before;
	}
	return *to || !name;
}

/* Whether a row may follow those so far. */
static bool check_way(const struct account *account, char why[ACCOUNT_WHY])
{
	const struct account_row *rows = account->rows;
	const size_t count = account->count;

	if (count > 1 && rows[count - 1].cpl == 3)
		return wrong(why, "a row follows the return to ring 3");
	return count < ANATOMY_ROWS_MAX ||
	       wrong(why, "there are more than %d rows", ANATOMY_ROWS_MAX);
}

static bool add_row(struct account *account, const json_t *object, char why[ACCOUNT_WHY])
{
	struct account_row *row;

	if (!check_fields(row_fields, object, why) || !check_way(account, why))
		return false;
	if (!make_room(account))
		return wrong(why, "no memory");
	count_last(account);
	row = &account->rows[account->count];
	*row = (struct account_row){
	    .instruction = dup_text(text_of(object, "instruction")),
	    .cpl = (uint8_t)count_of(object, "cpl"),
	    .user_root = *text_of(object, "root") == 'u',
	};
	hex_of(json_object_get(object, "address"), &row->address);
	copy_text(row->stack, sizeof(row->stack), object, "stack");
	account->last_reads = count_of(object, "reads");
	account->last_writes = count_of(object, "writes");
	if (!row->instruction || !take_symbol(account, text_of(object, "symbol"), &row->symbol)) {
		free(row->instruction);
		return wrong(why, "no memory");
	}
	account->count++;
	return true;
}

const char *account_sum_key(enum account_sum sum)
{
	return sum_fields[sum].key;
}

static bool add_sums(struct account *account, const json_t *object, char why[ACCOUNT_WHY])
{
	const uint64_t counted[] = {account->ring0, account->reads, account->writes};

	if (!check_fields(sum_fields, object, why))
		return false;
	for (unsigned i = 0; i < ACCOUNT_SUMS; i++) {
		account->sums[i] = count_of(object, sum_fields[i].key);
		if (i < sizeof(counted) / sizeof(counted[0]) && account->sums[i] != counted[i])
			return wrong(why, "\"%s\" must be %" PRIu64 ", as the rows have it",
			             sum_fields[i].key, counted[i]);
	}
	account->cut = json_is_true(json_object_get(object, "cut"));
	if (account->count < 2)
		return wrong(why, "a crossing has two rows and more");
	if (!account->cut && account->rows[account->count - 1].cpl != 3)
		return wrong(why, "the rows before it do not lead back to ring 3");
	account->stage = ACCOUNT_OVER;
	return true;
}

bool account_add(struct account *account, const json_t *object, char why[ACCOUNT_WHY])
{
	if (!json_is_object(object))
		return wrong(why, "it is no object");
	switch (account->stage) {
	case ACCOUNT_HEAD:
		return add_head(account, object, why);
	case ACCOUNT_ROWS:
		return json_object_get(object, "instructions") ? add_sums(account, object, why)
		                                               : add_row(account, object, why);
	case ACCOUNT_OVER:
		account->stage = ACCOUNT_ENDED;
		return json_object_get(object, "beside") || wrong(why, "it follows the sums");
	case ACCOUNT_ENDED:
		break;
	}
	return wrong(why, "it follows the end");
}

/* ---- Files -------------------------------------------------------------------------------------
 */

static bool add_line(struct account *account, const char *line, char why[ACCOUNT_WHY])
{
	const size_t length = strlen(line);
	char safe[80];
	json_error_t error;
	json_t *object;
	bool good;

	if (!length || line[length - 1] != '\n')
		return wrong(why, "it has no end, a NUL, or more than %d bytes",
		             LINE_MAX_BYTES - 2);
	object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		return wrong(why, "no JSON: %s",
		             printable(safe, sizeof(safe), error.text, strlen(error.text)));
	good = account_add(account, object, why);
	json_decref(object);
	return good;
}

static bool read_lines(struct account *account, FILE *file, const char *path)
{
	static char line[LINE_MAX_BYTES];
	char why[ACCOUNT_WHY];

	for (size_t number = 1; account->stage != ACCOUNT_ENDED && fgets(line, sizeof(line), file);
	     number++) {
		if (!add_line(account, line, why))
			return message_error("--beside %s: line %zu: %s; it must be what --anatomy "
			                     "wrote with --inspect-format json",
			                     path, number, why);
	}
	if (ferror(file))
		return message_error("--beside %s: cannot read it: %s", path, strerror(errno));
	return account->stage >= ACCOUNT_OVER ||
	       message_error("--beside %s: %s; it must be what --anatomy wrote with "
	                     "--inspect-format json",
	                     path,
	                     account->stage == ACCOUNT_HEAD ? "it is empty"
	                                                    : "it ends before its sums");
}

bool account_read(struct account *account, const char *path)
{
	FILE *file = fopen(path, "re");
	bool good;

	if (!file)
		return message_error("--beside %s: cannot open it: %s", path, strerror(errno));
	good = read_lines(account, file, path);
	fclose(file);
	if (!good)
		account_free(account);
	return good;
}

void account_free(struct account *account)
{
	for (size_t i = 0; i < account->count; i++) {
		const struct account_row *row = &account->rows[i];

		free(row->instruction);
		if (!i || row->symbol != row[-1].symbol)
			free(row->symbol);
	}
	free(account->rows);
	*account = (struct account){0};
}
