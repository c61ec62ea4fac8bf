#include "vmm/instruments/anatomy/anatomy_marks.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	CALL_SIZE_MAX = 15,
	CALLS_LOST_MAX = 64, /* that never return: the search for each goes to the end */
};

/* ---- Marks -------------------------------------------------------------------------------------
 */

static bool is(const struct account_row *row, const char *mnemonic)
{
	const size_t length = strlen(mnemonic);

	return !strncmp(row->instruction, mnemonic, length) &&
	       (!row->instruction[length] || row->instruction[length] == ' ');
}

/* A call and its return, both rows.  From and to 0: none. */
struct call {
	size_t from, to;
};

/* The RET behind which the call at `from` goes on; 0: there is none.  By the address, which a
 * switch of stacks does not change. */
static size_t find_return(const struct account *account, size_t from)
{
	const struct account_row *rows = account->rows;

	for (size_t i = from + 2; i < account->count; i++) {
		const uint64_t beyond = rows[i].address - rows[from].address;

		if (beyond - 1 < CALL_SIZE_MAX && rows[i].cpl == 0 && is(&rows[i - 1], "ret"))
			return i - 1;
	}
	return 0;
}

/* Of the calls that the entry code itself makes, the one that takes longest. */
static struct call find_call(const struct account *account)
{
	struct call longest = {0};
	unsigned lost = 0;

	for (size_t i = 0; i + 2 < account->count && lost < CALLS_LOST_MAX; i++) {
		size_t back;

		if (account->rows[i].cpl != 0 || !is(&account->rows[i], "call"))
			continue;
		back = find_return(account, i);
		if (back && back - i > longest.to - longest.from)
			longest = (struct call){i, back};
		if (back)
			i = back;
		else
			lost++;
	}
	return longest;
}

/* The mark of one row that is not the last; false: it has none.  *stack: the one in use. */
static bool find_mark(const struct account *account, size_t at, const struct call *call,
                      const char **stack, struct mark *mark)
{
	const struct account_row *row = &account->rows[at], *next = row + 1;
	const bool is_stack = next->stack[0] != 'n' && next->stack[0] != '?';
	const bool switched = is_stack && strcmp(next->stack, *stack) != 0;

	*mark = (struct mark){.row = at};
	if (switched)
		*stack = next->stack;
	if (row->cpl == 3 && next->cpl == 0)
		mark->kind = MARK_ENTRY;
	else if (row->cpl != 3 && next->cpl == 3)
		mark->kind = MARK_EXIT;
	else if (is(row, "swapgs"))
		mark->kind = MARK_SWAPGS;
	else if (!strncmp(row->instruction, "mov cr3, ", 9))
		*mark = (struct mark){MARK_CR3, next->user_root ? "user" : "kernel", at};
	else if (call->to && at == call->from)
		mark->kind = MARK_CALL;
	else if (call->to && at == call->to)
		mark->kind = MARK_RETURN;
	else if (switched)
		*mark = (struct mark){MARK_STACK, next->stack, at};
	else
		return false;
	return true;
}

void marks_find(const struct account *account, struct marks *marks)
{
	const struct call call = find_call(account);
	const char *stack = account->rows->stack;
	struct mark mark;

	marks->count = 0;
	for (size_t i = 0; i + 1 < account->count; i++) {
		if (!find_mark(account, i, &call, &stack, &mark))
			continue;
		/* The last place but one is the exit's. */
		if (marks->count < MARKS_MAX - 2 || mark.kind == MARK_EXIT)
			marks->list[marks->count++] = mark;
	}
	marks->list[marks->count++] = (struct mark){.kind = MARK_END, .row = account->count - 1};
}

const char *mark_text(const struct mark *mark, char *buf, size_t size)
{
	static const char *const formats[] = {
	    [MARK_ENTRY] = "into ring 0",    [MARK_SWAPGS] = "SWAPGS",
	    [MARK_CR3] = "CR3: the %s root", [MARK_STACK] = "stack: %s",
	    [MARK_CALL] = "call of C",       [MARK_RETURN] = "back from C",
	    [MARK_EXIT] = "into ring 3",     [MARK_END] = "the end",
	};

	snprintf(buf, size, formats[mark->kind], mark->to);
	return buf;
}

/* ---- Steps -------------------------------------------------------------------------------------
 */

/* Our guest's entry stack is what RSP0 names, and is called so of another kernel. */
static const char *known_as(const char *stack)
{
	return strcmp(stack, "entry") != 0 ? stack : "RSP0";
}

static bool are_same(const struct mark *a, const struct mark *b)
{
	return a->kind == b->kind && (!a->to || !strcmp(known_as(a->to), known_as(b->to)));
}

static void add_leg(const struct account *account, struct leg *leg, const struct mark *mark,
                    size_t *from)
{
	*leg = (struct leg){.mark = mark, .from = *from};
	for (size_t i = *from; i <= mark->row && i + 1 < account->count; i++)
		leg->instructions += account->rows[i].cpl == 0;
	*from = mark->row + 1;
}

/* common[i][j]: how many marks behind the i-th of one and the j-th of the other can be shared. */
static void count_common(const struct marks *const marks[2],
                         uint8_t common[MARKS_MAX + 1][MARKS_MAX + 1])
{
	const struct marks *a = marks[0], *b = marks[1];

	for (size_t i = a->count + 1; i-- > 0;) {
		for (size_t j = b->count + 1; j-- > 0;) {
			uint8_t *here = &common[i][j];

			if (i == a->count || j == b->count)
				*here = 0;
			else if (are_same(&a->list[i], &b->list[j]))
				*here = (uint8_t)(common[i + 1][j + 1] + 1);
			else
				*here = common[i + 1][j] > common[i][j + 1] ? common[i + 1][j]
				                                            : common[i][j + 1];
		}
	}
}

void steps_find(const struct account *const account[2], const struct marks *const marks[2],
                struct steps *steps)
{
	static uint8_t common[MARKS_MAX + 1][MARKS_MAX + 1];
	size_t next[2] = {0}, from[2] = {0};

	_Static_assert(MARKS_MAX <= UINT8_MAX, "common counts them");
	count_common(marks, common);
	steps->count = 0;
	while (next[0] < marks[0]->count || next[1] < marks[1]->count) {
		struct step *step = &steps->list[steps->count++];
		const struct mark *of[2] = {marks[0]->list + next[0], marks[1]->list + next[1]};
		bool takes[2] = {next[0] < marks[0]->count, next[1] < marks[1]->count};

		if (takes[0] && takes[1] && !are_same(of[0], of[1])) {
			takes[0] = common[next[0] + 1][next[1]] >= common[next[0]][next[1] + 1];
			takes[1] = !takes[0];
		}
		*step = (struct step){0};
		for (unsigned side = 0; side < 2; side++) {
			if (!takes[side])
				continue;
			add_leg(account[side], &step->leg[side], of[side], &from[side]);
			next[side]++;
		}
	}
}
